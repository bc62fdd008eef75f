"""Answers the held-out questions with a compiled executable.

    python answer.py EXECUTABLE HELDOUT_DIR ANSWERS.jsonl
"""

import json
import subprocess
import sys


def main():
    exe, heldout, out = sys.argv[1:4]
    with open(out, "w") as file:
        for q in map(json.loads, open(f"{heldout}/questions.jsonl")):
            done = subprocess.run([exe, "generate", "--json", "--max-new-tokens", "128", "--image", f"{heldout}/{q['image']}",
                                   "--prompt", q["prompt"]], capture_output=True, text=True, check=True)
            answer = json.loads(done.stdout)
            file.write(json.dumps({"id": q["id"], "text": answer["text"], "tokens": answer["tokens"]}) + "\n")


if __name__ == "__main__":
    main()
