"""What is measured beside the main model: single products, and models of a few layers of other widths."""

# Rows, K, columns: the two large products of the decoder for a picture and its prompt, and one row of the first.
PRODUCTS = [(266, 2048, 16384), (266, 16384, 2048), (1, 2048, 16384)]


def shape(layers=4, side=224, width=2048, inner=16384, heads=8, key_heads=1, head=256, vision_layers=4, vision=1152, vision_inner=4304,
          vision_heads=16, kind="gemma", vocabulary=20481):
    """A config.json. The vocabulary is small: its one product has the same width as the released ones' in nothing else."""
    text = {"model_type": kind, "vocab_size": vocabulary, "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads,
            "num_key_value_heads": key_heads, "head_dim": head, "intermediate_size": inner, "hidden_activation": "gelu_pytorch_tanh"}
    if kind == "gemma2":
        text.update(query_pre_attn_scalar=head, attn_logit_softcapping=50.0, final_logit_softcapping=30.0, sliding_window=4096)
    return {"model_type": "paligemma", "architectures": ["PaliGemmaForConditionalGeneration"], "image_token_index": vocabulary - 1,
            "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "projection_dim": width, "hidden_size": width, "text_config": text,
            "vision_config": {"model_type": "siglip_vision_model", "hidden_size": vision, "intermediate_size": vision_inner,
                              "num_hidden_layers": vision_layers, "num_attention_heads": vision_heads, "patch_size": 14, "image_size": side,
                              "vision_use_head": False, "projection_dim": width}}


# Name, what it is, config.json, tokens of text.
SHAPES = [
    ("224", "PaliGemma 3B 224, 4 + 4 layers", shape(), 10),
    ("300-tokens", "the same, a prompt of 300 tokens", shape(), 300),
    ("odd", "the same, every dimension odd", shape(width=2047, inner=16383, heads=7, key_heads=1, head=258, vision=1157, vision_inner=4303, vision_heads=13), 11),
    ("448", "PaliGemma 3B 448, 4 + 4 layers", shape(side=448), 10),
    ("896", "PaliGemma 3B 896, 2 + 2 layers", shape(side=896, layers=2, vision_layers=2), 10),
    ("10b", "PaliGemma 2 10B 224, 4 + 4 layers", shape(width=3584, inner=14336, heads=16, key_heads=8, kind="gemma2"), 10),
]
