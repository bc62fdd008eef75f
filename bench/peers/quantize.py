"""Quantizes a GGUF file with llama.cpp's own quantizer: quantize.py IN.gguf OUT.gguf Q8_0|Q4_0|Q4_K_M"""

import sys

import llama_cpp as lc

kinds = {"Q8_0": lc.LLAMA_FTYPE_MOSTLY_Q8_0, "Q4_0": lc.LLAMA_FTYPE_MOSTLY_Q4_0, "Q4_K_M": lc.LLAMA_FTYPE_MOSTLY_Q4_K_M}
params = lc.llama_model_quantize_default_params()
params.ftype = kinds[sys.argv[3]]
if lc.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params) != 0:
    raise SystemExit(f"llama.cpp cannot quantize {sys.argv[1]} to {sys.argv[3]}")
