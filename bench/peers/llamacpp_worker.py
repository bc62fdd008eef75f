"""llama.cpp through its Python package: the SigLIP tower by its multimodal library, the decoder by its plain interface.

llama.cpp does not know PaliGemma. It gets the same tower and the same decoder, and all tokens of the prompt in one batch, as ids; a build
that knew PaliGemma would have to feed the picture's tokens as embeddings.

    llamacpp_worker.py DECODER.gguf MMPROJ.gguf THREADS TOKENS
"""

import ctypes
import sys

from worker import answers, now, serve, stamps

say = answers()
import llama_cpp as lc  # noqa: E402
import numpy as np  # noqa: E402

if sys.argv[2] != "-":
    from llama_cpp import mtmd_cpp as mt

quiet = lc.llama_log_callback(lambda level, text, data: None)
lc.llama_log_set(quiet, ctypes.c_void_p(0))


class Model:
    def __init__(self, decoder, mmproj, threads, context):
        lc.llama_backend_init()
        self.model = lc.llama_model_load_from_file(decoder.encode(), lc.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {decoder}")
        p = lc.llama_context_default_params()
        p.n_ctx = context
        p.n_batch = p.n_ubatch = max(512, context)
        p.n_threads = p.n_threads_batch = threads
        self.context = lc.llama_init_from_model(self.model, p)
        self.vocab_size = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        self.batch = lc.llama_batch_init(p.n_batch, 0, 1)
        self.tower = None
        if mmproj != "-":
            self.load_tower(mmproj, threads)

    def load_tower(self, mmproj, threads):
        p = mt.mtmd_context_params_default()
        p.use_gpu = False
        p.print_timings = False
        p.n_threads = threads
        p.warmup = False
        self.tower = mt.mtmd_init_from_file(mmproj.encode(), self.model, p)
        if not self.tower:
            raise SystemExit(f"llama.cpp cannot load {mmproj}")

    def encode(self, pixels):
        """pixels: [height, width, 3] bytes, of the size that the tower takes."""
        data = pixels.tobytes()
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        bitmap = mt.mtmd_bitmap_init(pixels.shape[1], pixels.shape[0], buffer)
        chunks = mt.mtmd_input_chunks_init()
        marker = mt.mtmd_default_marker()
        text = mt.mtmd_input_text(text=marker, text_len=len(marker), add_special=True, parse_special=True)
        bitmaps = (mt.mtmd_bitmap_p_ctypes * 1)(bitmap)
        if mt.mtmd_tokenize(self.tower, chunks, ctypes.byref(text), bitmaps, 1) != 0:
            raise SystemExit("llama.cpp cannot prepare the picture")
        for i in range(mt.mtmd_input_chunks_size(chunks)):
            chunk = mt.mtmd_input_chunks_get(chunks, i)
            if mt.mtmd_input_chunk_get_type(chunk) == mt.MTMD_INPUT_CHUNK_TYPE_IMAGE:
                tokens = mt.mtmd_input_chunk_get_n_tokens(chunk)
                if mt.mtmd_encode_chunk(self.tower, chunk) != 0:
                    raise SystemExit("llama.cpp cannot encode the picture")
        mt.mtmd_input_chunks_free(chunks)
        mt.mtmd_bitmap_free(bitmap)
        return tokens

    def step(self, ids, first):
        b = self.batch
        b.n_tokens = len(ids)
        for i, token in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0], b.logits[i] = token, first + i, 1, 0, i == len(ids) - 1
        if lc.llama_decode(self.context, b) != 0:
            raise SystemExit("llama.cpp cannot decode")
        logits = np.ctypeslib.as_array(lc.llama_get_logits_ith(self.context, len(ids) - 1), shape=(self.vocab_size,))
        return int(logits.argmax())


def main():
    decoder, mmproj, threads, context = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    model = Model(decoder, mmproj, threads, context)
    rng = np.random.default_rng(1)

    def work(prompt, new_tokens, image_size=224):
        pixels = rng.integers(0, 256, (image_size, image_size, 3), dtype=np.uint8)
        ids = [int(i) for i in rng.integers(5, 250_000, prompt)]
        lc.llama_memory_clear(lc.llama_get_memory(model.context), False)
        start = now()
        image_tokens = model.encode(pixels) if model.tower else 0
        encoded = now()
        tokens, times = [model.step(ids, 0)], [now()]
        while len(tokens) <= new_tokens:
            tokens.append(model.step(tokens[-1:], prompt + len(tokens) - 1))
            times.append(now())
        return {"image_tokens": image_tokens, **stamps(start, encoded, times)}

    info = lc.llama_print_system_info().decode()
    serve(say, work, version=lc.__version__, info=info)


if __name__ == "__main__":
    main()
