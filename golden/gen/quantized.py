"""Writes checkpoint/quantized/testdata: small matrices in the formats of quantized saves, and what the tools make of them.

FORMAT.safetensors holds the tensors of one layer as transformers saves it, its metadata the quantization_config, and
"dequantized" the result of the tool or, for GPTQ, AWQ and torchao's int4 for GPUs, of the packing formula. usage: python golden/gen/quantized.py   (torch, bitsandbytes, compressed-tensors, torchao,
auto-round, mlx with mlx-cpu)
"""
import json
import pathlib

import bitsandbytes as bnb
import numpy as np
import torch
from safetensors.torch import save_file

out = pathlib.Path(__file__).parents[2] / "checkpoint/quantized/testdata"
out.mkdir(exist_ok=True)
torch.manual_seed(1)


def save(name, config, tensors, dequantized, **root):
    tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    save_file(tensors | {"dequantized": dequantized.detach().clone().contiguous()}, out / f"{name}.safetensors",
              {"config": json.dumps({"quantization_config": config} | root)})


for kind, nested, dtype, block, shape in [("nf4", True, torch.bfloat16, 64, (48, 80)), ("nf4", False, torch.float32, 64, (6, 20)),
                                          ("fp4", False, torch.float16, 128, (20, 64)), ("fp4", True, torch.bfloat16, 64, (640, 64))]:
    w = (torch.randn(shape) * 0.05).to(dtype)
    packed, state = bnb.functional.quantize_4bit(w, quant_type=kind, compress_statistics=nested, blocksize=block)
    tensors = {"weight": packed} | {f"weight.{k}": v for k, v in state.as_dict(packed=True).items()}
    save(f"{kind}-{'nested' if nested else 'plain'}", {"quant_method": "bitsandbytes", "load_in_4bit": True}, tensors,
         bnb.functional.dequantize_4bit(packed, state))
w = torch.randn(24, 36, dtype=torch.float16)
codes, scales, _ = bnb.functional.int8_vectorwise_quant(w)
save("llm-int8", {"quant_method": "bitsandbytes", "load_in_8bit": True},
     {"weight": codes, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8)}, bnb.functional.int8_vectorwise_dequant(codes, scales))

# compressed-tensors: its own compressors.
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme  # noqa: E402
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize  # noqa: E402
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32  # noqa: E402

for name, bits, symmetric, strategy, packed, dtype, shape in [
    ("ct-pack-4", 4, True, "group", True, torch.bfloat16, (24, 64)), ("ct-pack-4-asymmetric", 4, False, "group", True, torch.float16, (24, 64)),
    ("ct-pack-8", 8, True, "channel", True, torch.bfloat16, (16, 20)), ("ct-int", 8, True, "channel", False, torch.bfloat16, (7, 20)),
    ("ct-naive", 8, False, "tensor", False, torch.float32, (7, 20)),
]:
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, strategy=strategy, group_size=32 if strategy == "group" else None)
    w = torch.randn(shape, dtype=dtype) * 0.05
    blocks = w.view(*{"group": (shape[0], -1, 32), "channel": (shape[0], 1, -1), "tensor": (1, 1, -1)}[strategy]).float()
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if symmetric:
        scale, zero = blocks.abs().amax(-1) / high, None
    else:
        scale = (blocks.amax(-1) - blocks.amin(-1)) / (high - low)
        zero = torch.round(low - blocks.amin(-1) / scale).clamp(low, high).to(torch.int8)
    scale = scale.to(dtype)
    if strategy == "tensor":
        scale, zero = scale.view(1), zero.view(1)
    q = quantize(w, scale, zero if zero is not None else torch.zeros_like(scale, dtype=torch.int8), args, dtype=torch.int8)
    tensors = {"weight_scale": scale}
    if packed:
        tensors |= {"weight_packed": pack_to_int32(q, bits), "weight_shape": torch.tensor(shape)}
        if zero is not None:
            tensors["weight_zero_point"] = pack_to_int32(zero, bits, packed_dim=0)
    else:
        tensors["weight"] = q
        if zero is not None:
            tensors["weight_zero_point"] = zero
    save(name, {"quant_method": "compressed-tensors", "format": "pack-quantized" if packed else "int-quantized"}, tensors,
         dequantize(q, scale, zero, args=args))


