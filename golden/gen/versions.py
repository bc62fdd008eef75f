"""Random checkpoints as older versions of transformers save them, with what transformers 5 computes of them.

    python versions.py save OUT         in an environment with any version since 4.46: OUT/VERSION-NAME, models of golden's
                                        configurations with new random weights and a processor, as save_pretrained leaves them
    python versions.py answer OUT       in the environment of requirements.txt: the references
    PGC_GOLDEN=OUT go test -run 'TestGolden|TestEmbeddings' ./internal/e2e/models

In one file of safetensors or in shards, and as pytorch_model.bin where the version still writes it. ColPali of 4.52 has names
(vlm.model.…) that transformers 5 does not find and replaces by random weights: the reference is of the renamed file.
"""

import json
import pathlib
import shutil
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).resolve().parent.parent
FORMS = {"pg1-odd": dict(), "pg2-odd": dict(max_shard_size="100KB"), "pg1-bf16": dict(safe_serialization=False),
         "pg2-mha": dict(safe_serialization=False, max_shard_size="100KB"), "colpali-odd": dict()}


def randomize(net, seed):
    import torch
    torch.manual_seed(seed)
    with torch.no_grad():
        for key, p in net.named_parameters():
            if p.ndim == 1:
                p.copy_(torch.randn_like(p) * .2 + (1 if "norm" in key and "vision" in key and "weight" in key else 0))
            else:
                p.copy_(torch.randn_like(p) * (2.2 if "q_proj" in key or "k_proj" in key else 1.0) / (p[0].numel() ** .5))


def save(out):
    import transformers as t
    import torch
    version = t.__version__
    for seed, (name, form) in enumerate(FORMS.items()):
        stored = json.loads((GOLDEN / name / "config.json").read_text())
        colpali = name.startswith("colpali")
        if colpali and not hasattr(t, "ColPaliForRetrieval"):
            continue
        vlm = stored["vlm_config"] if colpali else stored
        tied = vlm.get("tie_word_embeddings", True)
        text = {k: v for k, v in vlm["text_config"].items() if k != "rope_parameters"} | {"tie_word_embeddings": tied}
        text["hidden_size"] += -text["hidden_size"] % text["num_attention_heads"]  # 4.46 asks for a multiple
        image = vlm.get("image_token_index", vlm.get("image_token_id"))
        cfg = t.PaliGemmaConfig(text_config=text, vision_config=vlm["vision_config"], image_token_index=image,
                                projection_dim=text["hidden_size"], pad_token_id=0, bos_token_id=2, eos_token_id=1)
        if not tied:
            cfg.tie_word_embeddings = False
        side, patch = cfg.vision_config.image_size, cfg.vision_config.patch_size
        images = t.SiglipImageProcessor(size=dict(height=side, width=side), image_mean=[.5] * 3, image_std=[.5] * 3)
        images.image_seq_length = (side // patch) ** 2
        codes = t.GemmaTokenizerFast(tokenizer_file=str(GOLDEN / name / "tokenizer.json"))
        if colpali:
            net = t.ColPaliForRetrieval(t.ColPaliConfig(vlm_config=cfg, embedding_dim=stored["embedding_dim"]))
            processor = t.ColPaliProcessor(images, codes)
        else:
            net = t.PaliGemmaForConditionalGeneration(cfg)
            processor = t.PaliGemmaProcessor(images, codes)
        randomize(net, seed)
        folder = out / f"{version}-{name}"
        if version[0] != "4":
            form = {k: v for k, v in form.items() if k != "safe_serialization"}
        net.to([torch.float32, torch.bfloat16, torch.float16][seed % 3]).save_pretrained(folder, **form)
        processor.save_pretrained(folder)
        print(folder.name, sorted(f.name for f in folder.iterdir()))


def answer(out):
    import torch
    import colpali
    import generate
    import reference
    from safetensors.torch import load_file, save_file
    for folder in sorted(out.iterdir()):
        if "colpali" in folder.name:
            cfg = json.loads((folder / "config.json").read_text())["vlm_config"]
            with tempfile.TemporaryDirectory() as tmp:
                copy = pathlib.Path(shutil.copytree(folder, pathlib.Path(tmp) / folder.name))
                tensors = {k.replace("vlm.model.", "vlm.", 1): v for k, v in load_file(copy / "model.safetensors").items()}
                save_file(tensors, copy / "model.safetensors", {"format": "pt"})
                colpali.references(copy, colpali.ODD | dict(vision=cfg["vision_config"]))
                for file in [*copy.glob("embeddings-*"), copy / "scores.safetensors", copy / "activations.safetensors"]:
                    shutil.copy(file, folder)
            continue
        net, codes, cfg = reference.load(str(folder))
        for case, (files, prompt, suffix) in list(generate.CASES.items())[:4:3]:
            values = torch.stack([reference.pixels(GOLDEN / "pictures" / f, cfg.vision_config.image_size) for f in files])
            meta = dict(prompt=prompt, images=files) | ({} if suffix is None else dict(suffix=suffix))
            reference.write(folder / f"reference-{case}.safetensors", reference.run(net, codes, cfg, values, prompt, suffix), **meta)
        print(folder.name, "answered")


if __name__ == "__main__":
    dict(save=save, answer=answer)[sys.argv[1]](pathlib.Path(sys.argv[2]))
