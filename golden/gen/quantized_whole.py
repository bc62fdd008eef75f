"""Whole checkpoints in the formats of GPTQ, AWQ and MLX, with what transformers computes with their weights as floats.

    python golden/gen/quantized_whole.py OUT [BASE]      BASE is a checkpoint, by default paligemma2-demo
    PGC_GOLDEN=OUT go test -run TestGolden ./internal/e2e/models

The libraries of GPTQ and AWQ need a GPU: their packing is written here in numpy, from the description of the formats in AutoGPTQ's
qlinear_cuda.py and AutoAWQ's packing_utils.py. As those tools do, the decoder's matrices are quantized and the rest is not; MLX
quantizes all that its groups fit, the embedding too, in its own layout of names with channels last.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import generate
import reference

MODEL = generate.HERE.parent / "models/paligemma/demo/paligemma2-demo"


def words(values, order=range(8)):
    """[rows, columns] of 0 to 15 as [rows, columns/8] words, the first of eight in the low bits, or in the given order."""
    values = values.reshape(len(values), -1, 8).astype(np.uint32)
    return sum(values[..., column] << np.uint32(4 * place) for place, column in enumerate(order)).view(np.int32)


def rounded(w, size, group):
    """Codes [rows, columns], zeros and scales [rows, groups] of min and max of each group, which group [columns] names."""
    count = group.max() + 1
    low = np.stack([np.minimum(0, w[:, group == g].min(1)) for g in range(count)], 1)
    high = np.stack([np.maximum(0, w[:, group == g].max(1)) for g in range(count)], 1)
    scale = np.maximum((high - low) / 15, 1e-6).astype(np.float16)
    zero = np.clip(np.round(-low / scale.astype(np.float32)), 1, 15).astype(np.int64)
    return np.clip(np.round(w / scale.astype(np.float32)[:, group]) + zero[:, group], 0, 15).astype(np.int64), zero, scale


def floats(q, zero, scale, group):
    return ((q - zero[:, group]).astype(np.float32) * scale.astype(np.float32)[:, group]).astype(np.float16)


def gptq(name, w, act_order):
    size, columns = 32, w.shape[1]
    group = np.arange(columns) // size
    if act_order:
        group = np.random.default_rng(columns).permutation(group)
    q, zero, scale = rounded(w, size, group)
    parts = {"qweight": words(q).T, "qzeros": words((zero - 1).T & 15), "scales": scale.T, "g_idx": group.astype(np.int32)}
    return {name + k: v for k, v in parts.items()}, floats(q, zero, scale, group)


def awq(name, w):
    size = 64
    group = np.arange(w.shape[1]) // size
    q, zero, scale = rounded(w, size, group)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return {name + "qweight": words(q.T, order), name + "qzeros": words(zero.T, order), name + "scales": scale.T}, floats(q, zero, scale, group)


def mlx(name, w):
    import mlx.core as mx
    parts = mx.quantize(mx.array(w).astype(mx.float16), 64, 4)
    made = np.array(mx.dequantize(*parts, 64, 4))
    return {name + k: np.array(v) for k, v in zip(("weight", "scales", "biases"), parts)}, made


FORMS = {
    "gptq": (lambda n, w: gptq(n, w, False), {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False}}),
    "gptq-act-order": (lambda n, w: gptq(n, w, True), {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": False}}),
    "awq": (awq, {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}}),
    "mlx": (mlx, {"quantization": {"group_size": 64, "bits": 4}, "quantization_config": {"group_size": 64, "bits": 4}}),
}


def tensor(v):
    v = np.ascontiguousarray(v)
    return torch.from_numpy(v.view(np.int32)).view(torch.uint32) if v.dtype == np.uint32 else torch.from_numpy(v)


def main():
    out, base = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else MODEL)
    plain = {k: v for file in base.glob("*.safetensors") for k, v in load_file(file).items()}
    for form, (quantize, settings) in FORMS.items():
        quantized, whole = {}, {}
        for key, v in plain.items():
            module = key.removesuffix("weight")
            decoder = "language_model" in key and key.endswith("_proj.weight")
            if decoder or form == "mlx" and key.endswith("weight") and v.ndim == 2 and v.shape[1] % 64 == 0 and "position" not in key:
                parts, w = quantize(module, v.float().numpy())
                quantized |= {k: tensor(x) for k, x in parts.items()}
                whole[key] = torch.from_numpy(w)
            else:
                whole[key] = v.half()
                quantized[key] = v.half().permute(0, 2, 3, 1).contiguous() if form == "mlx" and v.ndim == 4 else v.half()
        folder = out / form
        shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors*"))
        with tempfile.TemporaryDirectory() as tmp:
            shutil.copytree(folder, tmp, dirs_exist_ok=True)
            save_file(whole, f"{tmp}/model.safetensors", {"format": "pt"})
            net, codes, cfg = reference.load(tmp)
        save_file(quantized, folder / "model.safetensors", {"format": "pt" if form != "mlx" else "mlx"})
        config = json.loads((base / "config.json").read_text()) | settings | {"dtype": "float16"}
        (folder / "config.json").write_text(json.dumps(config, indent=1))
        for case, (files, prompt, suffix) in list(generate.CASES.items())[:4:3]:
            values = torch.stack([reference.pixels(generate.HERE / "pictures" / f, cfg.vision_config.image_size) for f in files])
            meta = dict(prompt=prompt, images=files) | ({} if suffix is None else dict(suffix=suffix))
            reference.write(folder / f"reference-{case}.safetensors", reference.run(net, codes, cfg, values, prompt, suffix), **meta)
        print(form, len(quantized), "tensors")


if __name__ == "__main__":
    main()
