"""The products of BenchmarkGPUMatmul and the copy of BenchmarkGPUMemory in PyTorch, timed in the same way.

Bfloat16 operands and result, random numbers, medians of 20 timings between events, weights rotated so that caches hold none.
"""
import statistics
import torch

device = torch.cuda.get_device_properties(0)
print(f"on {device.name}, PyTorch {torch.__version__}")


def measure(sets, f):
    times = []
    for i in range(23):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for j in range(sets):
            f(j)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3 / sets)
    return statistics.median(times[3:])


a, b = (torch.empty(1 << 28, device="cuda").normal_() for _ in range(2))
print(f"copy: {2 * 4 * a.numel() / 1e9 / measure(1, lambda _: b.copy_(a)):.0f} GB/s")
print(f"scale: {2 * 4 * a.numel() / 1e9 / measure(1, lambda _: torch.mul(a, 2, out=b)):.0f} GB/s")
del a, b
for m, k, n, accs in [(266, 2048, 16384, 2), (266, 16384, 2048, 1), (4096, 2048, 16384, 2), (1, 2048, 16384, 2), (8192, 8192, 8192, 1)]:
    x = torch.empty(m, k, device="cuda").uniform_(-1, 1).bfloat16()
    sets = max(1, 4 * device.L2_cache_size // (2 * accs * k * n))
    w = [torch.empty(accs * n, k, device="cuda").uniform_(-1, 1).bfloat16() for _ in range(sets)]
    took = measure(sets, lambda i: x @ w[i].T)
    print(f"{m}x{k}x{n}_accs={accs}: {took * 1e6:.1f} µs, {2 * m * k * n * accs / 1e12 / took:.1f} TFLOP/s, {2 * accs * k * n / 1e9 / took:.0f} weight GB/s")
