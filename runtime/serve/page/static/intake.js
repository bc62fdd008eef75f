// Ways for a picture into the page: dropped, pasted, chosen, photographed, or as an address that the server fetches.

import {Failure} from "./api.js";
import {$, plural, say} from "./dom.js";

const extensions = /\.(png|jpe?g|jfif|gif|webp|bmp|tiff?|p[bgp]m|pnm|heic|heif|avif)$/i;
const types = {
  tif: "image/tiff",
  tiff: "image/tiff",
  bmp: "image/bmp",
  ppm: "image/x-portable-pixmap",
  pgm: "image/x-portable-graymap",
  pnm: "image/x-portable-anymap",
};
const largest = 23 << 20; // bytes, that base64 and the body's 32 MiB allow

// intake calls add with each list of pictures. It returns allow, which says whether the server takes addresses.
export function intake(add) {
  let addresses = false;
  const complain = sentences => ($("drop-error").textContent = sentences.join(" "));

  function take(files, given) {
    const pictures = [],
      problems = [];
    for (const file of files) {
      const name = given ?? file.name;
      if (!file.type.startsWith("image/") && !extensions.test(name)) problems.push(`${name} is no picture.`);
      else if (file.size > largest)
        problems.push(`${name} has ${(file.size / 2 ** 20).toFixed(0)} MiB. A request takes ${largest >> 20}.`);
      else if (!file.size) problems.push(`${name} is empty.`);
      else {
        const type = file.type || types[name.split(".").pop().toLowerCase()] || "image/png";
        pictures.push({name, type, file, url: "", shown: URL.createObjectURL(file)});
      }
    }
    complain(problems);
    if (pictures.length) {
      add(pictures);
      say(`${plural(pictures.length, "picture")} added`);
    }
  }

  // text takes a data: URI or, where the server does, an address. It returns whether it was one of them.
  function text(value) {
    value = value.trim();
    const data = /^data:(image\/[\w.+-]+);base64,([A-Za-z0-9+/=\s]+)$/.exec(value);
    if (data) {
      try {
        const bytes = Uint8Array.from(atob(data[2].replace(/\s/g, "")), c => c.charCodeAt(0));
        take([new File([bytes], next(data[1]), {type: data[1]})]);
      } catch {
        complain(["What was pasted is no base64."]);
      }
      return true;
    }
    if (!/^https?:\/\/\S+$/i.test(value)) return false;
    if (!addresses) {
      complain([
        "This server fetches no pictures from addresses (serve --allow-image-urls lets it). Save the picture and drop the file.",
      ]);
      return true;
    }
    const name = nameOf(value);
    if (!name) {
      complain(["That is no address."]);
      return true;
    }
    complain([]);
    add([
      {
        name,
        type: "",
        file: null,
        url: value,
        shown: null, // until the server has fetched it: the page asks nothing of other hosts
      },
    ]);
    say("1 address added");
    return true;
  }

  let pasted = 0;
  const next = type => `pasted-${++pasted}.${type.split("/")[1].replace("jpeg", "jpg").replace(/\+.*/, "")}`;

  $("photograph").hidden = !navigator.maxTouchPoints; // elsewhere it would do what Choose does
  $("choose").onclick = () => $("files").click();
  $("photograph").onclick = () => $("camera").click();
  for (const input of [$("files"), $("camera")]) {
    input.onchange = () => {
      take([...input.files]);
      input.value = "";
    };
  }
  $("address").onsubmit = e => {
    e.preventDefault();
    if (!text($("address-value").value)) complain(["An address of a picture begins with http:// or https://."]);
    else $("address-value").value = "";
  };

  document.addEventListener("paste", e => {
    const files = [...e.clipboardData.files];
    if (files.length) {
      e.preventDefault();
      for (const file of files) take([file], /^image\.\w+$/.test(file.name) ? next(file.type) : file.name);
      return;
    }
    if (e.target.closest("input, textarea")) return;
    text(e.clipboardData.getData("text/plain"));
  });

  let depth = 0;
  const over = on => document.body.classList.toggle("dropping", on);
  document.addEventListener("dragenter", e => {
    e.preventDefault();
    depth++;
    over(true);
  });
  document.addEventListener("dragleave", () => {
    if (--depth <= 0) {
      depth = 0;
      over(false);
    }
  });
  document.addEventListener("dragover", e => e.preventDefault());
  document.addEventListener("drop", e => {
    e.preventDefault();
    depth = 0;
    over(false);
    const files = [...e.dataTransfer.files];
    if (files.length) take(files);
    else if (!text(e.dataTransfer.getData("text/uri-list") || e.dataTransfer.getData("text/plain")))
      complain(["That is no picture."]);
  });

  return {
    allow(yes) {
      addresses = yes;
      $("address").hidden = !yes;
    },
  };
}

// nameOf returns what a picture at an address is called, "" for what is none.
function nameOf(address) {
  try {
    const {pathname, host} = new URL(address);
    return decodeURIComponent(pathname.split("/").pop()) || host;
  } catch {
    return "";
  }
}

// source returns what a request has for a picture: its address, or its bytes as a data: URI, which are read only now.
export function source({name, type, file, url}) {
  if (url) return url;
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(`data:${type};base64,` + reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Failure(`${name} can no longer be read.`));
    reader.readAsDataURL(file);
  });
}