# GPTQ and AWQ: the packing formulas, as their libraries need a GPU. Words of 32 bits hold eight values, the first in the low bits.
def words(values, order=range(8)):
    values = values.reshape(values.shape[0], -1, 8).to(torch.int64)
    packed = sum(values[..., column] << (4 * place) for place, column in enumerate(order))
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)


rows, columns, size = 24, 64, 32
q = torch.randint(0, 16, (rows, columns))
zero = torch.randint(0, 16, (columns // size, rows))
scale = (torch.rand(columns // size, rows) * 0.01).half()
for name, group, version in [("gptq", torch.arange(columns) // size, "gptq"), ("gptq-act-order", torch.randperm(columns) % 2, "gptq"),
                             ("gptq-v2", torch.arange(columns) // size, "gptq_v2"), ("gptq-one-group", torch.zeros(columns, dtype=torch.int64), "gptq")]:
    count = int(group.max()) + 1
    stored = (zero - 1) & 15 if version == "gptq" else zero  # AutoGPTQ's qlinear_cuda.py adds the one again
    save(name, {"quant_method": "gptq", "bits": 4, "group_size": size if count > 1 else -1, "checkpoint_format": version},
         {"qweight": words(q).T, "qzeros": words(stored)[:count], "scales": scale[:count], "g_idx": group.to(torch.int32)},
         ((q.T - zero[group]) * scale[group]).T)
order = [0, 2, 4, 6, 1, 3, 5, 7]  # AutoAWQ's packing_utils.py
group = torch.arange(columns) // size
save("awq", {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True},
     {"qweight": words(q.T, order), "qzeros": words(zero, order), "scales": scale}, ((q.T - zero[group]) * scale[group]).T)

# torchao: its own tensors, in the parts that transformers saves; those for GPUs by the formulas of their packing.
from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, PerGroup, PerRow, PerTensor, quantize_  # noqa: E402

for name, config, dtype, shape in [("row", Int8WeightOnlyConfig(granularity=PerRow()), torch.bfloat16, (7, 20)),
                                   ("tensor", Int8WeightOnlyConfig(granularity=PerTensor()), torch.float32, (7, 20)),
                                   ("intx", IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)), torch.float16, (5, 64))]:
    layer = torch.nn.Linear(shape[1], shape[0], bias=False, dtype=dtype)
    quantize_(layer, config)
    w = layer.weight
    parts = {f"_weight_{k}": getattr(w, k) for k in ("qdata", "scale", "zero_point") if getattr(w, k) is not None}
    save(f"torchao-{name}", {"quant_method": "torchao"}, parts, w.dequantize(), dtype=str(dtype)[6:])

rows, columns, size = 24, 200, 40  # Int4Tensor: mslk's int4_row_quantize_zp and pack_int4
q, scale, zero = torch.randint(-8, 8, (rows, columns)), (torch.rand(columns // size, rows) * 0.01).bfloat16(), torch.randn(columns // size, rows).bfloat16()
group = torch.arange(columns) // size
save("torchao-int4", {"quant_method": "torchao"}, {"_weight_qdata": (q[:, ::2] & 15 | q[:, 1::2] << 4).to(torch.int8), "_weight_scale": scale, "_weight_zero_point": zero},
     (q.T.float() * scale[group].float() + zero[group].float()).T.bfloat16(), dtype="bfloat16")

rows, columns, size = 20, 300, 32  # Int4TilePackedTo4dTensor, padded: matrix_to_m16n8k16_Bint4_layout of torch's int4mm.cu
high, wide = 24, 1024
q, both = torch.randint(0, 16, (high, wide)), torch.randn(wide // size, high, 2).bfloat16()
packed = torch.zeros(high // 8, wide // 128, 32, 4, dtype=torch.int64)
for n in range(high // 8):
    for k in range(wide // 128):
        for lane in range(32):
            for inner in range(4):
                first = k * 128 + inner * 32 + lane % 4 * 2
                ks = [first, first + 1, first + 8, first + 9, first + 16, first + 17, first + 24, first + 25]
                v = [int(q[n * 8 + lane // 4, i]) for i in ks]
                packed[n, k, lane, inner] = sum(v[i] << 4 * place for place, i in enumerate([0, 2, 4, 6, 1, 3, 5, 7]))
packed = torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)
group = torch.arange(wide) // size
whole = ((q.T - 8).float() * both[group][..., 0].float() + both[group][..., 1].float()).T.bfloat16()
save("torchao-tiles", {"quant_method": "torchao"}, {"_weight_qdata": packed, "_weight_scale_and_zero": both}, whole[:rows, :columns], dtype="bfloat16")

# Words of bits that do not divide them: GPTQ's of 3 bits, and of 2; compressed-tensors' of 3 and 6.
def stream(values, bits):
    """Values in 32-bit words along the last axis, the first in the low bits, some across two words."""
    places = np.arange(bits, dtype=np.uint64)
    flat = (values.numpy().astype(np.uint64)[..., None] >> places & np.uint64(1)).astype(np.uint8).reshape(*values.shape[:-1], -1)
    return torch.from_numpy(np.packbits(flat, axis=-1, bitorder="little").view(np.int32).copy())


rows, columns, size = 32, 64, 32
scale = (torch.rand(columns // size, rows) * 0.01).half()
group = torch.arange(columns) // size
for bits in 2, 3:
    q, zero = torch.randint(0, 1 << bits, (rows, columns)), torch.randint(0, 1 << bits, (columns // size, rows))
    save(f"gptq-{bits}", {"quant_method": "gptq", "bits": bits, "group_size": size, "checkpoint_format": "gptq"},
         {"qweight": stream(q, bits).T, "qzeros": stream((zero - 1) & (1 << bits) - 1, bits), "scales": scale, "g_idx": group.to(torch.int32)},
         ((q.T - zero[group]) * scale[group]).T)
for bits, symmetric, shape in (3, False, (24, 64)), (6, True, (5, 96)):
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, strategy="group", group_size=32)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    q, scale = torch.randint(low, high + 1, shape).to(torch.int8), (torch.rand(shape[0], shape[1] // 32) * 0.01 + 0.001).bfloat16()
    zero = None if symmetric else torch.randint(low, high + 1, scale.shape).to(torch.int8)
    tensors = {"weight_packed": pack_to_int32(q, bits), "weight_scale": scale, "weight_shape": torch.tensor(shape)}
    if zero is not None:
        tensors["weight_zero_point"] = pack_to_int32(zero, bits, packed_dim=0)
    save(f"ct-pack-{bits}", {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": bits}}}}, tensors,
         dequantize(q, scale, zero, args=args))

# Floats of 8 and 4 bits: compressed-tensors, transformers' fine-grained fp8 (_dequantize_one of finegrained_fp8.py), fbgemm's (no
# tool dequantizes it) and torchao.
fp8 = torch.float8_e4m3fn
every = torch.arange(256, dtype=torch.uint8).view(fp8)
every = torch.where(every.float().isnan(), torch.zeros(()), every.float()).to(fp8)
for strategy, shape, scale in [("channel", (6, 256), torch.rand(6, 1).bfloat16()), ("tensor", (4, 256), torch.rand(1)), ("block", (256, 256), torch.rand(2, 2).bfloat16())]:
    args = QuantizationArgs(num_bits=8, type="float", strategy=strategy, block_structure=[128, 128] if strategy == "block" else None)
    q = every.expand(shape) if strategy != "block" else every[torch.arange(256 * 256).view(256, 256) * 7 % 256]
    tensors = {"weight": q, "weight_scale": scale} | ({"input_scale": torch.rand(1)} if strategy == "tensor" else {})
    save(f"ct-fp8-{strategy}", {"quant_method": "compressed-tensors", "format": "float-quantized"}, tensors, dequantize(q, scale, None, args=args))
args = QuantizationArgs(num_bits=8, type="float", strategy="block", block_structure=[16, 16])  # the last block of rows has 4
q, scale = every[torch.arange(36 * 20).view(36, 20) * 7 % 256], torch.rand(3, 2).bfloat16()
save("ct-fp8-last-block", {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8, "strategy": "block", "block_structure": [16, 16]}}}},
     {"weight": q, "weight_scale": scale}, dequantize(q, scale, None, args=args))
from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor  # noqa: E402
from compressed_tensors.quantization import QuantizationScheme  # noqa: E402

args = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16)
tensors = {"weight_packed": torch.randint(0, 256, (6, 32)).to(torch.uint8), "weight_scale": (torch.rand(6, 4) * 400).to(fp8), "weight_global_scale": torch.tensor([37.5])}
save("ct-nvfp4", {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, tensors,
     NVFP4PackedCompressor.decompress(tensors, QuantizationScheme(targets=["Linear"], weights=args))["weight"])
q, scale = every[torch.arange(192 * 256).view(192, 256) * 11 % 256], torch.rand(2, 2)
whole = q.float() * scale.repeat_interleave(96, 0).repeat_interleave(128, 1)
save("fp8-blocks", {"quant_method": "fp8", "weight_block_size": [128, 128]}, {"weight": q, "weight_scale_inv": scale}, whole.bfloat16(), dtype="bfloat16")
powers = torch.randint(110, 130, (2, 8), dtype=torch.uint8)
whole = q[:2].float() * torch.exp2(powers.float() - 127).repeat_interleave(32, 1)
save("fp8-powers", {"quant_method": "fp8"}, {"weight": q[:2], "weight_scale_inv": powers}, whole.half(), dtype="float16")
scale = torch.rand(7, 1)
save("fbgemm-fp8", {"quant_method": "fbgemm_fp8"}, {"weight": q[:7], "weight_scale": scale, "input_scale_ub": torch.tensor(1200.0)}, (q[:7].float() * scale).bfloat16(), dtype="bfloat16")
from torchao.quantization import Float8WeightOnlyConfig  # noqa: E402

for name, kind in ("fp8", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2):
    layer = torch.nn.Linear(64, 6, bias=False, dtype=torch.bfloat16)
    quantize_(layer, Float8WeightOnlyConfig(weight_dtype=kind))
    save(f"torchao-{name}", {"quant_method": "torchao"}, {f"_weight_{k}": getattr(layer.weight, k) for k in ("qdata", "scale")}, layer.weight.dequantize(), dtype="bfloat16")

# Floats of 4, 6 and 8 bits with powers of two, by compressed-tensors' own compressors; AutoRound's words, which its module packs and multiplies.
from compressed_tensors.compressors import BaseCompressor  # noqa: E402

for bits, form, shape in (4, "mxfp4-pack-quantized", (6, 64)), (6, "mxfp6-pack-quantized", (5, 96)), (8, "mxfp8-quantized", (3, 64)):
    args = QuantizationArgs(num_bits=bits, type="float", strategy="group", group_size=32, scale_dtype=torch.uint8, zp_dtype=torch.uint8)
    tool, scheme = BaseCompressor.get_value_from_registry(form), QuantizationScheme(targets=["Linear"], weights=args)
    scale = 2.0 ** torch.randint(-30, 3, (shape[0], shape[1] // 32))
    tensors = tool.compress({"weight": (torch.randn(shape) * 3).bfloat16() * scale.repeat_interleave(32, 1).bfloat16(), "weight_scale": scale.bfloat16()}, scheme)
    save(f"ct-{form.split('-')[0]}", {"quant_method": "compressed-tensors", "format": form}, tensors, tool.decompress(tensors, scheme)["weight"])
for bits, strategy, symmetric, shape, parts in (8, "block", False, (36, 40), (2, 2)), (1, "group", True, (5, 64), (5, 2)):
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, strategy=strategy, **({"block_structure": [32, 32]} if strategy == "block" else {"group_size": 32}))
    tool = BaseCompressor.get_value_from_registry("naive-quantized" if bits == 8 else "pack-quantized")
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    tensors = {"weight": torch.randn(shape, dtype=torch.bfloat16), "weight_scale": (torch.rand(parts) * .01 + .01).bfloat16()}
    if not symmetric:
        tensors["weight_zero_point"] = torch.randint(-90, 90, parts).to(torch.int8)
    tensors = tool.compress(tensors, scheme)
    save(f"ct-{strategy}-{bits}", {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": bits, "strategy": strategy, "block_structure": [32, 32]}}}},
         tensors, tool.decompress(tensors, scheme)["weight"])
from auto_round_extension.torch import qlinear_torch, qlinear_torch_zp  # noqa: E402

rows, columns, size = 32, 96, 32
for bits, tool, form in [(4, qlinear_torch, "auto_round"), (4, qlinear_torch_zp, "auto_round:auto_gptq"), (3, qlinear_torch, "auto_round:gptqmodel"), (5, qlinear_torch_zp, "auto_round:gptq")]:
    layer = tool.QuantLinear(bits, size, columns, rows, bias=False)
    plain = torch.nn.Linear(columns, rows, bias=False)
    zero, scale = torch.randint(1, 1 << bits, (rows, columns // size)), (torch.rand(rows, columns // size) * 0.01 + 0.001).half().float()
    q = torch.randint(0, 1 << bits, (rows, columns))
    plain.weight.data = (q - zero.repeat_interleave(size, 1)) * scale.repeat_interleave(size, 1)
    layer.device = "cpu"  # as AutoRound's export sets it
    layer.pack(plain, scale, zero, device="cpu")
    save(f"auto-round-{bits}{'-zeros' if tool is qlinear_torch_zp else ''}", {"quant_method": "auto-round", "packing_format": form, "bits": 4 if bits == 5 else bits, "group_size": size,
         **({"extra_config": {"layer": {"bits": bits}}} if bits == 5 else {})}, layer.state_dict(), layer(torch.eye(columns)).T.half())

# MLX: its own quantization, with the config.json of mlx-vlm.
import mlx.core as mx  # noqa: E402


def stored(x):
    if x.dtype == mx.uint32:
        return torch.from_numpy(np.array(x).view(np.int32)).view(torch.uint32)
    return torch.from_numpy(np.array(x.astype(mx.float32))).to({mx.float32: torch.float32, mx.bfloat16: torch.bfloat16, mx.float16: torch.float16}[x.dtype])


for bits, size, dtype in [(2, 32, mx.float32), (4, 64, mx.bfloat16), (8, 32, mx.float16), (3, 64, mx.bfloat16), (5, 32, mx.float16), (6, 64, mx.float32)]:
    w = mx.array(np.random.default_rng(bits).normal(size=(6, 192)).astype(np.float32)).astype(dtype)
    parts = mx.quantize(w, size, bits)
    tensors = dict(zip(("weight", "scales", "biases"), map(stored, parts)))
    save(f"mlx-{bits}", {"group_size": size, "bits": bits}, tensors, stored(mx.dequantize(*parts, size, bits)), quantization={"group_size": size, "bits": bits})
