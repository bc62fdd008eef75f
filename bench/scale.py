"""Measures batch on this machine: rows a second, by processes and threads. Prints a table for docs/SCALE.md.

Usage: python bench/scale.py EXECUTABLE ROWS PICTURE…
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time


def run(executable: str, requests: str, folder: str, processes: int, threads: int) -> tuple[float, float]:
    """Answers the requests with so many processes, a shard each, and returns seconds of the clock and of processors."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    running = [
        subprocess.Popen(
            [executable, "batch", "--no-verify", "--input", requests, "--output", f"{folder}/out.jsonl"]
            + ["--shard", f"{i}/{processes}", "--threads", str(threads)]
        )
        for i in range(processes)
    ]
    for p in running:
        if p.wait() != 0:
            raise SystemExit(f"batch ended with status {p.returncode}")
    passed = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shards = [f"{folder}/out-{i:05d}-of-{processes:05d}.jsonl" for i in range(processes)]
    subprocess.run([executable, "merge", "-o", f"{folder}/all.jsonl", *shards], check=True, stderr=subprocess.DEVNULL)
    for name in shards:
        os.remove(name)
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(executable: str, rows: int, pictures: list[str]) -> None:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        requests = f"{folder}/in.jsonl"
        with open(requests, "w") as f:
            for i in range(rows):
                picture = os.path.abspath(pictures[i % len(pictures)])
                print(json.dumps({"id": i, "images": [picture], "prompt": "caption en"}), file=f)
        print("| processes | threads each | rows a second | rows a processor second | hours for a million | processor hours for a million |")
        print("|---|---|---|---|---|---|")
        plans = [(1, 1), (1, cores), (cores, 1), (2 * cores, 1)]
        for processes, threads in dict.fromkeys(plans):
            seconds, used = min(run(executable, requests, folder, processes, threads) for _ in range(3))
            print(f"| {processes} | {threads} | {rows / seconds:.0f} | {rows / used:.0f} | {1e6 / rows * seconds / 3600:.1f} | {1e6 / rows * used / 3600:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
