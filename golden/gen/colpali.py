"""Makes golden/colpali-odd: a random tiny ColPali checkpoint with odd sizes, and what transformers makes of images and queries.

    python golden/gen/colpali.py                       (deterministic)
    python golden/gen/colpali.py OUT COUNT [SEED]      as many of random shapes, both decoders, every key layout and storage type
    PGC_GOLDEN=OUT go test -run TestEmbeddings ./internal/e2e/models

float32, eager attention; the inputs are those of ColPaliProcessor itself. embeddings-images.safetensors and
embeddings-queries.safetensors are a batch each: padded by the processor, run at once, and stored without the rows of
padding, which attention_mask names. Tensors of image or query i:

    input_ids.{i} [tokens]   embeddings.{i} [tokens, dim]

scores.safetensors holds score_retrieval's scores [queries, images], activations.safetensors what reference.py writes of the
first image. Metadata lists images and queries.
"""

import json
import pathlib
import random
import sys

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import ColPaliConfig, ColPaliForRetrieval, ColPaliProcessor, PaliGemmaConfig, PreTrainedTokenizerFast
from transformers import SiglipImageProcessorPil

import generate
import reference

PICTURES = generate.HERE / "pictures"
ODD = dict(
    dim=17, dtype=torch.bfloat16, layout="A", images=["noise.png", "shapes.png", "wide.png", "grey.png"],
    queries=["caption en", "how many cats are there in the answer?", "q", "the lazy dog ; ä 🐈\n two"],
    text=generate.text_config("gemma", hidden_size=43, intermediate_size=71, num_hidden_layers=3, num_attention_heads=5,
                              num_key_value_heads=1, head_dim=10),
    vision=dict(hidden_size=39, intermediate_size=53, num_hidden_layers=2, num_attention_heads=3, image_size=37, patch_size=7))


def rename(key, layout):
    """Keys in the layouts that transformers 5 reads: A the hub's, B as it saves them, C the module's names, D without vlm."""
    if not key.startswith("vlm."):
        return key
    key = key.replace("vision_tower.vision_model.", "vision_tower.")
    if layout in "AB":
        key = key.replace("vlm.language_model.", "vlm.language_model.model.")
    if layout in "AD":
        key = key.replace("vision_tower.", "vision_tower.vision_model.")
    return key.removeprefix("vlm.") if layout == "D" else key


def checkpoint(out, spec, seed):
    """Writes a checkpoint."""
    out.mkdir(parents=True, exist_ok=True)
    text, hidden = spec["text"], spec["text"]["hidden_size"]
    vision = dict(model_type="siglip_vision_model", vision_use_head=False, projection_dim=hidden, **spec["vision"])
    vlm = PaliGemmaConfig(text_config=text, vision_config=vision, image_token_index=generate.IMAGE, projection_dim=hidden,
                          pad_token_id=0, bos_token_id=2, eos_token_id=1)
    cfg = ColPaliConfig(vlm_config=vlm, embedding_dim=spec["dim"])
    torch.manual_seed(seed)
    net = ColPaliForRetrieval(cfg).float()
    tensors = {}
    with torch.no_grad():
        for key, p in net.state_dict().items():
            if p.ndim == 1:
                value = torch.randn_like(p) * .2 + (1 if "norm" in key and "vision" in key and "weight" in key else 0)
            else:
                value = torch.randn_like(p) * (2.2 if "q_proj" in key or "k_proj" in key else 1.0) / (p[0].numel() ** .5)
            tensors[rename(key, spec["layout"])] = value.to(spec["dtype"]).contiguous()
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    cfg.architectures = ["ColPaliForRetrieval"]
    (out / "config.json").write_text(json.dumps(cfg.to_diff_dict(), indent=1, default=str))
    (out / "tokenizer.json").write_text(generate.tokenizer(text["model_type"] == "gemma2"))
    side = vision["image_size"]
    (out / "preprocessor_config.json").write_text(json.dumps(dict(
        image_processor_type="SiglipImageProcessor", do_resize=True, do_rescale=True, do_normalize=True, resample=3,
        rescale_factor=1 / 255, image_mean=[.5] * 3, image_std=[.5] * 3, size=dict(height=side, width=side)), indent=1))


def processor(out, vision):
    """transformers' own processor of the checkpoint."""
    side, patch = vision["image_size"], vision["patch_size"]
    images = SiglipImageProcessorPil(size=dict(height=side, width=side))
    images.image_seq_length = (side // patch) ** 2
    codes = PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"), bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
                                    unk_token="<unk>", padding_side="left")
    codes.image_token, codes.image_token_id = "<image>", generate.IMAGE
    return ColPaliProcessor(image_processor=images, tokenizer=codes)


@torch.no_grad()
def embed(net, inputs):
    """Runs a batch and returns ids and embeddings without padding, and how far float32 is from float64."""
    inputs = {k: v for k, v in inputs.items() if k != "labels"}
    out = net(**inputs).embeddings
    exact = net.double()(**inputs | ({"pixel_values": inputs["pixel_values"].double()} if "pixel_values" in inputs else {})).embeddings
    net.float()
    kept = [m.bool() for m in inputs["attention_mask"]]
    error = max(float((e[m] - x[m]).abs().max()) for e, x, m in zip(out, exact, kept))
    return [i[m].int() for i, m in zip(inputs["input_ids"], kept)], [e[m].contiguous() for e, m in zip(out, kept)], error


def references(out, spec):
    """Writes the reference files of a checkpoint."""
    net = ColPaliForRetrieval.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
    process = processor(out, spec["vision"])
    inputs = dict(images=process(images=[Image.open(PICTURES / f) for f in spec["images"]]), queries=process(text=spec["queries"]))
    made = {}
    for name in inputs:
        ids, made[name], error = embed(net, inputs[name])
        tensors = {f"input_ids.{i}": x for i, x in enumerate(ids)} | {f"embeddings.{i}": x for i, x in enumerate(made[name])}
        reference.write(out / f"embeddings-{name}.safetensors", tensors, **{name: spec[name]}, error=error)
        print(out.name, name, [tuple(v.shape) for v in made[name]], f"float32 is off by {error:.1e}")
    values = inputs["images"]["pixel_values"][:1]
    codes = reference.Tokenizer.from_file(str(out / "tokenizer.json"))
    reference.write(out / "activations.safetensors", reference.page(net, codes, net.config, values), images=spec["images"][:1])
    scores = process.score_retrieval(made["queries"], made["images"])
    reference.write(out / "scores.safetensors", {"scores": scores.contiguous()}, images=spec["images"], queries=spec["queries"])


def main():
    if len(sys.argv) == 1:
        checkpoint(generate.HERE / "colpali-odd", ODD, 5)
        references(generate.HERE / "colpali-odd", ODD)
        return
    import fuzz
    out, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    for n in range(count):
        spec = fuzz.shape(rng)
        spec |= dict(dim=rng.randint(1, 40), images=[rng.choice(ODD["images"]) for _ in range(rng.randint(1, 4))],
                     queries=[" ".join(rng.choice(fuzz.WORDS) for _ in range(rng.randint(1, 20))) for _ in range(rng.randint(1, 4))])
        checkpoint(out / f"{n:03d}", spec, n)
        references(out / f"{n:03d}", spec)


if __name__ == "__main__":
    main()
