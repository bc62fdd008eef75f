// Kernels in CUDA, written for these tests. NVRTC makes PTX of them.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

struct Shape {
  int rows, cols;
  float scale;
  short shift[3];
  double bias;
};

// Sums by warp shuffles and shared memory; the block that ends last adds the blocks' sums.
extern "C" __global__ void sum_last_block(const float *x, int n, float *parts, unsigned *count, float *out) {
  __shared__ float warps[32];
  __shared__ bool last;
  float v = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(~0u, v, d);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? warps[threadIdx.x] : 0;
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    if (threadIdx.x == 0) {
      parts[blockIdx.x] = v;
      __threadfence();
      last = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
    }
  }
  __syncthreads();
  if (!last) return;
  if (threadIdx.x == 0) {
    float s = 0;
    for (int i = 0; i < gridDim.x; i++) s += ((volatile float *)parts)[i];
    *out = s;
  }
}

// A transpose through shared memory, with a structure for parameter.
extern "C" __global__ void transpose(const float *x, float *y, Shape s) {
  __shared__ float t[32][33];
  int cx = blockIdx.x * 32 + threadIdx.x, cy = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += blockDim.y)
    if (cx < s.cols && cy + j < s.rows) t[threadIdx.y + j][threadIdx.x] = x[(cy + j) * s.cols + cx];
  __syncthreads();
  cx = blockIdx.y * 32 + threadIdx.x, cy = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += blockDim.y)
    if (cx < s.rows && cy + j < s.cols)
      y[(cy + j) * s.rows + cx] = t[threadIdx.x][threadIdx.y + j] * s.scale + (float)s.bias + s.shift[(cy + j) % 3];
}

// A histogram in shared memory, then in global memory.
extern "C" __global__ void histogram(const unsigned char *x, int n, unsigned *bins) {
  extern __shared__ unsigned mine[];
  for (int i = threadIdx.x; i < 64; i += blockDim.x) mine[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&mine[x[i] % 64], 1);
  __syncthreads();
  for (int i = threadIdx.x; i < 64; i += blockDim.x) atomicAdd(&bins[i], mine[i]);
}

__device__ __noinline__ float power(float x, int n) {
  float r = 1;
  for (; n > 0; n >>= 1, x *= x)
    if (n & 1) r *= x;
  return r;
}

__constant__ float table[8] = {1, 2, 4, 8, 0.5f, 0.25f, -1, 3};

// Functions, a switch, local arrays, a called function and constant memory.
extern "C" __global__ void functions(const float *x, const int *op, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float v = x[i], r, local[8];
  for (int j = 0; j < 8; j++) local[(j * 5 + op[i]) % 8] = table[j] * v;
  switch (op[i] & 15) {
  case 0: r = sinf(v); break;
  case 1: r = expf(v); break;
  case 2: r = logf(fabsf(v) + 1); break;
  case 3: r = tanhf(v); break;
  case 4: r = rsqrtf(fabsf(v) + 0.5f); break;
  case 5: r = v / 3.7f; break;
  case 6: r = erff(v); break;
  case 7: r = power(v, 5); break;
  case 8: r = fmodf(v, 0.7f); break;
  case 9: r = (float)((long long)(v * 1e6f) / 977); break;
  case 10: r = local[(int)fabsf(v) % 8]; break;
  case 11: r = __int_as_float(__float_as_int(v) ^ 0x00400000); break;
  case 12: r = (float)sqrt((double)v * v + 2); break;
  case 13: r = rintf(v) + ceilf(v) * 10 + truncf(v) * 100; break;
  case 14: r = __popc(__float_as_int(v)) + __clz(op[i] + 1) * 100 + __ffs(op[i]) * 10000; break;
  default: r = fminf(fmaxf(v, -1), 1);
  }
  y[i] = r + local[3];
}

// Arithmetic on pairs of 16-bit floats.
extern "C" __global__ void halves(const __half2 *a, const __half2 *b, __half2 *y, const __nv_bfloat162 *c, const __nv_bfloat162 *d, __nv_bfloat162 *z, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  __half2 v = __hfma2(a[i], b[i], __hadd2(a[i], b[i]));
  y[i] = __hmax2(__hmin2(v, __float2half2_rn(4.0f)), __hneg2(__hmul2(a[i], a[i])));
  __nv_bfloat162 w = __hfma2(c[i], d[i], __hsub2(c[i], d[i]));
  z[i] = __floats2bfloat162_rn(__low2float(w) * 0.5f, __bfloat162float(__hmul(c[i].x, d[i].y)));
}

