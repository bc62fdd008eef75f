"""One matrix product by ONNX Runtime and OpenVINO, in every arithmetic they offer for it: weights constant and prepacked, rows of
activations new each time. Output float32, except for ONNX Runtime's MatMulInteger (int32, without the quantization of its input).

    gemm_worker.py THREADS
"""

import sys

from worker import answers, now, serve

say = answers()
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import openvino as ov  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from openvino import opset13 as op  # noqa: E402

GROUP = 128


def ort(threads, nodes, constants, kind_in, kind_out, k, n):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind_in, ["m", k])],
                              [helper.make_tensor_value_info("y", kind_out, ["m", n])],
                              [numpy_helper.from_array(a, name) for name, a in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def ort_f32(rng, threads, k, n):
    w = rng.standard_normal((k, n), np.float32)
    return floats, ort(threads, [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": w}, TensorProto.FLOAT, TensorProto.FLOAT, k, n)


def ort_int8(rng, threads, k, n):
    w = rng.integers(-128, 128, (k, n), dtype=np.int8)
    f = ort(threads, [helper.make_node("MatMulInteger", ["x", "w", "zx", "zw"], ["y"])],
            {"w": w, "zx": np.uint8(128), "zw": np.int8(0)}, TensorProto.UINT8, TensorProto.INT32, k, n)
    return bytes_, f


def ort_int8_dynamic(rng, threads, k, n):
    w = rng.integers(-128, 128, (k, n), dtype=np.int8)
    f = ort(threads, [helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s"], ["y"], domain="com.microsoft")],
            {"w": w, "s": np.full(n, 0.01, np.float32)}, TensorProto.FLOAT, TensorProto.FLOAT, k, n)
    return floats, f


def ort_int4(rng, threads, k, n, level=4):
    w = rng.integers(0, 256, (n, k // GROUP, GROUP // 2), dtype=np.uint8)
    s = np.full(n * (k // GROUP), 0.01, np.float32)
    node = helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=k, N=n, bits=4, block_size=GROUP, accuracy_level=level)
    return floats, ort(threads, [node], {"w": w, "s": s}, TensorProto.FLOAT, TensorProto.FLOAT, k, n)


def openvino(threads, weight, k, precision, dynamic=0):
    x = op.parameter([-1, k], ov.Type.f32)
    model = ov.Model([op.matmul(x, weight, False, True)], [x])
    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY",
              "DYNAMIC_QUANTIZATION_GROUP_SIZE": dynamic}
    request = ov.Core().compile_model(model, "CPU", config).create_infer_request()
    return lambda x: request.infer([x], share_inputs=True, share_outputs=True)[0]


def ov_float(kind, precision):
    def make(rng, threads, k, n):
        w = op.constant(rng.standard_normal((n, k), np.float32).astype(kind))
        return floats, openvino(threads, w if kind == np.float32 else op.convert(w, ov.Type.f32), k, precision)
    return make


def ov_integer(kind, dynamic):
    def make(rng, threads, k, n):
        if kind == ov.Type.i8:
            w = op.convert(op.constant(rng.integers(-128, 128, (n, k), dtype=np.int8)), ov.Type.f32)
            return floats, openvino(threads, op.multiply(w, op.constant(np.full((n, 1), 0.01, np.float32))), k, "f32", dynamic)
        packed = rng.integers(0, 256, (n * k // 2,), dtype=np.uint8)
        w = op.convert(ov.op.Constant(ov.Tensor(packed, ov.Shape([n, k // GROUP, GROUP]), kind)), ov.Type.f32)
        w = op.subtract(w, op.convert(op.constant(np.full((n, k // GROUP, 1), 8, np.uint8)), ov.Type.f32))
        w = op.multiply(w, op.constant(np.full((n, k // GROUP, 1), 0.01, np.float32)))
        return floats, openvino(threads, op.reshape(w, op.constant(np.array([n, k], np.int64)), False), k, "f32", dynamic)
    return make


def floats(rng, m, k):
    return rng.standard_normal((m, k), np.float32)


def bytes_(rng, m, k):
    return rng.integers(0, 256, (m, k), dtype=np.uint8)


CONTENDERS = {
    "ONNX Runtime float32": ort_f32,
    "ONNX Runtime int8 (MatMulInteger u8·s8)": ort_int8,
    "ONNX Runtime int8 (DynamicQuantizeMatMul)": ort_int8_dynamic,
    "ONNX Runtime int4 g128 (MatMulNBits, int8 arithmetic)": ort_int4,
    "ONNX Runtime int4 g128 (MatMulNBits, float32 arithmetic)": lambda *a: ort_int4(*a, level=1),
    "OpenVINO float32": ov_float(np.float32, "f32"),
    "OpenVINO float16 weights": ov_float(np.float16, "f32"),
    "OpenVINO bfloat16 arithmetic": ov_float(np.float16, "bf16"),
    "OpenVINO int8 weights, int8 arithmetic": ov_integer(ov.Type.i8, GROUP),
    "OpenVINO int4 g128 weights, int8 arithmetic": ov_integer(ov.Type.u4, GROUP),
}


def exact(threads):
    """Is ONNX Runtime's u8·s8 product exact at the extremes?"""
    class Extremes:
        def integers(self, low, high, shape, dtype):
            return np.full(shape, 127, dtype)
    _, f = ort_int8(Extremes(), threads, 64, 64)
    got = f(np.full((4, 64), 255, np.uint8))
    return bool((got == 64 * 127 * 127).all())


def main():
    threads = int(sys.argv[1])
    built = {}

    def work(contender, m, k, n, seconds=1.0, runs=5):
        """Times of some runs, of which each is at least a part of the seconds."""
        rng = np.random.default_rng(1)
        key = contender, k, n
        if key not in built:
            built.clear()
            built[key] = CONTENDERS[contender](rng, threads, k, n)
        data, f = built[key]
        x = data(rng, m, k)
        f(x)
        start = now()
        f(x)
        count = max(1, int(seconds / runs / (now() - start)))
        times = []
        for _ in range(runs):
            start = now()
            for _ in range(count):
                f(x)
            times.append((now() - start) / count)
        return {"seconds": times}

    serve(say, work, versions={"onnxruntime": onnxruntime.__version__, "openvino": ov.__version__}, contenders=list(CONTENDERS),
          exact=exact(threads))


if __name__ == "__main__":
    main()
