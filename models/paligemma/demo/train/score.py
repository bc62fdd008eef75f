"""Scores answers on the held-out scenes.

    python score.py QUESTIONS.jsonl ANSWERS.jsonl      (answers: {"id", "text"} a line)

Captions, questions and OCR count when exact; detection is precision, recall and F1 over boxes at IoU 0.5 with the right
label, and so are the boxes of prompts to segment (score_masks.py scores their masks).
"""

import collections
import json
import re
import sys

GROUP = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>(?:<seg\d{3}>)* ?([^;<]*)")


def boxes(text):
    return [(m[4].strip(), tuple(int(v) for v in m[:4])) for m in GROUP.findall(text)]


def iou(a, b):
    h, w = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if h <= 0 or w <= 0:
        return 0.0
    area = lambda r: (r[2] - r[0]) * (r[3] - r[1])
    return h * w / (area(a) + area(b) - h * w)


def matches(found, true):
    """The pairs (place in found, place in true) of (label, box)es of one label, one to one, greedily by overlap, at IoU 0.5."""
    pairs = sorted(((iou(f[1], t[1]), i, j) for i, f in enumerate(found) for j, t in enumerate(true) if f[0] == t[0]), reverse=True)
    of_found, of_true = {}, {}
    for overlap, i, j in pairs:
        if overlap >= .5 and i not in of_found and j not in of_true:
            of_found[i], of_true[j] = j, i
    return list(of_found.items())


def score(questions, answers):
    """Scores by kind: {kind: (score, prompts)}."""
    right, total = collections.Counter(), collections.Counter()
    found, true, hit = collections.Counter(), collections.Counter(), collections.Counter()
    for q in questions:
        text = answers.get(q["id"], "").strip()
        total[q["kind"]] += 1
        if q["kind"] in ("detect", "segment"):
            f, t = boxes(text), boxes(q["answer"])
            found[q["kind"]] += len(f)
            true[q["kind"]] += len(t)
            hit[q["kind"]] += len(matches(f, t))
        else:
            right[q["kind"]] += text == q["answer"]
    out = {k: (right[k] / n, n) for k, n in total.items() if k not in true}
    asked = [k for k in ("count", "colour", "exists", "relation") if k in out]
    out["questions"] = (sum(right[k] for k in asked) / max(1, sum(total[k] for k in asked)), sum(total[k] for k in asked))
    for k in true:
        precision, recall = hit[k] / max(1, found[k]), hit[k] / max(1, true[k])
        out |= {f"{k} precision": (precision, total[k]), f"{k} recall": (recall, total[k]),
                f"{k} F1": (2 * precision * recall / max(1e-9, precision + recall), total[k])}
    return out


def main():
    questions = [json.loads(line) for line in open(sys.argv[1])]
    answers = {a["id"]: a["text"] for a in map(json.loads, open(sys.argv[2]))}
    for kind, (value, n) in sorted(score(questions, answers).items()):
        print(f"{kind:17} {100 * value:5.1f} %   ({n} prompts)")


if __name__ == "__main__":
    main()
