// Kernels in CUDA, written for these tests. clang makes PTX of them without a toolkit: what CUDA's headers say is here.
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))

#define threadIdx_x __nvvm_read_ptx_sreg_tid_x()
#define threadIdx_y __nvvm_read_ptx_sreg_tid_y()
#define blockIdx_x __nvvm_read_ptx_sreg_ctaid_x()
#define blockIdx_y __nvvm_read_ptx_sreg_ctaid_y()
#define blockDim_x __nvvm_read_ptx_sreg_ntid_x()
#define gridDim_x __nvvm_read_ptx_sreg_nctaid_x()

typedef float vec4 __attribute__((ext_vector_type(4)));
typedef unsigned uvec4 __attribute__((ext_vector_type(4)));
typedef unsigned short bits16;

// The Euclidean norm of each row and the place of its element of largest magnitude: shuffles in a warp, shared memory
// across warps, and an atomic maximum over the rows.
extern "C" __global__ void norms(const float *x, int columns, float *norm, int *place, unsigned *most) {
  __shared__ float sums[32], tops[32];
  __shared__ int places[32];
  const float *row = x + (long)blockIdx_x * columns;
  float sum = 0, top = -1;
  int at = 0;
  for (int i = threadIdx_x; i < columns; i += blockDim_x) {
    float v = row[i], a = __builtin_fabsf(v);
    sum = __builtin_fmaf(v, v, sum);
    if (a > top) top = a, at = i;
  }
  for (int d = 16; d > 0; d >>= 1) {
    sum += __nvvm_shfl_sync_down_f32(~0u, sum, d, 31);
    float other = __nvvm_shfl_sync_down_f32(~0u, top, d, 31);
    int where = __nvvm_shfl_sync_down_i32(~0u, at, d, 31);
    if (other > top || other == top && where < at) top = other, at = where;
  }
  int warp = threadIdx_x >> 5;
  if ((threadIdx_x & 31) == 0) sums[warp] = sum, tops[warp] = top, places[warp] = at;
  __syncthreads();
  if (threadIdx_x != 0) return;
  for (int w = 1; w < blockDim_x >> 5; w++) {
    sum += sums[w];
    if (tops[w] > top || tops[w] == top && places[w] < at) top = tops[w], at = places[w];
  }
  norm[blockIdx_x] = __nvvm_sqrt_rn_f(sum);
  place[blockIdx_x] = at;
  __nvvm_atom_max_gen_ui(most, __builtin_bit_cast(unsigned, top)); // of numbers above 0 the bits have the same order
}

// A product in tiles of 32 by 32 through shared memory, each thread four rows.
template <int TILE> __device__ static inline void tiles(const float *a, const float *b, float *c, int m, int n, int k) {
  __shared__ float left[TILE][TILE], right[TILE][TILE + 1];
  int column = blockIdx_x * TILE + threadIdx_x, row = blockIdx_y * TILE + threadIdx_y;
  float sums[4] = {};
  for (int at = 0; at < k; at += TILE) {
    for (int j = 0; j < TILE; j += 8) {
      int r = row + j, l = at + threadIdx_y + j;
      left[threadIdx_y + j][threadIdx_x] = r < m && at + threadIdx_x < k ? a[r * k + at + threadIdx_x] : 0;
      right[threadIdx_y + j][threadIdx_x] = l < k && column < n ? b[l * n + column] : 0;
    }
    __syncthreads();
#pragma unroll 4
    for (int l = 0; l < TILE; l++)
      for (int j = 0; j < 4; j++) sums[j] += left[threadIdx_y + 8 * j][l] * right[l][threadIdx_x];
    __syncthreads();
  }
  for (int j = 0; j < 4; j++)
    if (row + 8 * j < m && column < n) c[(row + 8 * j) * n + column] = sums[j];
}

extern "C" __global__ void product(const float *a, const float *b, float *c, int m, int n, int k) { tiles<32>(a, b, c, m, n, k); }

__device__ static inline float widened(bits16 v) { return __builtin_bit_cast(float, (unsigned)v << 16); }

__device__ static inline bits16 rounded(float f) {
  unsigned u = __builtin_bit_cast(unsigned, f);
  return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

__constant__ float slopes[4] = {1, 0.5f, -0.25f, 2};

// Eight elements of bfloat16 a thread, in one access: a gate with a slope of its own for every row, and how many results
// lie in each of 16 bins, counted in shared memory by atomics and votes.
extern "C" __global__ void gate(const uvec4 *x, const uvec4 *y, uvec4 *z, int n, int row, int *bins, unsigned long long *positive) {
  __shared__ int mine[16];
  if (threadIdx_x >= blockDim_x - 16) mine[blockDim_x - 1 - threadIdx_x] = 0;
  __syncthreads();
  for (int i = blockIdx_x * blockDim_x + threadIdx_x; i < n; i += gridDim_x * blockDim_x) {
    uvec4 a = x[i], b = y[i], out;
    float slope = slopes[i * 8 / row & 3];
    for (int w = 0; w < 4; w++) {
      unsigned both = 0;
      for (int h = 0; h < 2; h++) {
        float u = widened(a[w] >> 16 * h), v = widened(b[w] >> 16 * h);
        float r = v * (u > 0 ? u : slope * u);
        bits16 bits = rounded(r);
        both |= (unsigned)bits << 16 * h;
        __nvvm_atom_add_gen_i(&mine[bits >> 12], 1);
      }
      out[w] = both;
    }
    z[i] = out;
    unsigned here;
    asm volatile("activemask.b32 %0;" : "=r"(here));
    unsigned some = __nvvm_vote_ballot_sync(here, (int)out.x > 0);
    if ((threadIdx_x & 31) == 0) __nvvm_atom_add_gen_ll((long long *)positive, __builtin_popcount(some));
  }
  __syncthreads();
  if (threadIdx_x < 16) __nvvm_atom_add_gen_i(&bins[threadIdx_x], mine[threadIdx_x]);
}

// Half precision, four at a time; a chain of compare-and-swap adds what atomics have no instruction for.
typedef __fp16 half4 __attribute__((ext_vector_type(4)));
extern "C" __global__ void scale(const half4 *x, half4 *y, float factor, int n, double *product) {
  int i = blockIdx_x * blockDim_x + threadIdx_x;
  if (i >= n) return;
  half4 v = x[i], out;
  double most = 1;
  for (int j = 0; j < 4; j++) {
    float f = (float)v[j] * factor;
    out[j] = (__fp16)f;
    if (f > 3) most *= 1.5;
  }
  y[i] = out;
  if (most == 1) return;
  unsigned long long *cell = (unsigned long long *)product, seen = *(volatile unsigned long long *)cell, before;
  do {
    before = seen;
    double next = __builtin_bit_cast(double, before) * most;
    seen = __nvvm_atom_cas_gen_ll((long long *)cell, before, __builtin_bit_cast(unsigned long long, next));
  } while (seen != before);
}
