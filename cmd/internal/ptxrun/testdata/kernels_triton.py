"""Kernels in Triton, written for these tests."""

import triton
import triton.language as tl


@triton.jit
def matmul(a, b, bias, c, M, N, K, stride_a, stride_b, stride_c, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = gelu(a @ b + bias) in bfloat16, with a pipeline of asynchronous copies."""
    rm = tl.program_id(0) * BM + tl.arange(0, BM)
    rn = tl.program_id(1) * BN + tl.arange(0, BN)
    rk = tl.arange(0, BK)
    pa = a + rm[:, None] * stride_a + rk[None, :]
    pb = b + rk[:, None] * stride_b + rn[None, :]
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    for k in range(0, K, BK):
        x = tl.load(pa, mask=(rm[:, None] < M) & (k + rk[None, :] < K), other=0.0)
        y = tl.load(pb, mask=(k + rk[:, None] < K) & (rn[None, :] < N), other=0.0)
        acc = tl.dot(x, y, acc)
        pa += BK
        pb += BK * stride_b
    acc += tl.load(bias + rn, mask=rn < N, other=0.0)[None, :]
    acc *= tl.sigmoid(1.702 * acc)
    tl.store(c + rm[:, None] * stride_c + rn[None, :], acc.to(tl.bfloat16), mask=(rm[:, None] < M) & (rn[None, :] < N))


@triton.jit
def attention(q, k, v, o, rows, keys, scale, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr):
    """Causal flash attention of one head with float16 operands; the last row sees all keys."""
    rm = tl.program_id(0) * BM + tl.arange(0, BM)
    rd = tl.arange(0, D)
    x = tl.load(q + rm[:, None] * D + rd[None, :], mask=rm[:, None] < rows, other=0.0)
    top = tl.full((BM,), float("-inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    acc = tl.zeros((BM, D), tl.float32)
    for first in range(0, keys, BN):
        rn = first + tl.arange(0, BN)
        kt = tl.load(k + rn[None, :] * D + rd[:, None], mask=rn[None, :] < keys, other=0.0)
        s = tl.dot(x, kt) * (scale * 1.4426950408889634)
        s = tl.where((rn[None, :] < keys) & (rn[None, :] <= rm[:, None] + keys - rows), s, float("-inf"))
        new = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2(s - new[:, None])
        old = tl.exp2(top - new)
        total = total * old + tl.sum(p, 1)
        y = tl.load(v + rn[:, None] * D + rd[None, :], mask=rn[:, None] < keys, other=0.0)
        acc = tl.dot(p.to(tl.float16), y, acc * old[:, None])
        top = new
    tl.store(o + rm[:, None] * D + rd[None, :], acc / total[:, None], mask=rm[:, None] < rows)


@triton.jit
def gemv_int4(w, scale, x, y, N, K, GROUP: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """y = dequantized(w) @ x: eight unsigned integers of 4 bits a word less 8, a scale a group."""
    rn = tl.program_id(0) * BN + tl.arange(0, BN)
    rk = tl.arange(0, BK)
    acc = tl.zeros((BN, BK), tl.float32)
    for k in range(0, K, BK):
        at = k + rk
        mask = (rn[:, None] < N) & (at[None, :] < K)
        words = tl.load(w + rn[:, None] * (K // 8) + at[None, :] // 8, mask=mask, other=0)
        q = ((words >> ((at % 8) * 4)[None, :]) & 15) - 8
        s = tl.load(scale + rn[:, None] * (K // GROUP) + at[None, :] // GROUP, mask=mask, other=0.0)
        acc += q.to(tl.float32) * s.to(tl.float32) * tl.load(x + at, mask=at < K, other=0.0).to(tl.float32)[None, :]
    tl.store(y + rn, tl.sum(acc, 1), mask=rn < N)


@triton.jit
def norm(x, factor, y, N, eps, BLOCK: tl.constexpr):
    """y = x / rms(x) * factor, a row a block of several warps."""
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    v = tl.load(x + row * N + at, mask=at < N, other=0.0).to(tl.float32)
    r = tl.rsqrt(tl.sum(v * v, 0) / N + eps)
    tl.store(y + row * N + at, v * r * tl.load(factor + at, mask=at < N, other=0.0), mask=at < N)


@triton.jit
def split_sum(x, y, N, BLOCK: tl.constexpr):
    """y += sum(x) of every block, by atomics."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(y, tl.sum(tl.load(x + at, mask=at < N, other=0), 0))


@triton.jit
def softmax_scan(x, y, z, N, BLOCK: tl.constexpr):
    """Softmax, running sums and the place of the maximum of a row."""
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    v = tl.load(x + row * N + at, mask=at < N, other=float("-inf"))
    e = tl.exp(v - tl.max(v, 0))
    p = e / tl.sum(e, 0)
    tl.store(y + row * N + at, tl.cumsum(p, 0), mask=at < N)
    tl.store(z + row, tl.argmax(v, 0))


@triton.jit
def matmul_int8(a, b, c, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = a @ b of int8 in int32, one block."""
    rm, rn, rk = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.int32)
    for k in range(0, K, BK):
        x = tl.load(a + rm[:, None] * K + k + rk[None, :])
        y = tl.load(b + rn[None, :] * K + k + rk[:, None])
        acc = tl.dot(x, y, acc)
    tl.store(c + rm[:, None] * BN + rn[None, :], acc)


@triton.jit
def matmul_tf32(a, b, c, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c = a @ b of float32 through tf32, one block."""
    rm, rn, rk = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        x = tl.load(a + rm[:, None] * K + k + rk[None, :])
        y = tl.load(b + (k + rk[:, None]) * BN + rn[None, :])
        acc = tl.dot(x, y, acc, input_precision="tf32")
    tl.store(c + rm[:, None] * BN + rn[None, :], acc)


@triton.jit
def transpose_sort(x, y, N: tl.constexpr):
    """Columns of x sorted, transposed."""
    r = tl.arange(0, N)
    v = tl.load(x + r[:, None] * N + r[None, :])
    tl.store(y + r[:, None] * N + r[None, :], tl.sort(tl.trans(v)))
