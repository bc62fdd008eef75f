"""Answers the held-out questions with the reference (transformers, float32, eager, token_type_ids passed).

    python evaluate.py CHECKPOINT HELDOUT_DIR ANSWERS.jsonl [first] [count]
"""

import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "golden" / "gen"))
import reference  # noqa: E402
from export import MAX_NEW_TOKENS  # noqa: E402


def main():
    checkpoint, heldout, out = sys.argv[1:4]
    first, count = (int(v) for v in sys.argv[4:6]) if len(sys.argv) > 4 else (0, 1 << 30)
    net, codes, cfg = reference.load(checkpoint)
    questions = [json.loads(line) for line in open(f"{heldout}/questions.jsonl")][first:first + count]
    with open(out, "w") as file:
        for q in questions:
            values = reference.pixels(f"{heldout}/{q['image']}", cfg.vision_config.image_size)[None]
            tensors = reference.run(net, codes, cfg, values, q["prompt"], new_tokens=MAX_NEW_TOKENS)
            text = codes.decode([t for t in tensors["generated"].tolist() if t != 1], skip_special_tokens=True)
            file.write(json.dumps({"id": q["id"], "text": text, "tokens": tensors["generated"].tolist()}) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
