"""Makes PEFT adapters of the golden checkpoints, with what transformers and peft compute with them.

    python golden/gen/adapters.py                     golden/adapters: the few that are committed
    python golden/gen/adapters.py OUT COUNT [SEED]    random forms; PGC_ADAPTERS=OUT go test -run TestAdapters ./internal/e2e/adapters ./checkpoint/hf

A folder holds an adapter, and reference.safetensors (metadata: base, prompt, image) with

    logits, apart [3, vocabulary]   of the last three tokens: the model that merge_and_unload returns, and, computed in float32,
                                    the model with its adapter beside it (apart is left out where the two models are the same)
    every changed tensor of the merged model under its name in transformers 5 (of the committed ones the first few)

Names are written in the layouts of transformers 5, of 4.52 and of 4.4x. Needs peft besides requirements.txt.
"""

import contextlib
import json
import os
import pathlib
import random
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PaliGemmaForConditionalGeneration

import generate
import reference

warnings.filterwarnings("ignore")
HERE = generate.HERE
BASES = {"pg1-odd": torch.float32, "pg2-odd": torch.bfloat16, "pg1-bf16": torch.bfloat16, "pg2-mha": torch.float16}
PROMPT, IMAGE = "detect cat", "shapes.png"
LM, VISION = r".*language_model\..*", r".*vision_tower.*"
ATTENTION, MLP = ["q_proj", "k_proj", "v_proj", "o_proj", "out_proj"], ["gate_proj", "up_proj", "down_proj", "fc1", "fc2"]

COMMITTED = {  # name: (base, layout, settings)
    "linear": ("pg2-odd", "5", dict(target_modules="all-linear", r=2, use_rslora=True)),
    "regex-4.4x": ("pg1-odd", "4.4", dict(target_modules=LM + r"layers\.[01]\..*(?<!o)_proj", r=3, lora_alpha=7,
                                         alpha_pattern={"layers.1.mlp.*": 2, "(?!k_).*_proj": 5}, rank_pattern={"up_proj": 1})),
    "dora": ("pg1-bf16", "5", dict(target_modules=["q_proj", "down_proj", "patch_embedding", "embed_tokens"], r=2, use_dora=True)),
    "bias": ("pg2-mha", "4.52", dict(target_modules=VISION + r"(fc1|out_proj|patch_embedding)", r=2, lora_bias=True, bias="all")),
    "saved": ("pg2-mha", "5", dict(target_modules=["v_proj"], r=1, modules_to_save=["multi_modal_projector", "language_model.norm"],
                                   trainable_token_indices=[260, 1300])),
    "beside": ("pg2-odd", "4.52", dict(target_modules=["q_proj", "v_proj", "up_proj", "fc1"], r=3, use_dora=True,
                                        modules_to_save=["input_layernorm", "o_proj", "multi_modal_projector"])),
    "tied": ("pg2-mha", "4.4", dict(target_modules=["embed_tokens", "lm_head"], r=2, ensure_weight_tying=True)),
    "head": ("pg2-odd", "5", dict(target_modules=["lm_head", "o_proj"], r=3, lora_alpha=5)),
    "tokens": ("pg2-odd", "4.4", dict(target_modules=["k_proj"], r=1, trainable_token_indices=[2, 260, 302, 700, 701, 702, 1583])),
    "velora": ("pg1-odd", "5", dict(target_modules=["v_proj", "fc1"], r=2, velora_config={"num_groups": 1})),
}


def rename(key, layout):
    """A name that transformers 5 gives, as 4.52 or 4.4x do."""
    if layout == "5":
        return key
    key = key.replace("vision_tower.", "vision_tower.vision_model.", 1)
    if layout == "4.4":
        key = key.replace("model.model.model.", "model.model.", 1).replace("language_model.", "language_model.model.", 1)
        key = key.replace("model.model.lm_head", "model.model.language_model.lm_head", 1)
    return key


def load(base, dtype):
    return PaliGemmaForConditionalGeneration.from_pretrained(HERE / base, dtype=dtype, attn_implementation="eager").eval()


def logits(model, base):
    """The last three rows."""
    _, codes, cfg = reference.load(str(HERE / base))
    values = reference.pixels(HERE / "pictures" / IMAGE, cfg.vision_config.image_size)[None]
    patches = (cfg.vision_config.image_size // cfg.vision_config.patch_size) ** 2
    ids = [cfg.image_token_index] * patches + [2] + codes.encode(PROMPT + "\n", add_special_tokens=False).ids
    ids = torch.tensor([ids])
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=values.to(dtype), token_type_ids=torch.zeros_like(ids), attention_mask=torch.ones_like(ids))
    return out.logits[0, -3:].contiguous()


