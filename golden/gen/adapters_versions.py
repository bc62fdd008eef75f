"""Adapters as older versions of peft save them of models of older transformers, with what peft and transformers 5 merge of them.

    python adapters_versions.py save OUT        in an environment with any transformers since 4.46 and a peft of its time
    python adapters_versions.py answer OUT      in the environment of requirements.txt: the references
    PGC_ADAPTERS=OUT go test -run 'TestAdapters$' ./checkpoint/hf ./internal/e2e/adapters

Names are what those versions make of them; the reference is of the adapter renamed as transformers 5 names modules.
"""

import json
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent
LM = r".*language_model.*\.(q_proj|v_proj|down_proj)"
FORMS = {
    "list": ("pg2-odd", dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], r=4, lora_alpha=8)),
    "linear": ("pg2-mha", dict(target_modules="all-linear", r=2, use_rslora=True)),
    "regex": ("pg1-bf16", dict(target_modules=LM, r=3, lora_alpha=5, use_dora=True, alpha_pattern={"v_proj": 9})),
    "saved": ("pg2-odd", dict(target_modules=["q_proj", "fc1"], r=2, modules_to_save=["multi_modal_projector"], bias="lora_only")),
    "head": ("pg1-bf16", dict(target_modules=["v_proj"], r=1, modules_to_save=["lm_head", "embed_tokens"])),
}


def save(out):
    import peft
    import torch
    import transformers as t
    for seed, (name, (base, settings)) in enumerate(FORMS.items()):
        stored = json.loads((GOLDEN / base / "config.json").read_text())
        tied = stored.get("tie_word_embeddings", True)
        text = {k: v for k, v in stored["text_config"].items() if k != "rope_parameters"} | {"tie_word_embeddings": tied}
        cfg = t.PaliGemmaConfig(text_config=text, vision_config=stored["vision_config"], projection_dim=text["hidden_size"],
                                image_token_index=stored.get("image_token_index", stored.get("image_token_id")), pad_token_id=0)
        cfg.tie_word_embeddings = tied
        torch.manual_seed(seed)
        model = peft.get_peft_model(t.PaliGemmaForConditionalGeneration(cfg), peft.LoraConfig(**settings))
        for key, p in model.named_parameters():
            if p.requires_grad:
                p.data += torch.randn(p.shape) * (.3 / max(1, p.shape[-1]) ** .5 if "lora_" in key and "magnitude" not in key else .05)
        folder = out / f"{t.__version__}-peft-{peft.__version__}-{name}"
        model.save_pretrained(folder)
        config = json.loads((folder / "adapter_config.json").read_text()) | {"base_model_name_or_path": str(GOLDEN / base)}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        print(folder.name)


def newest(key):
    """The name of a tensor in transformers 5."""
    key = key.replace("base_model.model.language_model.lm_head", "base_model.model.lm_head")
    key = key.replace("base_model.model.language_model.model.", "base_model.model.model.language_model.")
    for module in ("vision_tower", "multi_modal_projector"):
        key = key.replace(f"base_model.model.{module}.", f"base_model.model.model.{module}.")
    return key.replace("vision_tower.vision_model.", "vision_tower.")


def answer(out):
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file, save_file
    import adapters
    import reference
    for folder in sorted(out.iterdir()):
        base = FORMS[folder.name.rsplit("-", 1)[1]][0]
        tensors = load_file(folder / "adapter_model.safetensors")
        work = out.parent / f"{out.name}-renamed" / folder.name
        work.mkdir(parents=True, exist_ok=True)
        save_file({newest(k): v for k, v in tensors.items()}, work / "adapter_model.safetensors", {"format": "pt"})
        (work / "adapter_config.json").write_text((folder / "adapter_config.json").read_text())
        plain = adapters.load(base, adapters.BASES[base])
        before = {k: v.clone() for k, v in plain.state_dict().items()}
        merged = PeftModel.from_pretrained(plain, work).merge_and_unload()
        changed = {k: v.contiguous().clone() for k, v in merged.state_dict().items() if not torch.equal(v, before[k])}
        fresh = adapters.load(base, torch.float32)
        tied = merged.get_output_embeddings().weight.data_ptr() == merged.get_input_embeddings().weight.data_ptr()
        if tied:
            changed.pop("lm_head.weight", None)
        else:
            fresh.lm_head.weight = torch.nn.Parameter(fresh.lm_head.weight.clone())
        fresh.load_state_dict(merged.state_dict())
        whole, exact = adapters.logits(fresh, base), adapters.logits(fresh.double(), base)
        values = {"logits": whole.float()}
        if adapters.BASES[base] != torch.float32:
            values["apart"] = adapters.logits(PeftModel.from_pretrained(adapters.load(base, torch.float32), work).eval(), base).float()
        reference.write(folder / "reference.safetensors", values | changed, base=base, prompt=adapters.PROMPT, image=adapters.IMAGE,
                        logits_error=float((whole - exact).abs().max() / exact.abs().max()))
        print(folder.name, len(changed), "tensors changed")


if __name__ == "__main__":
    dict(save=save, answer=answer)[sys.argv[1]](pathlib.Path(sys.argv[2]))
