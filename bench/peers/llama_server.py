"""llama.cpp's own server (tools/server, in C++) as the PyPI package xllamacpp has it, which is compiled for AVX2.

    llama_server.py MODEL.gguf PORT THREADS SLOTS TOKENS

TOKENS is what each slot has room for.
"""

import sys
import threading

import xllamacpp


def main():
    model, port, threads, slots, tokens = sys.argv[1], *map(int, sys.argv[2:])
    p = xllamacpp.CommonParams()
    p.model.path = model
    p.port = port
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    p.n_parallel, p.n_ctx = slots, slots * tokens
    p.cache_ram_mib = 0
    print(xllamacpp.get_system_info(), file=sys.stderr)
    server = xllamacpp.Server(p)
    print(server.listening_address, file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
