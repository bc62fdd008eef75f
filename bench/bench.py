"""Runs pgc and its peers on the same work, alternately, and writes docs/BENCHMARKS.md.

Run through `make bench` (everything, from nothing; 60 GB of disk, 24 GiB of memory, over an hour on two cores) or, for a part of it,

    out/bench/venv/bin/python bench/bench.py [--only bfloat16,torch32,torch16,int8,int4,torchao,gemm,shares,scale,report] [--threads 2,1] [--rounds 5]

What was measured lies in out/bench/results.jsonl; a part that runs again replaces what it measured before. --before and --after name
commands to run around every round, to quiet the machine, for instance.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import contenders
import pictures
import report
import shapes

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "bench"
RESULTS = OUT / "results.jsonl"
FORMATS = ["bf16", "bf16, bf16 arithmetic", "int8", "int4"]


def run(*command, **more):
    return subprocess.run([str(c) for c in command], check=True, **more)


class Bench:
    def __init__(self, args):
        self.args = args
        self.checkpoint = Path(args.checkpoint) if args.checkpoint else OUT / "paligemma-3b-224"
        self.pictures = [OUT / "a.png", OUT / "b.png"]
        self.section = None

    # What there must be before anything is measured. Everything is made once.

    def need_checkpoint(self):
        if not (self.checkpoint / "config.json").exists():
            run(self.args.pgc, "random", "paligemma-3b-224", "-o", self.checkpoint)
        for i, path in enumerate(self.pictures):
            if not path.exists():
                path.write_bytes(pictures.noise(i))
        return self.checkpoint

    def executable(self, format, checkpoint=None, name=None):
        """Compiles a checkpoint for this CPU and for any with AVX2; again if pgc is newer than the executable. A format is the weights'
        type, with the arithmetic of products behind it where that is not the default."""
        checkpoint = checkpoint or self.need_checkpoint()
        path = OUT / f"pgc-{name or 'main'}-{format.replace(', ', '-').replace(' ', '-')}"
        weights, _, arithmetic = format.partition(", ")
        flags = ["--compute", arithmetic.removesuffix(" arithmetic")] if arithmetic else []
        if not path.exists() or path.stat().st_mtime < Path(self.args.pgc).stat().st_mtime and not self.args.keep:
            path.unlink(missing_ok=True)
            run(self.args.pgc, "compile", checkpoint, "--weights", weights, "--cpu", self.args.cpu, "-o", path, *flags)
        return path

    def gguf(self, kind):
        decoder, mmproj = OUT / f"gemma-{kind}.gguf", OUT / "siglip-f16.gguf"
        full = OUT / "gemma-BF16.gguf"
        if not mmproj.exists() or not full.exists():
            run(sys.executable, ROOT / "bench/to_gguf.py", self.need_checkpoint(), full, mmproj)
        if not decoder.exists():
            with open(OUT / "peers.log", "a") as log:
                run(sys.executable, ROOT / "bench/peers/quantize.py", full, decoder, kind, stdout=log, stderr=log)
        return decoder, mmproj

    # Measuring.

    def begin(self, section):
        self.section = section
        kept = []
        if RESULTS.exists():
            kept = [line for line in RESULTS.read_text().splitlines() if json.loads(line)["section"] != section]
        new = RESULTS.with_suffix(".new")
        new.write_text("".join(line + "\n" for line in kept))
        new.rename(RESULTS)
        self.note(kind="conditions", **conditions())

    def note(self, **row):
        with open(RESULTS, "a") as f:
            f.write(json.dumps({"section": self.section, **row}) + "\n")

    def quietly(self, work):
        if self.args.before:
            run("sh", "-c", self.args.before)
        try:
            return work()
        finally:
            if self.args.after:
                run("sh", "-c", self.args.after)

    def alternate(self, section, threads, makers, rounds=None, new_tokens=32):
        """Starts the contenders one after the other, then has each answer in turn, round by round."""
        self.begin(section)
        started = []
        try:
            for make in makers:
                c = make()
                started.append(c)
                begun = self.quietly(c.start)
                self.note(kind="start", contender=c.name, threads=threads, **begun, ready=getattr(c, "ready", {}))
                print(f"{section}: {c.name} started {begun}", flush=True)
            for i in range(rounds or self.args.rounds):
                for c, r in self.quietly(lambda: [(c, c.answer(new_tokens)) for c in started]):
                    self.note(kind="answer", contender=c.name, threads=threads, round=i, **r)
                    print(f"{section}: {i} {c.name} first token {r['first_token_s']:.3f} s, {r.get('tokens_per_s', 0):.2f} tokens/s", flush=True)
                time.sleep(self.args.pause)
        finally:
            for c in started:
                c.stop()

    def pgc(self, format, threads):
        file = self.executable(format)
        return lambda: contenders.Pgc(f"pgc {format}", file, threads, self.pictures)

    def llama(self, kind, threads):
        decoder, mmproj = self.gguf(kind)
        return lambda: contenders.llamacpp(kind, decoder, mmproj, threads)

    def torch(self, kind, threads):
        checkpoint = self.need_checkpoint()
        return lambda: contenders.transformers(kind, checkpoint, threads)

    def bfloat16(self, t):
        self.alternate(f"bfloat16 {t}", t, [self.pgc("bf16", t), self.pgc("bf16, bf16 arithmetic", t), self.llama("BF16", t), self.pgc("int4", t)])

    def torch32(self, t):
        self.alternate(f"transformers {t}", t, [self.pgc("bf16", t), self.torch("float32", t)])

    def torch16(self, t):
        self.alternate(f"transformers bfloat16 {t}", t, [self.pgc("bf16", t), self.torch("bfloat16", t)])

    def int8(self, t):
        self.alternate(f"int8 {t}", t, [self.pgc("int8", t), self.llama("Q8_0", t)])

    def int4(self, t):
        self.alternate(f"int4 {t}", t, [self.pgc("int4", t), self.llama("Q4_0", t), self.llama("Q4_K_M", t)])

    def torchao(self, t):
        self.alternate(f"torchao {t}", t, [self.pgc("int4", t), self.torch("int4", t)])

    def gemm(self, t):
        """Single products by ONNX Runtime and OpenVINO; pgc's are kernels of its models, timed by pgc bench in every round."""
        files = [self.executable(w) for w in FORMATS]
        self.begin(f"gemm {t}")
        script = [sys.executable, str(ROOT / "bench/peers/gemm_worker.py"), str(t)]
        with open(OUT / "peers.log", "a") as log:
            p = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        ready = json.loads(p.stdout.readline())
        self.note(kind="start", contender="ONNX Runtime", threads=t, ready=ready)

        def ask(**work):
            p.stdin.write(json.dumps(work) + "\n")
            p.stdin.flush()
            return json.loads(p.stdout.readline())

        for i in range(self.args.rounds):
            for weights, file in zip(FORMATS, files):
                r = self.quietly(lambda: self.pgc_bench(file, t, "--new", 4))
                self.note(kind="kernels", contender=f"pgc {weights}", threads=t, round=i, report=r)
                time.sleep(self.args.pause)
            for name in ready["contenders"]:
                work = [{"contender": name, "m": m, "k": k, "n": n} for m, k, n in shapes.PRODUCTS]
                for w, a in self.quietly(lambda: [(w, ask(**w, seconds=0.3, runs=3)) for w in work]):
                    self.note(kind="product", **w, threads=t, round=i, seconds=min(a["seconds"]))
                time.sleep(self.args.pause / 4)
            print(f"gemm {t}: round {i}", flush=True)
        p.stdin.close()
        p.wait()

    def pgc_bench(self, file, threads, *flags):
        out = run(self.args.pgc, "bench", file, "--json", "--threads", threads, *flags, stdout=subprocess.PIPE, text=True).stdout
        return json.loads(out)

    def shares(self, t):
        """Shares of the machine's peaks on the main model, also with the instructions of any CPU with AVX2."""
        self.begin(f"shares {t}")
        for weights in FORMATS:
            file = self.executable(weights)
            for isa in [""] if self.args.best or "arithmetic" in weights else ["", "x86-64-v3"]:
                for i in range(min(3, self.args.rounds)):
                    r = self.quietly(lambda: self.pgc_bench(file, t, *(["--isa", isa] if isa else [])))
                    self.note(kind="kernels", contender=f"pgc {weights}", isa=isa or "best", threads=t, round=i, report=r)
                    print(f"shares {t}: {weights} {isa or 'best'} first token {r['answer']['first_token_s']:.3f} s", flush=True)
                    time.sleep(self.args.pause)

    def scale(self, t):
        """Other shapes: a few layers of each, of the released widths."""
        self.begin(f"scale {t}")
        for name, _, config, text in shapes.SHAPES:
            if name not in self.args.shapes.split(","):
                continue
            folder = OUT / f"shape-{name}"
            folder.mkdir(exist_ok=True)
            (folder / "shape.json").write_text(json.dumps(config))
            checkpoint = folder / "checkpoint"
            if not (checkpoint / "config.json").exists():
                run(self.args.pgc, "random", folder / "shape.json", "-o", checkpoint)
            for weights in FORMATS:
                file = self.executable(weights, checkpoint, f"shape-{name}")
                for i in range(min(3, self.args.rounds)):
                    r = self.quietly(lambda: self.pgc_bench(file, t, "--text", text, "--new", 8))
                    self.note(kind="kernels", contender=f"pgc {weights}", shape=name, threads=t, round=i, report=r)
                    time.sleep(self.args.pause)
                print(f"scale {t}: {name} {weights} first token {r['answer']['first_token_s']:.3f} s", flush=True)
                file.unlink()
            run("rm", "-rf", folder)


