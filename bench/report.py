"""Turns out/bench/results.jsonl into docs/BENCHMARKS.md."""

import json
import statistics
from pathlib import Path

import aims
from tables import gib, rate, seconds, share, spread, table, times

TITLES = {
    "bfloat16": "bfloat16 weights: pgc and llama.cpp",
    "transformers": "bfloat16 weights: pgc and transformers float32",
    "transformers bfloat16": "bfloat16 weights: pgc and transformers bfloat16",
    "int8": "8-bit weights: pgc and llama.cpp Q8_0",
    "int4": "4-bit weights: pgc and llama.cpp",
    "torchao": "4-bit weights: pgc and torchao int4_weight_only, groups of 128",
}


class Results:
    """The measurements, by section and kind."""

    def __init__(self, path):
        self.rows = [json.loads(line) for line in Path(path).read_text().splitlines()] if Path(path).exists() else []

    def of(self, kind, section=None, **where):
        return [r for r in self.rows if r["kind"] == kind and (section is None or r["section"] == section) and all(r.get(k) == v for k, v in where.items())]

    def contenders(self, section):
        return list(dict.fromkeys(r["contender"] for r in self.of("start", section)))

    def values(self, section, contender, field):
        rows = self.of("answer", section, contender=contender) + self.of("start", section, contender=contender)
        return [r[field] for r in rows if field in r]

    def median(self, section, contender, field):
        v = self.values(section, contender, field)
        return statistics.median(v) if v else None

    def sections(self, head):
        """Threads and names of the sections of a head that were measured, most threads first."""
        names = dict.fromkeys(r["section"] for r in self.rows)
        found = [(int(n.rsplit(" ", 1)[1]), n) for n in names if n.rsplit(" ", 1)[0] == head]
        return sorted(found, reverse=True)

    def reports(self, section, **where):
        return [r["report"] for r in self.of("kernels", section, **where)]


def write(results, path):
    r = Results(results)
    parts = [head(r), aims.section(r), answers(r), products(r), shares_section(r), shapes_section(r)]
    Path(path).write_text("\n\n".join(p for p in parts if p) + "\n")


def head(r):
    lines = ["# Benchmarks", "",
             "Written by `make bench` (`bench/`), which prepares everything measured here: a PaliGemma 3B checkpoint at 224 pixels with random weights,",
             "the peers' environment, and the same weights in the peers' formats. The input is one picture and 10 tokens of text (266 tokens in all),",
             "followed by 32 greedy tokens. The contenders of a table run interleaved, round by round. Numbers are medians, with minimum and maximum in",
             "brackets; ratios compare numbers of one table. First token: from a decoded picture to the first id, in a warm process. From process",
             "start: from the start of a process, with its files in the page cache, to the first token. Sections are measured one by one, and the",
             "others stay as they were. The tables of each, with so many threads, are of this time and commit:", ""]
    for c in r.of("conditions"):
        lines.append(f"- {c['section']}: {c['date']} UTC, commit {c['commit']}")
    c = r.of("conditions")[-1]
    lines += ["", f"Machine: {c['cpu']} (family/model {c['family']}), {c['cores']} cores, {', '.join(c['sets'])}; {gib(c['memory_bytes'])} of memory; Linux {c['kernel']}.",
              "Peers: " + versions(r) + ".", "",
              "llama.cpp does not support PaliGemma: it runs the decoder as a Gemma model with the prompt as 266 ids in one batch, and the SigLIP tower",
              "in float16 through its multimodal library (as Gemma 3's, without the pooling). Its answers are not compared."]
    return "\n".join(lines)


def versions(r):
    found = {}
    for row in r.of("start"):
        ready = row.get("ready", {})
        v = ready.get("version")
        if isinstance(v, dict):
            found.update(v)
        elif v:
            found["llama-cpp-python"] = v
        found.update(ready.get("versions", {}))
    return ", ".join(f"{name} {v}" for name, v in sorted(found.items()))


def answers(r):
    out = ["## Whole answers"]
    for key, title in TITLES.items():
        for threads, section in r.sections(key):
            out.append(f"### {title}, {threads} thread{'s' if threads > 1 else ''}\n\n" + answer_table(r, section))
    return "\n\n".join(out) if len(out) > 1 else ""


