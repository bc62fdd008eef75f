"""Shows that transformers gives the golden checkpoints' logits whatever layout of keys, files and types they are stored in.

    python golden/gen/layouts.py

Each checkpoint is stored anew in the four layouts, in one file and in two shards, with every tensor in a type drawn at
random among those that hold it exactly; the logits must equal the reference file's bit for bit. pgc's own test of the
same is internal/e2e/models/layouts_test.go.
"""

import json
import pathlib
import random
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file

import generate
import reference

HERE = generate.HERE


def canonical(key):
    key = key.removeprefix("model.").replace("language_model.model.", "language_model.", 1)
    return key.replace("vision_tower.vision_model.", "vision_tower.", 1)


def stored(value, draw):
    """The tensor in a type that holds it exactly."""
    types = [d for d in (torch.float32, torch.bfloat16, torch.float16) if torch.equal(value.to(d).float(), value.float())]
    return value.to(draw.choice(types)).contiguous()


def main():
    draw = random.Random(1)
    for name in generate.CHECKPOINTS:
        source = HERE / name
        tensors = {}
        for file in sorted(source.glob("model*.safetensors")):
            tensors |= {canonical(k): v for k, v in load_file(file).items()}
        want = load_file(source / "reference-suffix.safetensors")
        meta = reference_metadata(source / "reference-suffix.safetensors")
        for layout in "ABCD":
            for shards in (1, 2):
                with tempfile.TemporaryDirectory() as tmp:
                    folder = pathlib.Path(tmp)
                    for file in source.glob("*.json"):
                        if "index" not in file.name:
                            shutil.copy(file, folder)
                    keys = [generate.rename(k, layout) for k in tensors]
                    values = {k: stored(v, draw) for k, v in zip(keys, tensors.values())}
                    if shards == 1:
                        save_file(values, folder / "model.safetensors", {"format": "pt"})
                    else:
                        places = {}
                        for s in range(shards):
                            file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
                            save_file({k: values[k] for k in keys[s::shards]}, folder / file, {"format": "pt"})
                            places |= {k: file for k in keys[s::shards]}
                        total = sum(v.numel() * v.element_size() for v in values.values())
                        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
                    net, codes, cfg = reference.load(str(folder))
                    got = reference.run(net, codes, cfg, want["pixel_values"], meta["prompt"], meta["suffix"], new_tokens=1)
                    assert torch.equal(got["logits"], want["logits"]), (name, layout, shards)
                    print(name, "layout", layout, "shards", shards, "types", sorted({str(v.dtype)[6:] for v in values.values()}), "logits equal")


def reference_metadata(path):
    from safetensors import safe_open
    with safe_open(path, "pt") as f:
        return f.metadata()


if __name__ == "__main__":
    main()
