"""Writes torchao.safetensors: matrices and the errors that torchao's int4 weight-only quantization makes of them, group size 128.

    python gen.py        (pip install torch torchao==0.18.0 numpy safetensors)

The semantics are Int4WeightOnlyConfig(group_size=128) with its default choice of parameters, "tinygemm": asymmetric, scale and
zero in bfloat16. Every matrix [N,K] is bfloat16, as checkpoints have them. torchao rounds it in bfloat16 arithmetic and, here,
also in float32; the metadata holds the smaller error of the two, so that nobody is compared with a handicap:

    NAME.weight    squared error of the weights over their square
    NAME.normal    squared error of products with the rows of activations.normal over their square; .outlier likewise

torchao takes whole groups only. Where K is none, the last group is quantized as a group of its own length.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torchao.quantization.quant_primitives import (MappingType, _choose_qparams_affine_tinygemm, _dequantize_affine_tinygemm,
                                                   _quantize_affine_tinygemm)

GROUP = 128
N, K, ROWS = 32, 384, 64


def torchao(w, dtype):
    """w quantized and read back, float32."""
    out = []
    for first in range(0, w.shape[1], GROUP):
        part = w[:, first:first + GROUP].to(dtype).contiguous()
        block = (1, part.shape[1])
        scale, zero = _choose_qparams_affine_tinygemm(part, MappingType.ASYMMETRIC, block, torch.int32, 0, 15,
                                                      scale_dtype=torch.bfloat16, zero_point_dtype=torch.bfloat16)
        q = _quantize_affine_tinygemm(part, block, scale.to(dtype), zero.to(dtype), torch.int32, 0, 15)
        out.append(_dequantize_affine_tinygemm(q, block, scale.float(), zero.float(), torch.int32, 0, 15, output_dtype=torch.float32))
    return torch.cat(out, 1)


def matrices(rng):
    normal = lambda k=K: rng.standard_normal((N, k))
    yield "normal", normal() * 0.02
    yield "short_group", normal(300) * 0.02
    yield "one_short_group", normal(72)
    yield "heavy_tailed", rng.standard_t(2, (N, K)) * 0.02
    yield "laplace", rng.laplace(size=(N, K))
    yield "uniform", rng.uniform(-1, 1, (N, K))
    outlier = normal() * 0.02
    outlier[rng.random((N, K)) < 0.01] *= 30
    yield "outliers", outlier
    columns = normal() * 0.02
    columns[:, rng.choice(K, 6, replace=False)] *= 25
    yield "outlier_columns", columns
    yield "shifted", normal() + 3
    yield "far_shifted", normal() * 0.5 + 100
    yield "skewed", np.exp(normal())
    yield "sparse", normal() * (rng.random((N, K)) < 0.1)
    yield "sixteen_values", rng.integers(0, 16, (N, K)) * 0.25 - 1.75
    yield "tiny", normal() * 1e-25
    yield "huge", normal() * 1e25
    constant = np.repeat(rng.standard_normal((N, 1)), K, 1)
    constant[N // 2:, :GROUP] = rng.standard_normal((N - N // 2, GROUP))
    yield "constant_rows", constant
    yield "zeros", normal() * (np.arange(N)[:, None] % 2)
    yield "all_zero", np.zeros((N, K))


def main():
    rng = np.random.default_rng(20)
    x = {"normal": rng.standard_normal((ROWS, K))}
    x["outlier"] = rng.standard_normal((ROWS, K)) * np.where(np.arange(K) % 48 == 5, 30, 1)
    tensors = {f"activations.{k}": torch.tensor(v).bfloat16() for k, v in x.items()}
    errors = {}
    for name, w in matrices(rng):
        w = torch.tensor(w).bfloat16()
        tensors[name] = w
        read = [torchao(w, d) for d in (torch.bfloat16, torch.float32)]
        ratio = lambda f: min(float((f(r.double()) - f(w.double())).square().sum() / max(float(f(w.double()).square().sum()), 1e-300)) for r in read)
        errors[f"{name}.weight"] = ratio(lambda a: a)
        for k in x:
            act = tensors[f"activations.{k}"].double()[:, :w.shape[1]]
            errors[f"{name}.{k}"] = ratio(lambda a: act @ a.T)
    for k, v in errors.items():
        print(f"{k:28} {v:.6g}")
    save_file(tensors, pathlib.Path(__file__).with_name("torchao.safetensors"), metadata={k: repr(v) for k, v in errors.items()})


if __name__ == "__main__":
    main()