def answer_table(r, section):
    names = r.contenders(section)
    base = names[0]
    rows = []
    for name in names:
        get = lambda field: r.values(section, name, field)
        first, speed = r.median(section, name, "first_token_s"), r.median(section, name, "tokens_per_s")
        rows.append([name if name.startswith(base) or not name.startswith("pgc") else f"(for comparison) {name}", spread(get("encode_s"), seconds), spread(get("prefill_s"), seconds), spread(get("first_token_s"), seconds),
                     spread(get("tokens_per_s"), rate), spread(get("start_to_first_s"), seconds), gib(max(get("peak_rss_bytes"), default=0)),
                     "" if name == base else times(first / r.median(section, base, "first_token_s")),
                     "" if name == base else times(r.median(section, base, "tokens_per_s") / speed),
                     "" if name == base else times(r.median(section, name, "start_to_first_s") / r.median(section, base, "start_to_first_s"))])
    return table(["", "encoder, s", "prefill, s", "first token, s", "tokens/s", "from process start, s", "peak RSS", f"{base} is ahead: first token",
                  "decoding", "from start"], rows)


def products(r):
    out = []
    for threads, section in r.sections("gemm"):
        shapes = list(dict.fromkeys((p["m"], p["k"], p["n"]) for p in r.of("product", section)))
        rows = []
        for name in dict.fromkeys(p["contender"] for p in r.of("product", section)):
            cells = [name]
            for m, k, n in shapes:
                v = [2 * m * k * n / p["seconds"] / 1e9 for p in r.of("product", section, contender=name) if (p["m"], p["k"], p["n"]) == (m, k, n)]
                cells.append(spread(v, rate))
            rows.append(cells)
        for name in dict.fromkeys(p["contender"] for p in r.of("kernels", section)):
            rows.append([f"**{name}**"] + [spread(aims.product_rates(r, section, name, s), rate) for s in shapes])
        out.append(f"### {threads} thread{'s' if threads > 1 else ''}\n\n" + table(["GFLOP/s (integers: GOP/s)"] + [f"{m} × {k} × {n}" for m, k, n in shapes], rows))
    if not out:
        return ""
    note = ("Peers multiply the same matrix repeatedly; in the last column it may stay in a cache, which favors them. pgc's numbers are those of kernels\n"
            "in its model: gate and up projection in one kernel (twice the columns, with GELU and product), and the down projection with its residual\n"
            "sum, both without the row that quantizes.")
    return "## Single products\n\n" + note + "\n\n" + "\n\n".join(out)


def shares_section(r):
    out = []
    for threads, section in r.sections("shares"):
        rows = []
        for row in r.of("kernels", section, round=0):
            reports = r.reports(section, contender=row["contender"], isa=row["isa"])
            rows.append([row["contender"], row["report"]["cpu"], *phase_cells(reports), f"{max(p['arena_bytes'] for p in reports) / 1e6:.0f} MB"])
        out.append(f"### {threads} thread{'s' if threads > 1 else ''}\n\n" + table(["", "instructions", "f32 multiply-add, GFLOP/s", "memory, GB/s", *PHASES, "arena"], rows))
    if not out:
        return ""
    return ("## Shares of the machine's limits\n\nMedians from `pgc bench`. Encoder and prefill: operations per second relative to the peak of float32 multiply-adds from registers.\n"
            "Decoding: bytes of weights and cache per second relative to the peak read bandwidth of memory. Both peaks are measured before and after.\n\n" + "\n\n".join(out))


PHASES = ["encoder", "prefill", "encoder + prefill", "largest products", "decoding"]


def phase_cells(reports):
    def of(f):
        return [f(p) for p in reports]

    def med(f):
        return statistics.median(of(f))

    return [f"{med(lambda p: p['peaks']['fma_flops_per_s']) / 1e9:.0f}", f"{med(lambda p: p['peaks']['read_bytes_per_s']) / 1e9:.0f}",
            share(med(lambda p: aims.flops_share(p, ["encode_image"]))), share(med(lambda p: aims.flops_share(p, ["prefill"]))),
            share(med(lambda p: aims.flops_share(p, ["encode_image", "prefill"]))), share(med(aims.large_share)), share(med(aims.bytes_share))]


def shapes_section(r):
    import shapes

    out = []
    for threads, section in r.sections("scale"):
        rows = []
        for name, what, _, text in shapes.SHAPES:
            for contender in dict.fromkeys(p["contender"] for p in r.of("kernels", section, shape=name)):
                reports = r.reports(section, contender=contender, shape=name)
                rows.append([what, reports[0]["prompt_tokens"], contender, *phase_cells(reports), f"{max(p['arena_bytes'] for p in reports) / 1e6:.0f} MB"])
        out.append(f"### {threads} thread{'s' if threads > 1 else ''}\n\n" + table(["", "tokens", "", "f32 multiply-add, GFLOP/s", "memory, GB/s", *PHASES, "arena"], rows))
    if not out:
        return ""
    return "## Other shapes\n\nA few layers of the released widths with a vocabulary of 20,481. Shares as above.\n\n" + "\n\n".join(out)
