"""How much of the demo's scores int8 and int4 keep: compiles a checkpoint in several storage formats, answers all held-out
prompts with each, and prints the table of docs/QUANTIZATION.md.

    python quantization.py PGC CHECKPOINT HELDOUT_DIR WORK_DIR [FORMAT…]

The prompts are the same for every format (paired). Calibration uses scenes of the training's kind. Answers are kept in
WORK_DIR; run again, only what is missing is done.
"""

import json
import pathlib
import random
import subprocess
import sys

from scenes import TRAIN, make
from score import score
from tasks import examples

INT4 = ["--weights", "int4", "--compute"]
FORMATS = {
    "bf16": [],
    "bf16, bf16": ["--compute", "bf16"],
    "int8, f32": ["--weights", "int8", "--compute", "f32"],
    "int8, int8": ["--weights", "int8", "--compute", "int8"],
    "int4, f32": [*INT4, "f32"],
    "int4, int8": [*INT4, "int8"],
    "int4 search, f32": [*INT4, "f32", "--search"],
    "int4 search, int8": [*INT4, "int8", "--search"],
    "int4 calibrated, f32": [*INT4, "f32", "--calibrate", "CALIBRATION"],
    "int4 calibrated, int8": [*INT4, "int8", "--calibrate", "CALIBRATION"],
}


def calibration(folder, count=48):
    """Scenes like those of the training, two questions each with their answers, for pgc compile --calibrate."""
    folder.mkdir(exist_ok=True)
    with open(folder / "requests.jsonl", "w") as file:
        for i in range(count):
            scene = make(999_000_000 + i, TRAIN)
            scene.image.save(folder / f"{i:02d}.png")
            rng = random.Random(i)
            for _, prompt, answer in rng.sample(examples(scene, rng), 2):
                file.write(json.dumps({"images": [f"{i:02d}.png"], "prompt": prompt, "suffix": answer}) + "\n")
    return str(folder)


def answers(pgc, checkpoint, heldout, work, name, questions):
    stem = work / (pathlib.Path(checkpoint).name + "-" + name.replace(", ", "-").replace(" ", "-"))
    exe, out = stem.with_suffix(".exe"), stem.with_suffix(".jsonl")
    requests = work / "requests.jsonl"
    with open(requests, "w") as file:
        for q in questions:
            row = {"id": q["id"], "images": [f"{heldout}/{q['image']}"], "prompt": q["prompt"], "max_new_tokens": 128}
            file.write(json.dumps(row) + "\n")
    flags = [calibration(work / "calibration") if f == "CALIBRATION" else f for f in FORMATS[name]]
    subprocess.run([pgc, "compile", checkpoint, "-o", exe, "--cpu", "native", *flags], check=True)
    subprocess.run([exe, "batch", "--input", requests, "--output", out], check=True)
    exe.unlink()
    return {a["id"]: a["text"] for a in map(json.loads, open(out))}


def main():
    pgc, checkpoint, heldout, work = sys.argv[1:5]
    names = sys.argv[5:] or list(FORMATS)
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    questions = [json.loads(line) for line in open(f"{heldout}/questions.jsonl")]
    base = None
    for name in names:
        got = answers(pgc, checkpoint, heldout, work, name, questions)
        scores = score(questions, got)
        base = base or (scores, got)
        kinds = sorted(scores)
        if got is base[1]:
            print("| | " + " | ".join(f"{k} ({scores[k][1]})" for k in kinds) + " | same answer |")
            print("|" + "---|" * (len(kinds) + 2))
            print(f"| {name} | " + " | ".join(f"{100 * scores[k][0]:.1f}" for k in kinds) + " | |", flush=True)
            continue
        same = sum(got[q["id"]] == base[1][q["id"]] for q in questions) / len(questions)
        cells = [f"{100 * scores[k][0]:.1f} ({100 * (scores[k][0] - base[0][k][0]):+.1f})" for k in kinds]
        print(f"| {name} | " + " | ".join(cells) + f" | {100 * same:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
