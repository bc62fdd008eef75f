"""Makes golden/: random tiny checkpoints of both kinds with odd sizes, pictures, and reference tensors.

    python golden/gen/generate.py        (deterministic; takes about a minute)
"""

import json
import pathlib
import random

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import reference

HERE = pathlib.Path(__file__).resolve().parent.parent
LOC0 = 420
IMAGE = LOC0 + 1024 + 128


def tokenizer(gemma2):
    """A Gemma-shaped BPE of 1,573 tokens; Gemma 2's has a pre-tokenizer and runs of newlines as added tokens."""
    fixed = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{b:02X}>" for b in range(256)] + ["\n", "\n\n"]
    learn = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    learn.normalizer = normalizers.Replace(" ", "▁")
    learn.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    text = ["caption en", "detect cat ; dog", "answer en how many cats are there?", "the quick brown fox jumps over the lazy dog"] * 9
    learn.train_from_iterator(text, trainers.BpeTrainer(vocab_size=120, show_progress=False, special_tokens=[]))
    learnt = json.loads(learn.to_str())["model"]
    pieces = [p for p, _ in sorted(learnt["vocab"].items(), key=lambda kv: kv[1])]
    vocab = {p: i for i, p in enumerate(fixed + pieces)}
    while len(vocab) < LOC0:
        vocab[f"<unused{len(vocab)}>"] = len(vocab)
    merges = [("\n", "\n")] + [tuple(m) for m in learnt["merges"]]
    out = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    out.normalizer = normalizers.Replace(" ", "▁")
    out.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    if gemma2:
        out.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    out.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in fixed[:4]])
    if gemma2:
        out.add_tokens([AddedToken("\n", normalized=False), AddedToken("\n\n", normalized=False)])
    out.add_tokens([AddedToken(f"<loc{i:04d}>", normalized=False) for i in range(1024)])
    out.add_tokens([AddedToken(f"<seg{i:03d}>", normalized=False) for i in range(128)])
    out.add_special_tokens([AddedToken("<image>", normalized=False, special=True)])
    return out.to_str(pretty=False)


def text_config(kind, **sizes):
    return dict(model_type=kind, vocab_size=IMAGE + 12, max_position_embeddings=512, pad_token_id=0, bos_token_id=2, eos_token_id=1,
                hidden_activation="gelu_pytorch_tanh", **sizes)


CHECKPOINTS = {
    "pg1-odd": dict(
        dtype=torch.float32, layout="A",
        text=text_config("gemma", hidden_size=43, intermediate_size=71, num_hidden_layers=3, num_attention_heads=5,
                         num_key_value_heads=1, head_dim=10),
        vision=dict(hidden_size=39, intermediate_size=53, num_hidden_layers=3, num_attention_heads=3, image_size=35, patch_size=7)),
    "pg2-odd": dict(
        dtype=torch.bfloat16, layout="B", shards=2,
        text=text_config("gemma2", hidden_size=42, intermediate_size=51, num_hidden_layers=4, num_attention_heads=6,
                         num_key_value_heads=2, head_dim=14, query_pre_attn_scalar=11, sliding_window=19,
                         attn_logit_softcapping=5.0, final_logit_softcapping=7.0),
        vision=dict(hidden_size=22, intermediate_size=35, num_hidden_layers=2, num_attention_heads=2, image_size=30, patch_size=5)),
    "pg1-bf16": dict(
        dtype=torch.bfloat16, layout="C", untied=True,
        text=text_config("gemma", hidden_size=30, intermediate_size=45, num_hidden_layers=2, num_attention_heads=3,
                         num_key_value_heads=1, head_dim=18),
        vision=dict(hidden_size=27, intermediate_size=41, num_hidden_layers=2, num_attention_heads=3, image_size=45, patch_size=9)),
    "pg2-mha": dict(
        dtype=torch.float16, layout="D",
        text=text_config("gemma2", hidden_size=33, intermediate_size=47, num_hidden_layers=2, num_attention_heads=3,
                         num_key_value_heads=3, head_dim=6, query_pre_attn_scalar=6, sliding_window=7),
        vision=dict(hidden_size=26, intermediate_size=31, num_hidden_layers=1, num_attention_heads=2, image_size=33, patch_size=11)),
}
CASES = {  # name: (pictures, prompt, suffix)
    "one": (["noise.png"], "caption en", None),
    "two": (["noise.png", "shapes.png"], "answer en which is larger?", None),
    "empty": (["alpha.png"], "", None),
    "suffix": (["wide.png"], "detect cat", "<loc0001><loc0512><loc0700><loc1023> cat"),
    "newline": (["grey.png"], "caption en\n", "a cät 🐈"),
    "long": (["palette.png"], "answer en how many cats are there? " * 4, "two"),
}


