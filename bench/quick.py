"""pgc's speed in under three minutes, without peers and with python3 alone: a model of 4 + 4 layers of PaliGemma 3B's widths.

Prints shares of the machine's limits, compared with the last time; draws rooflines into out/bench. Run through `make bench-quick`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import aims
import shapes

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "bench"
LAST = OUT / "quick.json"


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(checkpoint, weights):
    file = OUT / "quick-model"
    run(ROOT / "bin/pgc", "compile", checkpoint, "--weights", weights, "--cpu", "native", "-o", file)
    r = json.loads(run(ROOT / "bin/pgc", "bench", file, "--json", "--roofline", OUT / f"quick-{weights}.svg"))
    file.unlink()
    return {"encoder + prefill, of f32 multiply-add": aims.flops_share(r, ["encode_image", "prefill"]), "large products": aims.large_share(r),
            "decoding, of memory reads": aims.bytes_share(r), "first token, s": r["answer"]["first_token_s"],
            "tokens/s": r["answer"]["tokens_per_s"], "start to first token, s": r["answer"]["process_start_s"]}


def main():
    os.chdir(ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    checkpoint = OUT / "quick-checkpoint"
    config = json.dumps(shapes.shape())
    made = OUT / "quick-shape.json"
    if not made.exists() or made.read_text() != config:
        made.write_text(config)
        run("rm", "-rf", checkpoint)
    if not (checkpoint / "config.json").exists():
        run(ROOT / "bin/pgc", "random", made, "-o", checkpoint)
    last = json.loads(LAST.read_text()) if LAST.exists() else {}
    found = {}
    for weights in ["bf16", "int8", "int4"]:
        found[weights] = measure(checkpoint, weights)
        print(weights)
        for what, value in found[weights].items():
            before = last.get(weights, {}).get(what)
            change = f"   {value / before:.2f} × the last time" if before else ""
            text = f"{100 * value:8.0f} %" if "of " in what or "large" in what else f"{value:8.3f}  "
            print(f"  {what:42s}{text}{change}", flush=True)
    LAST.write_text(json.dumps(found))
    print(f"rooflines: {OUT.relative_to(ROOT)}/quick-*.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
