"""Makes random checkpoints of random odd shapes with reference tensors, in the layout of golden/.

    python golden/gen/fuzz.py OUT COUNT [SEED]
    PGC_GOLDEN=OUT go test -run TestGolden ./internal/e2e/models

Both kinds, the four key layouts, every storage type, tied and untied heads, GQA, MQA and MHA, any even head_dim, windows
smaller and larger than the prefix, soft caps present and null, any list of layer types, up to three pictures, prompts and
suffixes of any length, empty ones included. Some random models amplify rounding: every file says how far transformers' own
float32 logits are from float64 (logits_error, of the largest), and the test allows ten times that where it is over 1e-4.
"""

import pathlib
import random
import sys

import torch

import generate
import reference

WORDS = "caption en detect cat ; dog answer how many are there? the quick brown fox <loc0012> <seg099> ä 🐈 \n 7".split(" ")


def shape(rng):
    """A spec as in generate.CHECKPOINTS."""
    kind = rng.choice(["gemma", "gemma2"])
    kv = rng.randint(1, 4)
    heads = kv * rng.choice([1, 1, 2, 3, 5])
    layers = rng.randint(1, 4)
    width = rng.randint(5, 90)
    if kind == "gemma2":  # Gemma2Config asks for a multiple
        width = heads * max(1, width // heads)
    text = generate.text_config(kind, hidden_size=width, intermediate_size=rng.randint(3, 150), num_hidden_layers=layers,
                                num_attention_heads=heads, num_key_value_heads=kv, head_dim=2 * rng.randint(1, 24),
                                rms_norm_eps=rng.choice([1e-6, 1e-5]),
                                rope_parameters=dict(rope_type="default", rope_theta=rng.choice([10000.0, 10000.0, 500.0])))
    if kind == "gemma2":
        text |= dict(query_pre_attn_scalar=rng.randint(1, 40), sliding_window=rng.randint(2, 70),
                     attn_logit_softcapping=rng.choice([None, 1.5, 5.0, 50.0]), final_logit_softcapping=rng.choice([None, 2.0, 30.0]),
                     layer_types=[rng.choice(["sliding_attention", "full_attention"]) for _ in range(layers)])
    patch = rng.randint(3, 11)
    vheads = rng.randint(1, 5)
    vision = dict(hidden_size=vheads * rng.randint(1, 30), intermediate_size=rng.randint(3, 120), num_hidden_layers=rng.randint(1, 3),
                  num_attention_heads=vheads, image_size=patch * rng.randint(1, 6) + rng.randrange(patch), patch_size=patch)
    return dict(text=text, vision=vision, layout=rng.choice("ABCD"), untied=rng.random() < .3, shards=rng.choice([0, 0, 3]),
                dtype=rng.choice([torch.float32, torch.bfloat16, torch.float16]))


def main():
    out, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    out.mkdir(parents=True, exist_ok=True)
    pictures = sorted((generate.HERE / "pictures").glob("*.png"))
    generate.HERE = out
    for n in range(count):
        spec = shape(rng)
        path = generate.checkpoint(f"{n:03d}-{rng.randrange(10**6)}", spec)
        net, codes, cfg = reference.load(str(path))
        for case in ["a", "b"]:
            files = [rng.choice(pictures) for _ in range(rng.choice([1, 1, 2, 3]))]
            words = lambda most: " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, most)))
            prompt, suffix = words(25), rng.choice([None, words(12)])
            values = torch.stack([reference.pixels(f, cfg.vision_config.image_size) for f in files])
            tensors = reference.run(net, codes, cfg, values, prompt, suffix)
            exact = reference.run(net.double(), codes, cfg, values.double(), prompt, suffix, new_tokens=1)["logits"]
            net.float()
            error = float((tensors["logits"] - exact).abs().max() / exact.abs().max())
            meta = dict(logits_error=error, prompt=prompt, images=[f.name for f in files]) | ({} if suffix is None else dict(suffix=suffix))
            reference.write(path / f"reference-{case}.safetensors", tensors, **meta)
        print(path.name, spec["text"], spec["vision"], spec["layout"], spec["dtype"], flush=True)


if __name__ == "__main__":
    main()