def conditions():
    cpu = flags = ""
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            flags = line.split(":", 1)[1].split()
    sets = [f for f in ["avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"] if f in flags]
    family = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in open("/proc/cpuinfo") if ":" in line}
    memory = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) * 1024
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=10"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    return {"cpu": cpu, "family": f"{family.get('cpu family')}/{family.get('model')}", "cores": len(os.sched_getaffinity(0)), "sets": sets,
            "memory_bytes": memory, "kernel": os.uname().release, "commit": commit, "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}


PARTS = ["bfloat16", "torch32", "torch16", "int8", "int4", "torchao", "gemm", "shares", "scale"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default=",".join([*PARTS, "report"]), help="parts, with commas between: " + ", ".join([*PARTS, "report"]))
    p.add_argument("--threads", default="2,1", help="numbers of threads, with commas between")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--checkpoint", help="a paligemma-3b-224 checkpoint made by pgc random, instead of a new one")
    p.add_argument("--pgc", default=ROOT / "bin/pgc", help="the compiler to run")
    p.add_argument("--cpu", default="x86-64-v3,native", help="what pgc compiles for")
    p.add_argument("--best", action="store_true", help="shares: only with the best instructions")
    p.add_argument("--shapes", default=",".join(name for name, *_ in shapes.SHAPES), help="scale: which shapes")
    p.add_argument("--keep", action="store_true", help="keep executables that are older than bin/pgc")
    p.add_argument("--pause", type=float, default=0, help="seconds between rounds")
    p.add_argument("--before", help="command to run before every round")
    p.add_argument("--after", help="command to run after every round")
    args = p.parse_args()
    parts = args.only.split(",")
    for part in parts:
        if part not in [*PARTS, "report"]:
            p.error(f"--only {part}: expected some of {', '.join([*PARTS, 'report'])}")
    os.chdir(ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    for part in parts:
        if part == "report":
            continue
        for threads in map(int, args.threads.split(",")):
            getattr(bench, part)(threads)
    if "report" in parts:
        report.write(RESULTS, ROOT / "docs" / "BENCHMARKS.md")


if __name__ == "__main__":
    main()
