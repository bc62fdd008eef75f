"""Counts what guessing tokens would give on answers that are known: drafts and the tokens of them that are right.

    captioner batch --input REQUESTS --output ANSWERS         answers of the questions of heldout.py, by number of line
    python drafts.py QUESTIONS.jsonl ANSWERS.jsonl captioner

A guess is that of lookup in runtime/generate/speculate.go. Every one is tried here; pgc tries those that it expects to pay.
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile

SHORTEST, LONGEST = 2, 4  # tokens that a place must agree with, and those that are looked at
ROWS = 8  # of a verified step
NEWLINE = 108  # the last token of a prompt
ANSWER = 256  # the most tokens of an answer


def lookup(seen, most):
    """The tokens that followed where the last ones of seen stood before, and how many of them stood there."""
    last, at, match = len(seen) - 1, 0, SHORTEST - 1
    for j in range(last - 1, -1, -1):
        length = 0
        while length < LONGEST and j >= length and seen[j - length] == seen[last - length]:
            length += 1
        if length > match:
            at, match = j, length
        if match == LONGEST:
            break
    if match < SHORTEST:
        return [], 0
    guess = []
    for i in range(most):
        guess.append(seen[at + 1 + i] if at + 1 + i <= last else guess[at + i - last])
    return guess, match


def tokenize(executable, prompts):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "prompts.txt")
        path.write_text("\n".join(prompts), encoding="utf-8")
        out = subprocess.run([executable, "tokenize", "--input", path], capture_output=True, check=True, text=True).stdout
    return dict(zip(prompts, map(json.loads, out.splitlines()), strict=True))


def main(questions, answers, executable):
    rows = [json.loads(line) for line in open(questions, encoding="utf-8")]
    tokens = {a["id"]: a["tokens"] for a in map(json.loads, open(answers, encoding="utf-8"))}
    prompts = tokenize(executable, sorted({r["prompt"] for r in rows}))
    totals, drafts, right = collections.Counter(), collections.Counter(), collections.Counter()
    for i, row in enumerate(rows):
        answer = tokens[i]
        totals[row["kind"]] += len(answer)
        seen, n = [*prompts[row["prompt"]], NEWLINE, *answer[:1]], 1
        while n < len(answer):
            guess, match = lookup(seen, min(ROWS - 1, ANSWER - 1 - n))
            accepted = 0
            while accepted < len(guess) and n + accepted < len(answer) - 1 and guess[accepted] == answer[n + accepted]:
                accepted += 1
            if match:
                drafts[row["kind"], match] += 1
                right[row["kind"], match] += accepted
            seen += answer[n : n + accepted + 1]
            n += accepted + 1
    for kind, total in totals.items():
        counts = [f"{drafts[k]} of {k[1]} tokens, {right[k] / drafts[k]:.2f} right" for k in sorted(drafts) if k[0] == kind]
        print(f"{kind}: {total} tokens; drafts: {'; '.join(counts) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
