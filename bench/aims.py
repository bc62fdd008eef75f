"""The aims of the project for speed, each with what was measured and whether that reaches it."""

import statistics

from tables import share, table, times


def flops_share(report, phases):
    """Operations a second over phases, as a share of the float32 multiply-add limit."""
    chosen = [p for p in report["phases"] if p["name"] in phases]
    return sum(p["flops"] for p in chosen) / sum(p["seconds"] for p in chosen) / report["peaks"]["fma_flops_per_s"]


def large_share(report):
    """The same over the two largest products of prefill."""
    prefill = next(p for p in report["phases"] if p["name"] == "prefill")
    large = sorted((k for k in prefill["kernels"] if k["kernel"].startswith("matmul")), key=lambda k: -k["flops"])[:2]
    return sum(k["flops"] for k in large) / sum(k["seconds"] for k in large) / report["peaks"]["fma_flops_per_s"]


def bytes_share(report):
    """Bytes a second of decoding, as a share of the memory limit."""
    p = next(p for p in report["phases"] if p["name"] == "decode")
    return p["bytes"] / p["seconds"] / report["peaks"]["read_bytes_per_s"]


def product_rates(r, section, contender, shape):
    """Operations a second, in billions, of the kernels of a model that multiply rows of K by columns; of gate and up together twice as many columns."""
    m, k, n = shape
    out = []
    for report in r.reports(section, contender=contender):
        phase = next(p for p in report["phases"] if p["name"] == ("prefill" if m > 1 else "decode"))
        rows = [x for x in phase["kernels"] if any(f"x{k}x{c}_" in x["kernel"] and f"_{'S' if m > 1 else m}x" in x["kernel"] for c in (n, 2 * n))]
        if rows:
            out.append(sum(x["flops"] for x in rows) / sum(x["seconds"] for x in rows) / 1e9)
    return out


def memory_beyond(r, section, contender):
    """Peak memory less the weights and the part of the KV cache that was in use: of 266 tokens and those generated."""
    starts = r.of("start", section, contender=contender)
    peaks = r.values(section, contender, "peak_rss_bytes")
    if not starts or "weight_bytes" not in starts[0] or not peaks:
        return None
    s = starts[0]
    return max(peaks) - s["weight_bytes"] - s["kv_bytes"] * 298 / s["max_tokens"]


class Table:
    def __init__(self, r):
        self.r, self.rows = r, []

    def add(self, what, aim, value, form, at_most=False):
        if value is None:
            return
        good = value <= aim if at_most else value >= aim
        self.rows.append([what, ("≤ " if at_most else "≥ ") + form(aim), form(value), "yes" if good else "**no**"])

    def ahead(self, what, aim, section, base, peer, field):
        """How many times a peer's time is ours, or our rate is a peer's."""
        ours, theirs = self.r.median(section, base, field), self.r.median(section, peer, field)
        if ours and theirs:
            self.add(what, aim, ours / theirs if field == "tokens_per_s" else theirs / ours, times)

    def median(self, section, f, **where):
        reports = self.r.reports(section, **where)
        return statistics.median(f(p) for p in reports) if reports else None


