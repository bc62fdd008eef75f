"""transformers on the CPU as its users run it: from_pretrained, the processor, generate. Attention is sdpa.

    transformers_worker.py CHECKPOINT float32|bfloat16|int4|int4-dynamic THREADS

int4 is torchao's weight-only int4 with groups of 128 and its packing for CPUs, over bfloat16 as on the PaliGemma page;
int4-dynamic is torchao's int4 weights with int8 activations.
"""

import sys

from worker import answers, now, serve, stamps

say = answers()
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoProcessor, PaliGemmaForConditionalGeneration  # noqa: E402
from transformers.generation.streamers import BaseStreamer  # noqa: E402


class Stopwatch(BaseStreamer):
    """Notes when each token comes; the first call is the prompt's."""

    def __init__(self):
        self.calls = []

    def put(self, value):
        self.calls.append(now())

    def end(self):
        pass


def load(checkpoint, kind):
    dtype = torch.float32 if kind == "float32" else torch.bfloat16
    model = PaliGemmaForConditionalGeneration.from_pretrained(checkpoint, dtype=dtype, attn_implementation="sdpa").eval()
    if kind.startswith("int4"):
        from torchao.prototype.quantization.int4 import Int8DynamicActivationInt4WeightConfig, PrototypeInt4WeightOnlyConfig
        from torchao.quantization import quantize_

        config = PrototypeInt4WeightOnlyConfig if kind == "int4" else Int8DynamicActivationInt4WeightConfig
        linear = torch.nn.Linear  # the lm_head shares the embedding's table, which stays
        quantize_(model, config(group_size=128), lambda m, name: isinstance(m, linear) and not name.endswith("lm_head"))
    return model


def main():
    checkpoint, kind, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    model = load(checkpoint, kind)
    processor = AutoProcessor.from_pretrained(checkpoint)
    processor.tokenizer.bos_token = "<bos>"  # random checkpoints have no tokenizer_config.json, which would say so
    inner = model.model
    encoded = []
    inner.multi_modal_projector.register_forward_hook(lambda *_: encoded.append(now()))
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(1)

    @torch.inference_mode()
    def work(prompt, new_tokens):
        """prompt is a text; the picture is noise, of the size that most cameras' thumbnails have."""
        image = Image.fromarray(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8))
        encoded.clear()
        watch = Stopwatch()
        start = now()
        inputs = processor(images=image, text="<image>" + prompt, return_tensors="pt").to(model.dtype)
        model.generate(**inputs, do_sample=False, min_new_tokens=new_tokens + 1, max_new_tokens=new_tokens + 1, streamer=watch)
        return {"prompt_tokens": inputs["input_ids"].shape[1], **stamps(start, encoded[0], watch.calls[1:])}

    serve(say, work, version={"transformers": transformers.__version__, "torch": torch.__version__}, capability=torch.backends.cpu.get_cpu_capability())


if __name__ == "__main__":
    main()
