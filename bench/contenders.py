"""What is measured: pgc's executables and the peers, each as an object that answers once and says how long that took.

An answer is a dict of encode_s, prefill_s, first_token_s (the call with a decoded picture to the first id), tokens_per_s of the tokens
after it, peak_rss_bytes; and for the first answer of a process start_to_first_s.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROMPT = "describe"  # 8 tokens of the random checkpoint's tokenizer, one a letter; with <bos> and the line feed 266 of prompt
PROMPT_TOKENS = 266


def cache(files):
    """Reads files, so that their pages are in memory."""
    for path in files:
        with open(path, "rb") as f:
            while f.read(1 << 24):
                pass


class Peer:
    """A worker process (peers/…_worker.py) that stays loaded between answers."""

    def __init__(self, name, script, arguments, work, threads, mapped=()):
        self.name, self.threads = name, threads
        self.mapped = mapped  # files that stay mapped while it works
        self.command = [sys.executable, str(HERE / "peers" / script), *map(str, arguments)]
        self.work = work
        self.process = None
        self.ready = {}

    def start(self):
        """Starts the process and measures the time to its first token, pages of its files cached."""
        cache(self.mapped)
        env = dict(os.environ, OMP_NUM_THREADS=str(self.threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
        begin = time.perf_counter()
        with open("out/bench/peers.log", "a") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, text=True)
        self.ready = self.read()
        self.ask(new_tokens=0)
        return {"start_to_first_s": time.perf_counter() - begin}

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}: {' '.join(self.command)}")
        return json.loads(line)

    def ask(self, **more):
        self.process.stdin.write(json.dumps({**self.work, **more}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def answer(self, new_tokens):
        cache(self.mapped)
        return self.ask(new_tokens=new_tokens)

    def stop(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process = None


class Pgc:
    """An executable made by pgc, with the instruction set that it chooses itself. Every answer is a new process with two requests: the first gives the time from its start, the second,
    about another picture, the times of a program that runs already, as the peers' are."""

    def __init__(self, name, file, threads, pictures, prompt=PROMPT):
        self.name, self.file, self.threads, self.pictures, self.prompt = name, Path(file), threads, pictures, prompt

    def start(self):
        """Has the file in the page cache as a first run leaves it: read through the program's own mapping."""
        fd = os.open(self.file, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        self.answer(1)
        info = json.loads(subprocess.run([str(self.file), "info", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout)
        return {k: info[k] for k in ("weight_bytes", "kv_bytes", "max_tokens")}

    def answer(self, new_tokens):
        lines = [{"id": i, "images": [str(p)], "prompt": self.prompt, "max_new_tokens": n}
                 for i, (p, n) in enumerate(zip(self.pictures, [1, new_tokens + 1]))]
        cache([self.file])
        begin = time.perf_counter()
        p = subprocess.Popen([str(self.file), "batch", "--input", "-", "--output", "-", "--threads", str(self.threads)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.stdin.write("".join(json.dumps(line) + "\n" for line in lines))
        p.stdin.close()
        first = json.loads(p.stdout.readline())
        start_to_first = time.perf_counter() - begin
        a = json.loads(p.stdout.readline())
        if p.wait() != 0 or len(a["tokens"]) != new_tokens + 1:
            raise RuntimeError(f"{self.name} gave {len(a.get('tokens', []))} tokens, expected {new_tokens + 1}: {a.get('error')}")
        t = a["timings"]
        return {"encode_s": t["preprocess_s"] + t["encode_s"], "prefill_s": t["prefill_s"],
                "first_token_s": t["preprocess_s"] + t["encode_s"] + t["prefill_s"], "tokens_per_s": t["tokens_per_s"],
                "start_to_first_s": start_to_first, "start_first_token_s": sum(first["timings"][k] for k in ("preprocess_s", "encode_s", "prefill_s")),
                "prompt_tokens": a["prompt_tokens"], "peak_rss_bytes": a["peak_rss_bytes"]}

    def stop(self):
        pass


def transformers(kind, checkpoint, threads, prompt=PROMPT):
    label = {"float32": "transformers float32", "bfloat16": "transformers bfloat16", "int4": "torchao int4 weight-only g128",
             "int4-dynamic": "torchao int4 weights, int8 activations"}[kind]
    return Peer(label, "transformers_worker.py", [checkpoint, kind, threads], {"prompt": prompt}, threads)


def llamacpp(kind, decoder, mmproj, threads, prompt_tokens=PROMPT_TOKENS):
    return Peer(f"llama.cpp {kind}", "llamacpp_worker.py", [decoder, mmproj, threads, prompt_tokens + 64], {"prompt": prompt_tokens}, threads, [decoder, mmproj])
