"""Writes the decoder of a PaliGemma 1 config.json as a GGUF file for llama.cpp with random weights, in the types that llama.cpp's own
quantizer gives a Gemma model of type Q4_0: Q4_0, and Q6_K for the embedding, which is the last product, too. What weights hold changes no time.

    random_gguf.py CONFIG.json OUT.gguf
"""

import json
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

BLOCKS = {Q.Q4_0: (32, 2), Q.Q6_K: (256, 2)}  # weights of a block, bytes of its float16 scale; the rest are codes


def matrix(rng, rows, columns, kind):
    """A matrix [rows, columns] of random codes, as bytes. Its values are around 0.02."""
    weights, scale = BLOCKS[kind]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (rows, columns // weights, size), dtype=np.uint8)
    d = np.full((rows, columns // weights, 1), 0.004 if kind == Q.Q4_0 else 1e-5, np.float16).view(np.uint8)
    if kind == Q.Q4_0:
        blocks[..., :scale] = d
    else:
        blocks[..., -scale:] = d
    return blocks.reshape(rows, -1)


def write(config, path):
    t = config["text_config"]
    width, inner, heads, key_heads, size = (t[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim"))
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(path, "gemma", use_temp_file=True)
    w.add_name("gemma decoder, random")
    w.add_context_length(8192)
    w.add_embedding_length(width)
    w.add_block_count(t["num_hidden_layers"])
    w.add_feed_forward_length(inner)
    w.add_head_count(heads)
    w.add_head_count_kv(key_heads)
    w.add_key_length(size)
    w.add_value_length(size)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    vocabulary(w, t["vocab_size"])

    def add(name, rows, columns, kind=Q.Q4_0):
        w.add_tensor(name, matrix(rng, rows, columns, kind), raw_dtype=kind)

    def norm(name):
        w.add_tensor(name, np.ones(width, np.float32))

    add("token_embd.weight", t["vocab_size"], width, Q.Q6_K)
    norm("output_norm.weight")
    for i in range(t["num_hidden_layers"]):
        layer = f"blk.{i}."
        norm(layer + "attn_norm.weight")
        norm(layer + "ffn_norm.weight")
        add(layer + "attn_q.weight", heads * size, width)
        add(layer + "attn_k.weight", key_heads * size, width)
        add(layer + "attn_v.weight", key_heads * size, width)
        add(layer + "attn_output.weight", width, heads * size)
        add(layer + "ffn_gate.weight", inner, width)
        add(layer + "ffn_up.weight", inner, width)
        add(layer + "ffn_down.weight", width, inner)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def vocabulary(w, size):
    """Pieces without a meaning, as many as the model has: prompts are ids."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    pieces = special + [f"<0x{i:02X}>" for i in range(256)]
    kinds = [gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.BYTE] * 256
    pieces += [f"<{i}>" for i in range(len(pieces), size)]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces)
    w.add_token_scores([-float(i) for i in range(size)])
    w.add_token_types(kinds + [gguf.TokenType.NORMAL] * (size - len(kinds)))
    w.add_pad_token_id(0)
    w.add_eos_token_id(1)
    w.add_bos_token_id(2)
    w.add_unk_token_id(3)


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        write(json.load(f), sys.argv[2])
