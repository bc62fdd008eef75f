"""Makes PTX of the kernels in this folder with Triton, NVRTC, clang and LLVM's llc, and inputs and results with numpy.

    python -m venv V && V/bin/pip install triton numpy nvidia-cuda-nvrtc-cu12 nvidia-cuda-runtime-cu12
    V/bin/python cmd/internal/ptxrun/testdata/gen.py          (llc is that of LLVM 14 or later, clang-14 that of the system)

Neither needs a GPU or a toolkit. cases.json lists the runs: what `pgc ptx run` is given, and how far results may be off.
"""

import ctypes
import glob
import json
import os
import pathlib
import re
import struct
import subprocess
import sysconfig

os.environ["TRITON_DISABLE_LINE_INFO"] = "1"
os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"

import numpy as np
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import kernels_triton

HERE = pathlib.Path(__file__).resolve().parent
SITE = pathlib.Path(sysconfig.get_paths()["purelib"])
rng = np.random.default_rng(1)
cases = []


def bf16(x):
    """The bits of x in bfloat16, rounded to nearest even."""
    u = np.asarray(x, np.float32).view(np.uint32)
    return ((u + 0x7FFF + (u >> 16 & 1)) >> 16).astype(np.uint16)


def f32(u):
    """Values of bfloat16 bits."""
    return (u.astype(np.uint32) << 16).view(np.float32)


def save(path, tensors):
    """Writes a safetensors file; uint16 holds the bits of bfloat16."""
    names = {"float32": "F32", "float64": "F64", "float16": "F16", "uint16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8"}
    head, data = {}, b""
    for name, v in tensors.items():
        v = np.ascontiguousarray(v)
        head[name] = {"dtype": names[str(v.dtype)], "shape": list(v.shape), "data_offsets": [len(data), len(data) + v.nbytes]}
        data += v.tobytes()
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def case(name, ptx, kernel, grid, block, args, tensors, expected, tolerance, shared=0):
    """Adds a run: args as --arg has them, with @ for the file of tensors; expected by result; tolerance relative to the largest."""
    save(HERE / f"{name}.safetensors", tensors | {f"expected.{k}": v for k, v in expected.items()})
    cases.append(dict(name=name, ptx=ptx, kernel=kernel, grid=grid, block=block, shared=shared, args=args, tolerance=tolerance))


def nvrtc(source, target):
    """Compiles CUDA for sm_80."""
    lib = ctypes.CDLL(glob.glob(str(SITE / "nvidia/cuda_nvrtc/lib/libnvrtc.so.1?"))[0])
    program = ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), source.name.encode(), 0, None, None)
    options = [b"--gpu-architecture=compute_80", b"--std=c++17", b"-I" + str(SITE / "nvidia/cuda_runtime/include").encode()]
    status = lib.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    lib.nvrtcGetPTXSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetPTX(program, text)
    target.write_bytes(text.value)


def compile_triton(name, signature, constants, warps=4, stages=3, aligned=()):
    """Compiles a Triton kernel and returns its bytes of shared memory. Aligned are arguments that 16 divides."""
    kernel = getattr(kernels_triton, name)
    types = signature | {k: "constexpr" for k in constants}
    order = list(types)
    source = ASTSource(fn=kernel, signature=types, constexprs=constants, attrs={(order.index(a),): [["tt.divisibility", 16]] for a in aligned})
    k = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=dict(num_warps=warps, num_stages=stages))
    text = re.sub(r"[ \t]*//.*", "", k.asm["ptx"])
    (HERE / f"triton_{name}.ptx").write_text(re.sub(r"\n\s*\n+", "\n", text).lstrip())
    return k.metadata.shared


def gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def triton_cases():
    M, N, K = 70, 72, 100
    a, b, bias = bf16(rng.normal(size=(M, 104))), bf16(rng.normal(size=(K, N))), rng.normal(size=N).astype(np.float32)
    shared = compile_triton("matmul", dict(a="*bf16", b="*bf16", bias="*fp32", c="*bf16", M="i32", N="i32", K="i32", stride_a="i32", stride_b="i32", stride_c="i32"),
                            dict(BM=32, BN=32, BK=32), aligned=("a", "b", "bias", "c"))
    # Strides are not known to be multiples of 16, so loads are narrow; a second kernel below copies 16 bytes.
    want = gelu(f32(a[:, :K]).astype(np.float64) @ f32(b) + bias)
    case("triton_matmul", "triton_matmul.ptx", "matmul", [3, 3, 1], [], ["in:@:a", "in:@:b", "in:@:bias", f"out:c:bf16[{M},{N}]"] +
         [f"i32:{v}" for v in (M, N, K, 104, N, N)] + ["null", "null"], dict(a=a, b=b, bias=bias), dict(c=bf16(want)), 1 / 128, shared)

    D, rows, keys = 256, 20, 45
    q, k, v = (rng.normal(size=s).astype(np.float16) for s in ((rows, D), (keys, D), (keys, D)))
    shared = compile_triton("attention", dict(q="*fp16", k="*fp16", v="*fp16", o="*fp32", rows="i32", keys="i32", scale="fp32"), dict(BM=16, BN=16, D=D),
                            stages=2, aligned=("q", "k", "v", "o"))
    s = q.astype(np.float64) @ k.T.astype(np.float64) / 16
    s[np.arange(keys)[None, :] > np.arange(rows)[:, None] + keys - rows] = -np.inf
    p = np.exp(s - s.max(1, keepdims=True))
    want = p / p.sum(1, keepdims=True) @ v.astype(np.float64)
    case("triton_attention", "triton_attention.ptx", "attention", [2, 1, 1], [], ["in:@:q", "in:@:k", "in:@:v", f"out:o:f32[{rows},{D}]", f"i32:{rows}", f"i32:{keys}",
         "f32:0.0625", "null", "null"], dict(q=q, k=k, v=v), dict(o=want.astype(np.float32)), 2e-3, shared)

    N, K, group = 37, 320, 32
    w = rng.integers(-2**31, 2**31, size=(N, K // 8)).astype(np.int32)
    scale, x = rng.normal(size=(N, K // group)).astype(np.float16), bf16(rng.normal(size=K))
    shared = compile_triton("gemv_int4", dict(w="*i32", scale="*fp16", x="*bf16", y="*fp32", N="i32", K="i32"), dict(GROUP=group, BN=8, BK=128),
                            aligned=("w", "scale", "x", "y"))
    ints = (w[:, :, None] >> (np.arange(8) * 4) & 15).reshape(N, K) - 8
    want = (ints * np.repeat(scale.astype(np.float64), group, 1)) @ f32(x)
    case("triton_gemv_int4", "triton_gemv_int4.ptx", "gemv_int4", [5, 1, 1], [], ["in:@:w", "in:@:scale", "in:@:x", f"out:y:f32[{N}]", f"i32:{N}", f"i32:{K}", "null", "null"],
         dict(w=w, scale=scale, x=x), dict(y=want.astype(np.float32)), 1e-5, shared)

    N = 500
    x, factor = bf16(rng.normal(size=(3, N))), rng.normal(size=N).astype(np.float32)
    shared = compile_triton("norm", dict(x="*bf16", factor="*fp32", y="*fp32", N="i32", eps="fp32"), dict(BLOCK=512), aligned=("x", "factor", "y"))
    v = f32(x).astype(np.float64)
    want = v / np.sqrt((v * v).mean(1, keepdims=True) + 1e-6) * factor
    case("triton_norm", "triton_norm.ptx", "norm", [3, 1, 1], [], ["in:@:x", "in:@:factor", f"out:y:f32[3,{N}]", f"i32:{N}", "f32:1e-6", "null", "null"],
         dict(x=x, factor=factor), dict(y=want.astype(np.float32)), 1e-5, shared)

    x = rng.integers(-1000, 1000, size=1000).astype(np.int32)
    shared = compile_triton("split_sum", dict(x="*i32", y="*i32", N="i32"), dict(BLOCK=256), aligned=("x", "y"))
    case("triton_split_sum", "triton_split_sum.ptx", "split_sum", [4, 1, 1], [], ["in:@:x", "inout:@:y", "i32:1000", "null", "null"],
         dict(x=x, y=np.array([7], np.int32)), dict(y=np.array([7 + x.sum()], np.int32)), 0, shared)

    x = rng.normal(size=(2, 200)).astype(np.float32)
    shared = compile_triton("softmax_scan", dict(x="*fp32", y="*fp32", z="*i32", N="i32"), dict(BLOCK=256), aligned=("x", "y", "z"))
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    case("triton_softmax_scan", "triton_softmax_scan.ptx", "softmax_scan", [2, 1, 1], [], ["in:@:x", "out:y:f32[2,200]", "out:z:i32[2]", "i32:200", "null", "null"],
         dict(x=x), dict(y=(e / e.sum(1, keepdims=True)).cumsum(1).astype(np.float32), z=x.argmax(1).astype(np.int32)), 1e-5, shared)

    a, b = (rng.integers(-128, 128, size=(32, 96)).astype(np.int8) for _ in range(2))
    shared = compile_triton("matmul_int8", dict(a="*i8", b="*i8", c="*i32", K="i32"), dict(BM=32, BN=32, BK=32), aligned=("a", "b", "c", "K"), warps=2)
    case("triton_matmul_int8", "triton_matmul_int8.ptx", "matmul_int8", [1, 1, 1], [], ["in:@:a", "in:@:b", "out:c:i32[32,32]", "i32:96", "null", "null"],
         dict(a=a, b=b), dict(c=a.astype(np.int32) @ b.T.astype(np.int32)), 0, shared)

    a, b = rng.normal(size=(32, 64)).astype(np.float32), rng.normal(size=(64, 32)).astype(np.float32)
    shared = compile_triton("matmul_tf32", dict(a="*fp32", b="*fp32", c="*fp32", K="i32"), dict(BM=32, BN=32, BK=32), aligned=("a", "b", "c", "K"), warps=2)
    case("triton_matmul_tf32", "triton_matmul_tf32.ptx", "matmul_tf32", [1, 1, 1], [], ["in:@:a", "in:@:b", "out:c:f32[32,32]", "i32:64", "null", "null"],
         dict(a=a, b=b), dict(c=(a.astype(np.float64) @ b).astype(np.float32)), 2e-3, shared)

    x = rng.normal(size=(16, 16)).astype(np.float32)
    shared = compile_triton("transpose_sort", dict(x="*fp32", y="*fp32"), dict(N=16), aligned=("x", "y"), warps=2)
    case("triton_transpose_sort", "triton_transpose_sort.ptx", "transpose_sort", [1, 1, 1], [], ["in:@:x", "out:y:f32[16,16]", "null", "null"],
         dict(x=x), dict(y=np.sort(x.T, 1)), 0, shared)


def erf(x):
    return np.array([__import__("math").erf(v) for v in x])


def cuda_cases():
    nvrtc(HERE / "kernels.cu", HERE / "nvrtc.ptx")

    def add(kernel, grid, block, args, tensors, expected, tolerance, shared=0):
        case("nvrtc_" + kernel, "nvrtc.ptx", kernel, grid, block, args, tensors, expected, tolerance, shared)

    x = rng.normal(size=3000).astype(np.float32)
    add("sum_last_block", [5, 1, 1], [96, 1, 1], ["in:@:x", "i32:3000", "out:parts:f32[5]", "inout:@:count", "out:out:f32[1]"],
        dict(x=x, count=np.zeros(1, np.int32)), dict(out=np.array([x.sum()]), count=np.zeros(1, np.int32)), 1e-4)

    x = rng.normal(size=(45, 70)).astype(np.float32)
    shift = np.array([3, -4, 100])
    want = x.T * 0.5 + 1.25 + shift[np.arange(70) % 3][:, None]
    struct_bytes = struct.pack("<iif3h6xd", 45, 70, 0.5, 3, -4, 100, 1.25)
    add("transpose", [3, 2, 1], [32, 8, 1], ["in:@:x", "out:y:f32[70,45]", "bytes:" + struct_bytes.hex()], dict(x=x), dict(y=want.astype(np.float32)), 1e-6)

    x = rng.integers(0, 256, size=5000).astype(np.uint8)
    add("histogram", [3, 1, 1], [128, 1, 1], ["in:@:x", "i32:5000", "inout:@:bins"], dict(x=x, bins=np.ones(64, np.int32)),
        dict(bins=(1 + np.bincount(x % 64, minlength=64)).astype(np.int32)), 0, 256)

    n = 500
    x, op = (rng.normal(size=n) * 3).astype(np.float32), rng.integers(0, 64, size=n).astype(np.int32)
    v, m = x.astype(np.float64), op & 15
    table = np.array([1, 2, 4, 8, 0.5, 0.25, -1, 3])
    local = lambda at: table[((at - op) * 5) % 8] * v  # 5·5 = 1 mod 8
    flipped = (x.view(np.int32) ^ 0x00400000).view(np.float32)
    bits = np.array([bin(int(b) & 0xFFFFFFFF).count("1") for b in x.view(np.int32)])
    clz = np.array([32 - int(o + 1).bit_length() for o in op])
    ffs = np.array([(int(o) & -int(o)).bit_length() for o in op])
    ll = np.trunc((x * np.float32(1e6)).astype(np.float32).astype(np.float64)).astype(np.int64)
    ll = np.sign(ll) * (abs(ll) // 977)
    choices = [np.sin(v), np.exp(v), np.log(abs(v) + 1), np.tanh(v), 1 / np.sqrt(abs(v) + 0.5), v / 3.7, erf(v), v**5, np.fmod(x, np.float32(0.7)).astype(np.float64), ll,
               local(abs(v).astype(int) % 8), flipped, np.sqrt(v * v + 2), np.rint(v) + np.ceil(v) * 10 + np.trunc(v) * 100, bits + clz * 100 + ffs * 10000, np.clip(v, -1, 1)]
    want = np.choose(m, choices) + local(3)
    add("functions", [4, 1, 1], [128, 1, 1], ["in:@:x", "in:@:op", f"out:y:f32[{n}]", f"i32:{n}"], dict(x=x, op=op), dict(y=want.astype(np.float32)), 1e-6)

    n = 200
    a, b = (rng.normal(size=(n, 2)).astype(np.float16) for _ in range(2))
    c, d = (bf16(rng.normal(size=(n, 2))) for _ in range(2))
    a8, b8 = a.astype(np.float64), b.astype(np.float64)
    y = np.maximum(np.minimum((a8 * b8 + (a8 + b8).astype(np.float16)).astype(np.float16), 4), -(a8 * a8).astype(np.float16))
    c8, d8 = f32(c).astype(np.float64), f32(d).astype(np.float64)
    w = f32(bf16(c8 * d8 + f32(bf16(c8 - d8))))
    z = np.stack([f32(bf16(w[:, 0] * 0.5)), f32(bf16(c8[:, 0] * d8[:, 1]))], 1)
    add("halves", [2, 1, 1], [128, 1, 1], ["in:@:a", "in:@:b", f"out:y:f16[{n},2]", "in:@:c", "in:@:d", f"out:z:bf16[{n},2]", f"i32:{n}"],
        dict(a=a, b=b, c=c, d=d), dict(y=y, z=bf16(z)), 0)

    x = rng.integers(-2**31, 2**31, size=150).astype(np.int32)
    add("scan", [1, 1, 1], [160, 1, 1], ["in:@:x", "out:y:i64[150]", "i32:150"], dict(x=x), dict(y=x.astype(np.int64).cumsum()), 0)

    k = 80
    a, b = rng.normal(size=(16, k)).astype(np.float16), rng.normal(size=(16, k)).astype(np.float16)
    add("pipeline", [1, 1, 1], [64, 1, 1], ["in:@:a", "in:@:b", "out:c:f32[16,16]", f"i32:{k}"], dict(a=a, b=b),
        dict(c=(a.astype(np.float64) @ b.T.astype(np.float64)).astype(np.float32)), 1e-5)

    x = rng.integers(-1000, 1000, size=(7, 32)).astype(np.int32)
    add("producer", [1, 1, 1], [64, 1, 1], ["in:@:x", "out:y:i32[7,32]", "i32:7"], dict(x=x), dict(y=(x * 3)[:, ::-1].copy()), 0)


def llvm_cases():
    subprocess.run(["llc", "-march=nvptx64", "-mcpu=sm_80", "-mattr=+ptx70", "-O3", HERE / "kernels.ll", "-o", HERE / "llvm.ptx"], check=True)

    def add(kernel, grid, block, args, tensors, expected, tolerance):
        case("llvm_" + kernel, "llvm.ptx", kernel, grid, block, args, tensors, expected, tolerance)

    x = rng.integers(0, 2**31, size=100).astype(np.int32)
    primes, out = [2, 3, 5, 7, 11, 13, 17, 19], []
    for i, k in enumerate(map(int, x)):
        s = 1
        while True:
            rot = (k << 7 | i >> 25) & 0xFFFFFFFF
            s1 = s * 6364136223846793005 % 2**64
            s2 = (s1 + rot) % 2**64
            s = int(f"{s2:064b}"[::-1], 2) ^ s1
            k = (k >> 1) - (k >> 1) // max(primes[bin(rot).count("1") & 7], 6)
            if k <= 3:
                break
        out.append(s)
    add("bits", [2, 1, 1], [64, 1, 1], ["in:@:x", "out:y:i64[100]", "i32:100"], dict(x=x), dict(y=np.array(out, np.uint64).view(np.int64)), 0)

    x = rng.integers(-1000, 1000, size=128).astype(np.int32)
    add("reverse", [1, 1, 1], [128, 1, 1], ["in:@:x", "out:y:i32[128]"], dict(x=x), dict(y=x[::-1] + x[np.arange(128) ^ 1]), 0)

    x = (rng.normal(size=(64, 4)) * 50).astype(np.float32)
    v = x.astype(np.float64)
    f = (v[:, 0] * v[:, 1] + v[:, 2]).astype(np.float32).astype(np.float64)
    s = v[:, 3] ** 2 + f * f
    add("frame", [1, 1, 1], [64, 1, 1], ["in:@:x", "out:y:f64[64,2]", "inout:@:total"], dict(x=x, total=np.array([10], np.int64)),
        dict(y=np.stack([s, np.sqrt(s)], 1), total=np.array([10 + np.trunc(f).astype(np.int64).sum()])), 0)


def clang_cases():
    rng = np.random.default_rng(2)
    subprocess.run(["clang-14", "-x", "cuda", "--cuda-device-only", "--cuda-gpu-arch=sm_80", "-nocudainc", "-nocudalib", "-Xclang", "-target-feature", "-Xclang", "+ptx71",
                    "-O3", "-S", HERE / "kernels_clang.cu", "-o", HERE / "clang.ptx"], check=True)

    def add(kernel, grid, block, args, tensors, expected, tolerance):
        case("clang_" + kernel, "clang.ptx", kernel, grid, block, args, tensors, expected, tolerance)

    x = rng.normal(size=(5, 333)).astype(np.float32)
    x[2, 300] = x[2, 7] = -9
    add("norms", [5, 1, 1], [96, 1, 1], ["in:@:x", "i32:333", "out:norm:f32[5]", "out:place:i32[5]", "inout:@:most"], dict(x=x, most=np.zeros(1, np.int32)),
        dict(norm=np.sqrt((x.astype(np.float64) ** 2).sum(1)).astype(np.float32), place=abs(x).argmax(1).astype(np.int32), most=np.array([abs(x).max()], np.float32).view(np.int32)), 1e-6)

    m, n, k = 45, 70, 75
    a, b = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    add("product", [3, 2, 1], [32, 8, 1], ["in:@:a", "in:@:b", f"out:c:f32[{m},{n}]", f"i32:{m}", f"i32:{n}", f"i32:{k}"], dict(a=a, b=b),
        dict(c=(a.astype(np.float64) @ b).astype(np.float32)), 1e-5)

    rows, row = 6, 152
    x, y = (bf16(rng.normal(size=(rows, row))) for _ in range(2))
    u, v = f32(x), f32(y)
    slope = np.array([1, 0.5, -0.25, 2], np.float32)[np.arange(rows) % 4][:, None]
    z = bf16(v * np.where(u > 0, u, slope * u))
    words = z.reshape(-1, 8)[:, :2].copy().view(np.int32)[:, 0]
    add("gate", [2, 1, 1], [64, 1, 1], ["in:@:x", "in:@:y", f"out:z:bf16[{rows},{row}]", f"i32:{rows * row // 8}", f"i32:{row}", "inout:@:bins", "inout:@:positive"],
        dict(x=x, y=y, bins=np.ones(16, np.int32), positive=np.zeros(1, np.int64)),
        dict(z=z, bins=(1 + np.bincount(z.reshape(-1) >> 12, minlength=16)).astype(np.int32), positive=np.array([(words > 0).sum()], np.int64)), 0)

    n = 70
    x = (rng.normal(size=(n, 4)) * 2).astype(np.float16)
    scaled = (x.astype(np.float32) * np.float32(1.25))
    add("scale", [3, 1, 1], [32, 1, 1], ["in:@:x", f"out:y:f16[{n},4]", "f32:1.25", f"i32:{n}", "inout:@:product"], dict(x=x, product=np.array([0.5])),
        dict(y=scaled.astype(np.float16), product=np.array([0.5 * 1.5 ** int((scaled > 3).sum())])), 0)


triton_cases()
cuda_cases()
llvm_cases()
clang_cases()
(HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
