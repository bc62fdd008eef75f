"""A checkpoint as big_vision saves it: the inverse of transformers' convert_paligemma_weights_to_hf.py and convert_paligemma2_….

    python golden/gen/bigvision.py CHECKPOINT OUT.npz [compressed]

Written from those two files' description of names and axes. bfloat16 is written as numpy writes it, as two bytes without a type.
"""

import glob
import sys

import numpy as np
import torch
from safetensors.torch import load_file


def canonical(key):
    key = key.removeprefix("model.").replace("language_model.model.", "language_model.", 1)
    return key.replace("vision_tower.vision_model.", "vision_tower.", 1)


def raw(t):
    return t.contiguous().view(torch.uint8).numpy().view("V2").reshape(t.shape) if t.dtype == torch.bfloat16 else t.numpy()


def arrays(tensors, heads, dim, kv, vision_heads):
    t = {canonical(k): v for k, v in tensors.items()}
    layers = lambda prefix: 1 + max(int(k[len(prefix):].split(".")[0]) for k in t if k.startswith(prefix))
    stack = lambda form, change: torch.stack([change(t[form.format(i)]) for i in range(layers(form.split("{")[0]))])
    text, tower, plain = "language_model.layers.{}.", "vision_tower.encoder.layers.{}.", lambda w: w
    out = {"img/embedding/kernel": t["vision_tower.embeddings.patch_embedding.weight"].permute(2, 3, 1, 0),
           "img/embedding/bias": t["vision_tower.embeddings.patch_embedding.bias"],
           "img/pos_embedding": t["vision_tower.embeddings.position_embedding.weight"][None],
           "img/Transformer/encoder_norm/scale": t["vision_tower.post_layernorm.weight"],
           "img/Transformer/encoder_norm/bias": t["vision_tower.post_layernorm.bias"],
           "img/head/kernel": t["multi_modal_projector.linear.weight"].T, "img/head/bias": t["multi_modal_projector.linear.bias"],
           "llm/embedder/input_embedding": t["language_model.embed_tokens.weight"], "llm/final_norm/scale": t["language_model.norm.weight"]}
    block = "img/Transformer/encoderblock/"
    for i, name in enumerate(("layer_norm1", "layer_norm2")):
        out[f"{block}LayerNorm_{i}/scale"], out[f"{block}LayerNorm_{i}/bias"] = stack(f"{tower}{name}.weight", plain), stack(f"{tower}{name}.bias", plain)
    for i, name in enumerate(("fc1", "fc2")):
        out[f"{block}MlpBlock_0/Dense_{i}/kernel"] = stack(f"{tower}mlp.{name}.weight", lambda w: w.T)
        out[f"{block}MlpBlock_0/Dense_{i}/bias"] = stack(f"{tower}mlp.{name}.bias", plain)
    split = lambda w, n: w.T.reshape(w.shape[1], n, -1)  # [hidden, heads, head_dim]
    for name, short in (("query", "q"), ("key", "k"), ("value", "v")):
        out[f"{block}MultiHeadDotProductAttention_0/{name}/kernel"] = stack(f"{tower}self_attn.{short}_proj.weight", lambda w: split(w, vision_heads))
        out[f"{block}MultiHeadDotProductAttention_0/{name}/bias"] = stack(f"{tower}self_attn.{short}_proj.bias", lambda b: b.reshape(vision_heads, -1))
    out[block + "MultiHeadDotProductAttention_0/out/kernel"] = stack(tower + "self_attn.out_proj.weight", lambda w: w.T.reshape(vision_heads, -1, w.shape[0]))
    out[block + "MultiHeadDotProductAttention_0/out/bias"] = stack(tower + "self_attn.out_proj.bias", plain)
    by_head = lambda n: lambda w: w.reshape(n, dim, -1).transpose(1, 2)  # [heads, hidden, head_dim]
    out["llm/layers/attn/q_einsum/w"] = stack(text + "self_attn.q_proj.weight", by_head(heads))
    out["llm/layers/attn/kv_einsum/w"] = torch.stack([stack(f"{text}self_attn.{x}_proj.weight", by_head(kv)) for x in "kv"], 1)
    out["llm/layers/attn/attn_vec_einsum/w"] = stack(text + "self_attn.o_proj.weight", lambda w: w.T.reshape(heads, dim, -1))
    out["llm/layers/mlp/gating_einsum"] = torch.stack([stack(f"{text}mlp.{x}_proj.weight", lambda w: w.T) for x in ("gate", "up")], 1)
    out["llm/layers/mlp/linear"] = stack(text + "mlp.down_proj.weight", lambda w: w.T)
    norms = {"pre_attention_norm": "input_layernorm", "pre_ffw_norm": "post_attention_layernorm"}
    if "language_model.layers.0.pre_feedforward_layernorm.weight" in t:
        norms = {"pre_attention_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
                 "pre_ffw_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
    for name, ours in norms.items():
        out[f"llm/layers/{name}/scale"] = stack(f"{text}{ours}.weight", plain)
    return {f"params/{k}": raw(v.contiguous()) for k, v in out.items()}


def main():
    import json
    folder, out = sys.argv[1], sys.argv[2]
    tensors = {k: v for file in glob.glob(f"{folder}/*.safetensors") if "reference" not in file for k, v in load_file(file).items()}
    cfg = json.load(open(f"{folder}/config.json"))
    text, vision = cfg["text_config"], cfg["vision_config"]
    save = np.savez_compressed if "compressed" in sys.argv else np.savez
    save(out, **arrays(tensors, text["num_attention_heads"], text["head_dim"], text["num_key_value_heads"], vision["num_attention_heads"]))


if __name__ == "__main__":
    main()