// A running sum over a block by shuffles, 64-bit.
extern "C" __global__ void scan(const int *x, long long *y, int n) {
  __shared__ long long warps[32];
  int i = threadIdx.x, lane = i % 32;
  long long v = i < n ? x[i] : 0;
  for (int d = 1; d < 32; d *= 2) {
    long long o = __shfl_up_sync(~0u, v, d);
    if (lane >= d) v += o;
  }
  if (lane == 31) warps[i / 32] = v;
  __syncthreads();
  for (int w = 0; w < i / 32; w++) v += warps[w];
  if (i < n) y[i] = v;
}

// A product on tensor cores: each warp multiplies 16 rows by 8 columns, with operands that copies bring while it works.
extern "C" __global__ void pipeline(const __half *a, const __half *b, float *c, int k) {
  __shared__ __align__(16) __half sa[3][16 * 16], sb[3][16 * 16];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  auto copy = [&](int stage, int at) {
    if (threadIdx.x < 32) {
      int row = lane / 2, half = lane % 2 * 8;
      unsigned to = (unsigned)__cvta_generic_to_shared(&sa[stage][row * 16 + half]);
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(a + row * k + at + half), "r"(at < k ? 16 : 0));
    } else {
      int row = lane / 2, half = lane % 2 * 8;
      unsigned to = (unsigned)__cvta_generic_to_shared(&sb[stage][row * 16 + half]);
      asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(b + row * k + at + half), "r"(at < k ? 16 : 0));
    }
    asm volatile("cp.async.commit_group;");
  };
  float d[4] = {0, 0, 0, 0};
  copy(0, 0);
  copy(1, 16);
  for (int at = 0, stage = 0; at < k; at += 16, stage = (stage + 1) % 3) {
    asm volatile("cp.async.wait_group 1;");
    __syncthreads();
    copy((stage + 2) % 3, at + 32);
    unsigned x[4], y[2];
    unsigned from = (unsigned)__cvta_generic_to_shared(&sa[stage][lane % 16 * 16 + lane / 16 * 8]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(from));
    from = (unsigned)__cvta_generic_to_shared(&sb[stage][(warp * 8 + lane % 8) * 16 + lane / 8 % 2 * 8]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(y[0]), "=r"(y[1]) : "r"(from));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  }
  for (int i = 0; i < 4; i++) c[(lane / 4 + i / 2 * 8) * 16 + warp * 8 + lane % 4 * 2 + i % 2] = d[i];
}

// A ring of two buffers between a warp that produces and one that consumes, with mbarriers.
extern "C" __global__ void producer(const int *x, int *y, int n) {
  __shared__ int ring[2][32];
  __shared__ __align__(8) unsigned long long full[2], empty[2];
  int lane = threadIdx.x % 32;
  unsigned f = (unsigned)__cvta_generic_to_shared(full), e = (unsigned)__cvta_generic_to_shared(empty);
  if (threadIdx.x == 0)
    for (int i = 0; i < 2; i++) {
      asm volatile("mbarrier.init.shared.b64 [%0], 32;" ::"r"(f + 8 * i));
      asm volatile("mbarrier.init.shared.b64 [%0], 32;" ::"r"(e + 8 * i));
    }
  __syncthreads();
  auto wait = [](unsigned bar, int parity) {
    asm volatile("{\n.reg .pred p;\nWAIT:\nmbarrier.test_wait.parity.shared.b64 p, [%0], %1;\n@p bra DONE;\nbra WAIT;\nDONE:\n}" ::"r"(bar), "r"(parity));
  };
  auto arrive = [](unsigned bar) { asm volatile("{\n.reg .b64 s;\nmbarrier.arrive.shared.b64 s, [%0];\n}" ::"r"(bar)); };
  for (int i = 0; i < n; i++) {
    int slot = i % 2, round = i / 2;
    if (threadIdx.x < 32) {
      if (round > 0) wait(e + 8 * slot, (round - 1) & 1);
      ring[slot][lane] = x[i * 32 + lane] * 3;
      arrive(f + 8 * slot);
    } else {
      wait(f + 8 * slot, round & 1);
      y[i * 32 + lane] = ring[slot][31 - lane];
      arrive(e + 8 * slot);
    }
  }
}
