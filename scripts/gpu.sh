#!/bin/sh
# What is to be known on an NVIDIA GPU, in the order of what matters first, in under ten minutes. Rows are printed as they
# come and kept in out/gpu. A step that fails or runs out of time does not stop the next ones. `gpu.sh probe` says only
# whether there is a GPU that can be used.
set -u
cd "$(dirname "$0")/.."
GO=${GO:-go}
mkdir -p out/gpu
export PGC_CUDA=1 CGO_ENABLED=0

if ! $GO test -count=1 -run TestGPULaunch ./codegen/ptx >out/gpu/probe.txt 2>&1; then
	echo "make gpu: no GPU can be used: $(grep -m 1 'PGC_CUDA is set' out/gpu/probe.txt || grep -m 1 -v '^FAIL' out/gpu/probe.txt)" >&2
	exit 1
fi
[ "${1:-}" = probe ] && exit 0

failed=0
step() { # NAME SECONDS COMMAND…
	name=$1 seconds=$2
	shift 2
	echo "== $name ($seconds s at most)"
	timeout "$seconds" "$@" >"out/gpu/$name.txt" 2>&1
	code=$?
	cat "out/gpu/$name.txt"
	[ $code = 0 ] || { echo "== $name: status $code"; failed=1; }
}

# Everything is compiled before the clock of a step runs.
$GO test -c -o out/gpu/ptx.test ./codegen/ptx && $GO test -c -o out/gpu/e2e.test ./internal/e2e/gpu && $GO test -c -o out/gpu/check.test ./cmd/internal/check || exit 1
here=$(pwd)

# 1: single kernels, bit by bit with the emulator, and whole models
step tests 90 sh -c "cd codegen/ptx && '$here/out/gpu/ptx.test' -test.run 'Products|Few|Many|Attention|TestRows|TestGraphs|Repack|TestGPU'"
step models 60 sh -c "cd internal/e2e/gpu && '$here/out/gpu/e2e.test' -test.run 'OnGPU|TestGPU' -test.v"
step check 30 sh -c "cd cmd/internal/check && '$here/out/gpu/check.test' -test.run TestKernelsOnGPU"
# 2: how tensor cores add, and their peak
step sums 30 sh -c "cd codegen/ptx && '$here/out/gpu/ptx.test' -test.run 'TestTensorCores' -test.v"
step peak 30 sh -c "cd codegen/ptx && '$here/out/gpu/ptx.test' -test.run '^\$' -test.bench 'GPUTensorPeak|GPUMemory' -test.benchtime 20x"
# 3 and 4: decoding and prefill of a 3B without weights, kernel by kernel, and products beside PyTorch's
for weights in bf16 int8 int4; do
	step "paligemma-3b-$weights" 45 bin/pgc bench paligemma-3b-224 --device cuda --weights $weights
done
step products 60 sh -c "cd codegen/ptx && '$here/out/gpu/ptx.test' -test.run '^\$' -test.bench GPUMatmul -test.benchtime 20x"
# 5: the peer
if python3 -c 'import torch' 2>/dev/null; then
	step pytorch 60 python3 codegen/ptx/testdata/peer.py
fi
# 6: the profiler on the slowest kernels
if command -v ncu >/dev/null; then
	step profiler 60 sh -c "cd codegen/ptx && ncu --section SpeedOfLight --launch-count 12 '$here/out/gpu/ptx.test' -test.run '^\$' -test.bench 'GPUMatmul/(266|1x)' -test.benchtime 1x"
fi
exit $failed
