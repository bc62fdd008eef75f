"""Writes the Gemma decoder of a PaliGemma 1 checkpoint (bf16 safetensors) as a GGUF file for llama.cpp, with the same weights,
and its SigLIP tower as an mmproj GGUF of the kind "gemma3": that projector, with a pooling of one patch, is PaliGemma's and one norm.

    to_gguf.py CHECKPOINT decoder.gguf mmproj.gguf
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from safetensors import safe_open


class Checkpoint:
    """Tensors of a checkpoint by their names in transformers before version 5, as raw bf16."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.config = json.loads((self.folder / "config.json").read_text())
        self.where = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            with open(path, "rb") as f:
                size = int.from_bytes(f.read(8), "little")
                header = json.loads(f.read(size))
            data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + size)
            for name, t in header.items():
                if name != "__metadata__":
                    self.where[name] = (data, t)

    def raw(self, name):
        """The tensor's bytes, shaped [..., bytes of the last dimension]."""
        data, t = self.where[name]
        if t["dtype"] != "BF16":
            raise SystemExit(f"{self.folder}: {name} is {t['dtype']}, expected BF16")
        begin, end = t["data_offsets"]
        return data[begin:end].reshape(*t["shape"][:-1], t["shape"][-1] * 2)

    def floats(self, name):
        wide = self.raw(name).view(np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32)


def decoder(c, path):
    t = c.config["text_config"]
    w = gguf.GGUFWriter(path, "gemma")
    w.add_name("gemma decoder, random")
    w.add_context_length(8192)
    w.add_embedding_length(t["hidden_size"])
    w.add_block_count(t["num_hidden_layers"])
    w.add_feed_forward_length(t["intermediate_size"])
    w.add_head_count(t["num_attention_heads"])
    w.add_head_count_kv(t["num_key_value_heads"])
    w.add_key_length(t["head_dim"])
    w.add_value_length(t["head_dim"])
    w.add_layer_norm_rms_eps(1e-6)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    vocabulary(w, c, t["vocab_size"])

    prefix = "language_model.model."
    w.add_tensor("token_embd.weight", c.raw(prefix + "embed_tokens.weight"), raw_dtype=Q.BF16)
    w.add_tensor("output_norm.weight", c.floats(prefix + "norm.weight") + 1)
    for i in range(t["num_hidden_layers"]):
        layer = f"{prefix}layers.{i}."
        for ours, theirs in [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")]:
            w.add_tensor(f"blk.{i}.{ours}.weight", c.floats(layer + theirs + ".weight") + 1)
        for ours, theirs in [("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
                             ("attn_output", "self_attn.o_proj"), ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"),
                             ("ffn_down", "mlp.down_proj")]:
            w.add_tensor(f"blk.{i}.{ours}.weight", c.raw(layer + theirs + ".weight"), raw_dtype=Q.BF16)
    write(w)


def vocabulary(w, c, size):
    """The checkpoint's tokenizer, as llama.cpp stores SentencePiece's; ids without a piece get a name of their own."""
    tokenizer = json.loads((c.folder / "tokenizer.json").read_text())
    pieces = dict(enumerate(f"[id {i}]" for i in range(size)))
    pieces.update({i: piece for piece, i in tokenizer["model"]["vocab"].items()})
    special = {t["id"]: t["content"] for t in tokenizer["added_tokens"]}
    pieces.update(special)
    kinds = [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(size)]
    for i, piece in pieces.items():
        if len(piece) == 6 and piece.startswith("<0x"):
            kinds[i] = gguf.TokenType.BYTE
    w.add_tokenizer_model("llama")
    w.add_token_list([pieces[i] for i in range(size)])
    w.add_token_scores([-float(i) for i in range(size)])
    w.add_token_types(kinds)
    w.add_bos_token_id(2)
    w.add_eos_token_id(1)
    w.add_unk_token_id(3)


def encoder(c, path):
    v = c.config["vision_config"]
    w = gguf.GGUFWriter(path, "clip")
    w.add_type("mmproj")
    w.add_name("siglip tower, random")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "gemma3")
    w.add_bool("clip.use_gelu", True)
    for key, value in [("image_size", v["image_size"]), ("patch_size", v["patch_size"]), ("embedding_length", v["hidden_size"]),
                       ("feed_forward_length", v["intermediate_size"]), ("block_count", v["num_hidden_layers"]),
                       ("attention.head_count", v["num_attention_heads"]), ("projection_dim", c.config["projection_dim"]),
                       ("projector.scale_factor", 1)]:
        w.add_uint32("clip.vision." + key, value)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    w.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)

    prefix = "vision_tower.vision_model."

    def both(ours, theirs):
        w.add_tensor(ours + ".weight", matrix(c.floats(prefix + theirs + ".weight")))
        w.add_tensor(ours + ".bias", c.floats(prefix + theirs + ".bias"))

    def matrix(a):
        return a.astype(np.float16) if a.ndim > 1 else a

    both("v.patch_embd", "embeddings.patch_embedding")
    w.add_tensor("v.position_embd.weight", c.floats(prefix + "embeddings.position_embedding.weight"))
    both("v.post_ln", "post_layernorm")
    for i in range(v["num_hidden_layers"]):
        for ours, theirs in [("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
                             ("attn_out", "self_attn.out_proj"), ("ln1", "layer_norm1"), ("ln2", "layer_norm2"),
                             ("ffn_up", "mlp.fc1"), ("ffn_down", "mlp.fc2")]:
            both(f"v.blk.{i}.{ours}", f"encoder.layers.{i}.{theirs}")
    # llama.cpp multiplies the projector's matrix from the other side than transformers' Linear.
    projection = c.floats("multi_modal_projector.linear.weight")
    w.add_tensor("mm.input_projection.weight", np.ascontiguousarray(projection.T).astype(np.float16))
    w.add_tensor("mm.soft_emb_norm.weight", np.ones(v["hidden_size"], np.float32))
    write(w)


def write(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    c = Checkpoint(sys.argv[1])
    decoder(c, sys.argv[2])
    encoder(c, sys.argv[3])


if __name__ == "__main__":
    main()
