"""Writes a trained model as a checkpoint in the hub's layout, bfloat16.

    python export.py --state .train/gemma.pt --kind gemma --to ../paligemma-demo
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

import tokenizer
from model import SIDE, TOKENS, build

MAX_NEW_TOKENS = 128  # four objects with their masks


def hub_key(key):
    """A key of transformers 5 as the hub's checkpoints have it."""
    key = key.removeprefix("model.")
    if key.startswith("language_model."):
        return key.replace("language_model.", "language_model.model.", 1)
    if key.startswith("vision_tower.") and not key.startswith("vision_tower.vision_model."):
        return key.replace("vision_tower.", "vision_tower.vision_model.", 1)
    return key


def load_checkpoint(kind, folder):
    """The model of a kind with the weights of an exported checkpoint, in float32."""
    net, saved = build(kind), load_file(pathlib.Path(folder) / "model.safetensors")
    net.load_state_dict({k: saved[hub_key(k)].float() for k in net.state_dict() if k != "lm_head.weight"}, strict=False)
    net.tie_weights()
    return net


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--kind", default="gemma")
    args.add_argument("--state", required=True, help="what train.py or tune.py saved")
    args.add_argument("--to", required=True)
    args = args.parse_args()
    to = pathlib.Path(args.to)
    to.mkdir(parents=True, exist_ok=True)
    net = build(args.kind)
    net.load_state_dict(torch.load(args.state)["net"])
    tensors = {hub_key(k): v.to(torch.bfloat16).contiguous().clone() for k, v in net.state_dict().items() if k != "lm_head.weight"}
    save_file(tensors, to / "model.safetensors", {"format": "pt"})
    config = net.config.to_diff_dict() | {"model_type": "paligemma", "architectures": ["PaliGemmaForConditionalGeneration"],
                                          "dtype": "bfloat16"}
    dump = lambda name, data: (to / name).write_text(json.dumps(data, indent=2, default=str) + "\n")
    dump("config.json", config)
    (to / "tokenizer.json").write_text(tokenizer.build())
    dump("tokenizer_config.json", dict(tokenizer_class="GemmaTokenizerFast", bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
                                       unk_token="<unk>", add_bos_token=True, add_eos_token=False, processor_class="PaliGemmaProcessor"))
    dump("special_tokens_map.json", dict(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"))
    dump("preprocessor_config.json", dict(
        image_processor_type="SiglipImageProcessor", processor_class="PaliGemmaProcessor", do_resize=True, do_rescale=True,
        do_normalize=True, do_convert_rgb=True, resample=3, rescale_factor=1 / 255, image_mean=[.5] * 3, image_std=[.5] * 3,
        size=dict(height=SIDE, width=SIDE), image_seq_length=TOKENS))
    dump("generation_config.json", dict(bos_token_id=2, eos_token_id=1, pad_token_id=0, max_new_tokens=MAX_NEW_TOKENS))


if __name__ == "__main__":
    main()