def section(r):
    t = Table(r)
    first, decode = "first_token_s", "tokens_per_s"
    both = lambda p: flops_share(p, ["encode_image", "prefill"])
    shares = lambda weights, f: t.median("shares 2", f, contender=f"pgc {weights}", isa="best")
    t.add("bfloat16: operations before the first token, of the f32 limit", 0.85, shares("bf16", both), share)
    t.add("int8: the same", 1.2, shares("int8", both), share)
    t.add("int4: the same", 1.5, shares("int4", both), share)
    t.add("int4: the two large products", 1.8, shares("int4", large_share), share)
    for weights in ["bf16", "int8", "int4"]:
        t.add(f"{weights}: decoding, bytes of the memory limit", 0.9, shares(weights, bytes_share), share)
    t.ahead("bfloat16: first token, ahead of llama.cpp BF16", 1.5, "bfloat16 2", "pgc bf16", "llama.cpp BF16", first)
    t.ahead("bfloat16 weights and bfloat16 arithmetic (`--compute bf16`): first token, ahead of llama.cpp BF16", 1.5, "bfloat16 2",
            "pgc bf16, bf16 arithmetic", "llama.cpp BF16", first)
    t.ahead("bfloat16: first token, ahead of transformers float32", 1.5, "transformers 2", "pgc bf16", "transformers float32", first)
    t.ahead("int8: first token, ahead of llama.cpp Q8_0", 2, "int8 2", "pgc int8", "llama.cpp Q8_0", first)
    for peer, name in [("llama.cpp Q4_0", "int4 2"), ("llama.cpp Q4_K_M", "int4 2"), ("llama.cpp BF16", "bfloat16 2")]:
        t.ahead(f"int4: first token, ahead of {peer}", 2, name, "pgc int4", peer, first)
    t.ahead("int4: first token, ahead of torchao int4", 5, "torchao 2", "pgc int4", "torchao int4 weight-only g128", first)
    for weights, peer, aim in [("int8", "ONNX Runtime int8 (MatMulInteger u8·s8)", 1), ("int4", "ONNX Runtime int4 g128 (MatMulNBits, int8 arithmetic)", 1.8)]:
        for shape in [(266, 2048, 16384), (266, 16384, 2048)]:
            ours = product_rates(r, "gemm 2", f"pgc {weights}", shape)
            theirs = [2 * shape[0] * shape[1] * shape[2] / p["seconds"] / 1e9 for p in r.of("product", "gemm 2", contender=peer) if (p["m"], p["k"], p["n"]) == shape]
            if ours and theirs:
                t.add(f"{weights}: product {' × '.join(map(str, shape))}, ahead of {peer}", aim, statistics.median(ours) / statistics.median(theirs), times)
    t.ahead("bfloat16: decoding, ahead of llama.cpp BF16", 1.25, "bfloat16 2", "pgc bf16", "llama.cpp BF16", decode)
    t.ahead("int8: decoding, ahead of llama.cpp Q8_0", 1.4, "int8 2", "pgc int8", "llama.cpp Q8_0", decode)
    t.ahead("int4: decoding, ahead of llama.cpp Q4_0", 1.7, "int4 2", "pgc int4", "llama.cpp Q4_0", decode)
    for weights, name in [("bf16", "bfloat16 2"), ("int8", "int8 2"), ("int4", "int4 2")]:
        own = [t.r.median(name, f"pgc {weights}", field) for field in ("start_to_first_s", first)]
        if all(own):
            t.add(f"{weights}: process start to first token, beyond the first token's own time", 0.2, own[0] - own[1], lambda s: f"{s:.2f} s", at_most=True)
        beyond = memory_beyond(r, name, f"pgc {weights}")
        if beyond:
            t.add(f"{weights}: peak memory beyond weights and KV cache (arena, 120, and 40 MB)", 160, beyond / 1e6, lambda v: f"{v:.0f} MB", at_most=True)
    t.ahead("bfloat16: process start to first token, ahead of transformers float32", 4, "transformers 2", "pgc bf16", "transformers float32", "start_to_first_s")
    for weights in ["bf16", "int8", "int4"]:
        one, two = (t.median(f"shares {n}", lambda p: next(x["seconds"] for x in p["phases"] if x["name"] == "prefill"), contender=f"pgc {weights}", isa="best") for n in (1, 2))
        if one and two:
            t.add(f"{weights}: prefill, two threads over one", 1.8, one / two, times)
    for weights, aim in [("bf16", 0.85), ("int4", 1.3)]:
        t.add(f"{weights}: 896 pictures, operations before the first token of the f32 limit", aim, t.median("scale 2", both, contender=f"pgc {weights}", shape="896"), share)
    for weights in ["bf16", "int8", "int4"]:
        even, odd = (t.median("scale 2", both, contender=f"pgc {weights}", shape=s) for s in ("224", "odd"))
        if even and odd:
            t.add(f"{weights}: cost of odd dimensions, time per operation", 1.1, even / odd, times, at_most=True)
    if not t.rows:
        return ""
    return "## Goals and results\n\n2 threads unless stated otherwise.\n\n" + table(["", "goal", "measured", "met"], t.rows)
