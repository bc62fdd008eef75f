"""Writes nf4.safetensors: what bitsandbytes' quantize_4bit on the CPU makes of matrices of torchao.safetensors, in blocks of 64.

    python nf4.py        (pip install torch bitsandbytes==0.50.2 safetensors)

    NAME.codes     [N, K/2] bytes: the codes of values 2i in the upper half, of 2i+1 in the lower
    NAME.absmax    [N, K/64] float32
"""

import pathlib

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import load_file, save_file

NAMES = "normal", "heavy_tailed", "outliers", "shifted", "sparse", "zeros", "tiny"

here = pathlib.Path(__file__).parent
matrices = load_file(here / "torchao.safetensors")
out = {}
for name in NAMES:
    w = matrices[name].float()
    codes, state = bnb.quantize_4bit(w, blocksize=64, quant_type="nf4")
    out[name + ".codes"] = codes.reshape(w.shape[0], -1)
    out[name + ".absmax"] = state.absmax.reshape(w.shape[0], -1)
save_file(out, here / "nf4.safetensors")