def pictures():
    """Small pictures of every kind, all of odd sizes."""
    out = HERE / "pictures"
    out.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 256, (53, 47, 3), dtype=np.uint8))
    noise.save(out / "noise.png")
    shapes = Image.new("RGB", (81, 61), (200, 220, 255))
    draw = ImageDraw.Draw(shapes)
    draw.ellipse((10, 8, 40, 50), fill=(220, 60, 40))
    draw.rectangle((45, 20, 75, 55), fill=(40, 160, 80))
    shapes.save(out / "shapes.png")
    rgba = np.dstack([np.asarray(shapes), np.tile(np.linspace(0, 255, 81).astype(np.uint8), (61, 1))])
    Image.fromarray(rgba, "RGBA").save(out / "alpha.png")
    shapes.convert("L").save(out / "grey.png")
    shapes.convert("P", palette=Image.ADAPTIVE, colors=17).save(out / "palette.png")
    Image.fromarray(rng.integers(0, 256, (11, 301, 3), dtype=np.uint8)).save(out / "wide.png")


def rename(key, layout):
    """Keys in the four layouts of SEMANTICS: A hub, B saved by transformers 5, C and D with a leading model."""
    key = key.removeprefix("model.")
    if layout in "AB":
        key = key.replace("language_model.", "language_model.model.") if key.startswith("language_model.") else key
    elif key != "lm_head.weight":
        key = "model." + key
    bare = key.replace("vision_tower.vision_model.", "vision_tower.")
    return bare.replace("vision_tower.", "vision_tower.vision_model.") if layout in "AD" else bare


def checkpoint(name, spec):
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration
    out = HERE / name
    out.mkdir(exist_ok=True)
    vision = dict(model_type="siglip_vision_model", vision_use_head=False, projection_dim=spec["text"]["hidden_size"], **spec["vision"])
    untied = spec.get("untied", False)
    cfg = PaliGemmaConfig(text_config=spec["text"] | dict(tie_word_embeddings=not untied), vision_config=vision, image_token_index=IMAGE, projection_dim=spec["text"]["hidden_size"],
                          tie_word_embeddings=not untied, pad_token_id=0, bos_token_id=2, eos_token_id=1)
    torch.manual_seed(sum(map(ord, name)))
    net = PaliGemmaForConditionalGeneration(cfg).float()
    with torch.no_grad():
        for key, p in net.named_parameters():
            if p.ndim == 1:
                p.copy_(torch.randn_like(p) * .2 + (1 if "norm" in key and "vision" in key and "weight" in key else 0))
            else:
                gain = 2.2 if "q_proj" in key or "k_proj" in key else 1.0
                p.copy_(torch.randn_like(p) * gain / (p[0].numel() ** .5))
    tensors = {}
    for key, p in net.state_dict().items():
        if key == "lm_head.weight" and not untied:
            continue
        tensors[rename(key, spec["layout"])] = p.to(spec["dtype"]).contiguous().clone()
    if spec.get("shards"):
        names = sorted(tensors)
        total = sum(t.numel() * t.element_size() for t in tensors.values())
        weights = {}
        for s in range(spec["shards"]):
            file = f"model-{s + 1:05d}-of-{spec['shards']:05d}.safetensors"
            part = {k: tensors[k] for k in names[s::spec["shards"]]}
            save_file(part, out / file, {"format": "pt"})
            weights |= {k: file for k in part}
        (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weights}, indent=1))
    else:
        save_file(tensors, out / "model.safetensors", {"format": "pt"})
    cfg.architectures = ["PaliGemmaForConditionalGeneration"]
    (out / "config.json").write_text(json.dumps(cfg.to_diff_dict() | {"model_type": "paligemma"}, indent=1, default=str))
    gemma2 = spec["text"]["model_type"] == "gemma2"
    (out / "tokenizer.json").write_text(tokenizer(gemma2))
    side = spec["vision"]["image_size"]
    (out / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type="SiglipImageProcessor", do_resize=True, do_rescale=True, do_normalize=True, resample=3,
        rescale_factor=1 / 255, image_mean=[.5] * 3, image_std=[.5] * 3, size=dict(height=side, width=side)), indent=1))
    (out / "generation_config.json").write_text(json.dumps(dict(eos_token_id=1, pad_token_id=0, bos_token_id=2)))
    return out


def main():
    random.seed(0)
    pictures()
    for name, spec in CHECKPOINTS.items():
        path = checkpoint(name, spec)
        net, codes, cfg = reference.load(str(path))
        for case in CASES if name == "pg1-odd" else ["two", "empty", "suffix"]:
            files, prompt, suffix = CASES[case]
            values = torch.stack([reference.pixels(HERE / "pictures" / f, cfg.vision_config.image_size) for f in files])
            tensors = reference.run(net, codes, cfg, values, prompt, suffix)
            meta = dict(prompt=prompt, images=files) | ({"suffix": suffix} if suffix is not None else {})
            reference.write(path / f"reference-{case}.safetensors", tensors, **meta)
            print(name, case, [int(t) for t in tensors["generated"]], f"margin {tensors['generated_margin'].min():.3g}")


if __name__ == "__main__":
    main()
