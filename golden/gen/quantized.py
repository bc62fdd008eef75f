"""Writes checkpoint/quantized/testdata: small matrices in the formats of quantized saves, and what the tools make of them.

FORMAT.safetensors holds the tensors of one layer as transformers saves it, its metadata the quantization_config, and
"dequantized" the result of the tool. usage: python golden/gen/quantized.py   (torch, transformers, bitsandbytes)
"""
import json
import pathlib

import bitsandbytes as bnb
import torch
from safetensors.torch import save_file

out = pathlib.Path(__file__).parents[2] / "checkpoint/quantized/testdata"
out.mkdir(exist_ok=True)
torch.manual_seed(1)


def save(name, config, tensors, dequantized):
    tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    save_file(tensors | {"dequantized": dequantized.detach().clone().contiguous()}, out / f"{name}.safetensors", {"config": json.dumps({"quantization_config": config})})


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
