// The request of the page as programs: a shell with curl, Python and Go, each with its standard library alone. They read the picture from
// the folder that they run in.

import {endpoint} from "./api.js";

// A place stands for a picture in a body while it is written: its text is found again in what is written.
const place = i => `@picture-${i}@`;

// substitute replaces the quoted places of pictures in a text.
const substitute = (text, pictures, make) =>
  pictures.reduce((t, p, i) => t.replaceAll(JSON.stringify(place(i)), () => make(p)), text);

const address = p => /^https?:/.test(p.url);
const type = p => p.type || "image/png";

// literal writes a value in a language: words for true, false and null, and what begins objects and lists.
function literal(value, words, indent = "") {
  if (value === null || typeof value === "boolean") return words[String(value)];
  if (typeof value !== "object") return JSON.stringify(value);
  const list = Array.isArray(value);
  const entries = list
    ? value.map(v => literal(v, words, indent + words.step))
    : Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${literal(v, words, indent + words.step)}`);
  const [open, close] = list ? words.list : words.object;
  const short = entries.join(", ");
  const length = indent.length + short.length + 40 * (short.split("@picture-").length - 1); // a picture is read by a call
  if (length < 76 && !short.includes("\n")) return open + short + close;
  return `${open}\n${entries.map(e => indent + words.step + e).join(",\n")}${words.last}\n${indent}${close}`;
}

const words = {
  json: {true: "true", false: "false", null: "null", object: ["{", "}"], list: ["[", "]"], step: "  ", last: ""},
  python: {true: "True", false: "False", null: "None", object: ["{", "}"], list: ["[", "]"], step: "    ", last: ","},
  go: {
    true: "true",
    false: "false",
    null: "nil",
    object: ["map[string]any{", "}"],
    list: ["[]any{", "}"],
    step: "\t",
    last: ",",
  },
};

const quoted = name => `'${name.replaceAll("'", "'\\''")}'`;

// curl sends a text in which the shell puts the pictures.
function curl({path, body, pictures, key}) {
  const escaped = literal(body, words.json).replace(/[\\$`]/g, "\\$&");
  const text = substitute(escaped, pictures, p =>
    address(p)
      ? JSON.stringify(p.url).replace(/[\\$`]/g, "\\$&")
      : `"data:${type(p)};base64,$(base64 <${quoted(p.name)} | tr -d '\\n')"`,
  );
  return `curl -sS ${endpoint(path)} \\
  -H 'Content-Type: application/json' \\
${key ? `  -H "Authorization: Bearer $PGC_API_KEY" \\\n` : ""}  -d @- <<END
${text}
END
`;
}

function python({path, body, pictures, key, objects}) {
  const files = pictures.some(p => !address(p));
  const text = substitute(literal(body, words.python), pictures, p =>
    address(p) ? JSON.stringify(p.url) : `data(${JSON.stringify(p.name)}, ${JSON.stringify(type(p))})`,
  );
  return `${files ? "import base64\n" : ""}import json
${key ? "import os\n" : ""}import urllib.request
${
  files
    ? `

def data(path, kind):
    with open(path, "rb") as f:
        return f"data:{kind};base64," + base64.b64encode(f.read()).decode()

`
    : ""
}
body = ${text}
headers = {"Content-Type": "application/json"${key ? `, "Authorization": "Bearer " + os.environ["PGC_API_KEY"]` : ""}}
request = urllib.request.Request("${endpoint(path)}", json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as response:
    message = json.load(response)["choices"][0]["message"]
print(message["content"])
${
  objects
    ? `for o in message["boxes"]:
    print(o["label"], o["score"], o["box"])
`
    : ""
}`;
}

function go({path, body, pictures, key, objects}) {
  const files = pictures.some(p => !address(p));
  const text = substitute(literal(body, words.go, "\t"), pictures, p =>
    address(p) ? JSON.stringify(p.url) : `data(${JSON.stringify(p.name)}, ${JSON.stringify(type(p))})`,
  );
  return `package main

import (
	"bytes"
${files ? `	"encoding/base64"\n` : ""}	"encoding/json"
	"fmt"
	"log"
	"net/http"
${files || key ? `	"os"\n` : ""})

func main() {
	body, err := json.Marshal(${text})
	check(err)
	request, err := http.NewRequest("POST", "${endpoint(path)}", bytes.NewReader(body))
	check(err)
	request.Header.Set("Content-Type", "application/json")
${key ? `	request.Header.Set("Authorization", "Bearer "+os.Getenv("PGC_API_KEY"))\n` : ""}	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status)
	}
	var answer struct {
		Choices []struct {
			Message struct {
				Content string
${
  objects
    ? `				Boxes   []struct {
					Label string
					Score float64
					Box   [4]float64
				}
`
    : ""
}			}
		}
	}
	check(json.NewDecoder(response.Body).Decode(&answer))
	message := answer.Choices[0].Message
	fmt.Println(message.Content)
${
  objects
    ? `	for _, o := range message.Boxes {
		fmt.Println(o.Label, o.Score, o.Box)
	}
`
    : ""
}}
${
  files
    ? `
func data(path, kind string) string {
	content, err := os.ReadFile(path)
	check(err)
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(content)
}
`
    : ""
}
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
`;
}

// languages write a call: {path, body of pictures' places, pictures, key: whether one is asked for, objects: whether some may come}.
export const languages = {
  curl: {name: "curl", write: curl},
  python: {name: "Python", write: python},
  go: {name: "Go", write: go},
};

// places are what a body has instead of pictures.
export const places = pictures => pictures.map((_, i) => place(i));