def make(folder, base, layout, settings, seed, named, stored=torch.float32, few=False):
    """One adapter and its reference; named is what the adapter calls its base."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    model = get_peft_model(load(base, BASES[base]), LoraConfig(**settings))
    for name, p in model.named_parameters():
        if p.requires_grad or "lora_" in name:
            scale = .3 / max(1, p.shape[-1]) ** .5 if "lora" in name and "magnitude" not in name else .05
            p.data += (torch.randn(p.shape, generator=draw) * scale).to(p.dtype)
    if settings.get("ensure_weight_tying"):  # training moves both as one
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
        if getattr(head, "lora_A", None) and getattr(embedding, "lora_embedding_A", None):
            head.lora_A["default"].weight.data = embedding.lora_embedding_B["default"].data.t().clone()
            head.lora_B["default"].weight.data = embedding.lora_embedding_A["default"].data.t().clone()
        elif hasattr(head, "modules_to_save") and hasattr(embedding, "modules_to_save"):
            head.modules_to_save["default"].weight.data = embedding.modules_to_save["default"].weight.data.clone()
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors = {k: v.to(stored) if ".lora_" in k else v for k, v in tensors.items()}
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})  # with transformers 5's names, for the reference

    plain = load(base, BASES[base])
    before = {k: v.clone() for k, v in plain.state_dict().items()}
    merged = PeftModel.from_pretrained(plain, folder).merge_and_unload()
    changed = {k: v.contiguous().clone() for k, v in merged.state_dict().items() if not torch.equal(v, before[k])}
    if merged.get_output_embeddings().weight.data_ptr() == merged.get_input_embeddings().weight.data_ptr():
        changed.pop("lm_head.weight", None)
    elif "model.language_model.embed_tokens.weight" in changed or "lm_head.weight" in changed:
        changed["lm_head.weight"] = merged.lm_head.weight.clone()
    if few:
        small = sorted(k for k in changed if changed[k].numel() < 20000)
        changed = {k: changed[k] for k in small[::max(1, len(small) // 4)][:5]}
    fresh = load(base, torch.float32)  # merged.float() would keep buffers rounded
    if "lm_head.weight" in changed or merged.get_output_embeddings().weight.data_ptr() != merged.get_input_embeddings().weight.data_ptr():
        fresh.lm_head.weight = torch.nn.Parameter(fresh.lm_head.weight.clone())
    fresh.load_state_dict(merged.state_dict())
    whole = logits(fresh, base)
    exact = logits(fresh.double(), base)
    out = {"logits": whole.float()}
    apart = logits(PeftModel.from_pretrained(load(base, torch.float32), folder).eval(), base)
    if BASES[base] != torch.float32 or (apart - whole).abs().max() > 1e-4 * whole.abs().max():
        out["apart"] = apart.float()
    save_file({rename(k, layout): v for k, v in tensors.items()}, folder / "adapter_model.safetensors", {"format": "pt"})
    config = json.loads((folder / "adapter_config.json").read_text()) | {"base_model_name_or_path": named}
    for key in ("target_modules", "modules_to_save"):  # sets, in whatever order
        if isinstance(config[key], list):
            config[key] = sorted(config[key])
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1))
    reference.write(folder / "reference.safetensors", out | changed, base=base, prompt=PROMPT, image=IMAGE,
                    logits_error=float((whole - exact).abs().max() / exact.abs().max()))


def form(rng):
    """Random settings of LoraConfig."""
    base = rng.choice(list(BASES))
    chance = lambda p: rng.random() < p
    names = rng.sample(ATTENTION + MLP + ["linear"], rng.randint(1, 6))
    targets = rng.choice([names, names, names, "all-linear", LM + r"\.(" + "|".join(names) + ")", r"^(?!.*vision).*\.(q|v|up)_proj$",
                          VISION + r"\.(k_proj|fc2|patch_embedding)", names + ["patch_embedding"], names + ["embed_tokens"],
                          names + ["lm_head"], ["embed_tokens", "lm_head"], ["position_embedding", "layers.0.self_attn.q_proj"]])
    s = dict(target_modules=targets, r=rng.randint(1, 9), lora_alpha=rng.choice([1, 4, 7, 16, 32]), use_rslora=chance(.3), use_dora=chance(.3))
    if chance(.3):
        s["bias"] = rng.choice(["all", "lora_only"])
    if chance(.3):
        s["alpha_pattern"] = {rng.choice(["q_proj", "layers.0.*", r".*\.(k|v)_proj", "model.language_model.layers.1.mlp.up_proj", "(?!q).*_proj"]): 3, "v_proj": 11}
    if chance(.3):
        s["rank_pattern"] = {rng.choice(["q_proj", "layers.0.*", r".*\.(k|v)_proj", "fc1"]): rng.randint(1, 5)}
    heads = isinstance(targets, list) and ("embed_tokens" in targets or "lm_head" in targets)
    if heads:
        s["ensure_weight_tying"] = chance(.4)
    elif chance(.4):
        s["modules_to_save"] = rng.sample(["multi_modal_projector", "lm_head", "embed_tokens", "post_layernorm", "language_model.norm", "norm"], rng.randint(1, 2))
        s["ensure_weight_tying"] = chance(.3)
    if not heads and "modules_to_save" not in s and chance(.4):
        tokens = sorted(rng.sample(range(1500), 3))
        s["trainable_token_indices"] = rng.choice([tokens, {"embed_tokens": tokens}, {"lm_head": tokens, "embed_tokens": sorted(rng.sample(range(1500), 2))}])
    if isinstance(targets, str) and targets.startswith(VISION) and chance(.7):
        s["lora_bias"] = True
    if isinstance(targets, list) and chance(.15):
        s["layers_to_transform"] = [0]
    return base, rng.choice(["5", "4.52", "4.4"]), s


def main():
    if len(sys.argv) == 1:
        for i, (name, (base, layout, settings)) in enumerate(COMMITTED.items()):
            make(HERE / "adapters" / name, base, layout, settings, i, f"../../{base}", few=True)
        return
    out, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    n = 0
    while n < count:
        base, layout, settings = form(rng)
        seed, stored = rng.randrange(10**6), rng.choice([torch.float32, torch.float32, torch.bfloat16, torch.float16])
        with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
            try:
                make(out / f"{n:03d}", base, layout, settings, seed, str((HERE / base).resolve()), stored)
            except (ValueError, RuntimeError, TypeError, KeyError) as e:  # a combination that peft refuses
                print("refused:", base, settings, str(e)[:150], flush=True)
                continue
        print(f"{n:03d}", base, layout, settings, stored, flush=True)
        n += 1


if __name__ == "__main__":
    main()
