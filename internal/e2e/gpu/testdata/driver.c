/* A CUDA driver without a GPU, for driver_test.go: memory is the host's, copies copy, kernels do nothing. PRETEND says what
   it pretends, as words; what no driver may be given ends the process. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int result;
typedef uint32_t u32;
typedef uint64_t u64;

enum { OK = 0, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_PTX = 218, LAUNCH_FAILED = 719 };
enum { CONTEXT = 0xc0, MODULE = 0x30, STREAM = 0x57, EVENT = 0xe0, GRAPH = 0x6a, EXEC = 0x6b };

static int pretends(const char *word) {
  const char *all = getenv("PRETEND");
  return all && strstr(all, word) != NULL;
}

static void expect(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "driver: %s\n", what);
    _exit(3);
  }
}

/* Waits succeed as many times as "lost N" says. */
static result waited(void) {
  static int waits;
  const char *at = getenv("PRETEND") ? strstr(getenv("PRETEND"), "lost ") : NULL;
  return at && waits++ >= atoi(at + 5) ? LAUNCH_FAILED : OK;
}

static void launches(u64 function, const u32 *grid, const u32 *block, u32 shared, void **params) {
  expect(function && strlen((char *)function) > 0, "a launch of no function");
  expect(grid[0] > 0 && grid[1] == 1 && grid[2] == 1, "a grid of no blocks, or of several dimensions");
  expect(block[0] > 0 && block[0] <= 1024 && block[0] % 32 == 0 && block[1] == 1 && block[2] == 1, "a block of no warps");
  expect(shared <= 163 << 10, "too much shared memory");
  expect(params && params[0], "no parameters");
}

result cuGetErrorName(result r, const char **s) { *s = "CUDA_ERROR_PRETENDED"; return OK; }
result cuGetErrorString(result r, const char **s) { *s = "pretended"; return OK; }
result cuInit(u32 flags) { return pretends("nothing") ? NO_DEVICE : OK; }
result cuDriverGetVersion(int *v) { *v = pretends("old driver") ? 11020 : 12040; return OK; }
result cuDeviceGetCount(int *n) { *n = pretends("none") ? 0 : 2; return OK; }
result cuDeviceGet(int *device, int ordinal) { *device = ordinal; return OK; }
result cuDeviceGetName(char *name, int n, int device) { snprintf(name, n, "Pretended GPU %d", device); return OK; }
result cuDeviceTotalMem_v2(u64 *bytes, int device) { *bytes = pretends("small") ? 1 << 20 : (u64)8 << 30; return OK; }
result cuDeviceGetAttribute(int *v, int attribute, int device) {
  int old = pretends("old device") || pretends("old first") && device == 0;
  *v = attribute == 75 ? (old ? 7 : 8) : attribute == 76 ? 5 : attribute == 16 ? 100 : 1 << 20;
  return OK;
}
result cuDevicePrimaryCtxRetain(u64 *context, int device) {
  fprintf(stderr, "opened %d\n", device);
  *context = CONTEXT;
  return pretends("no context") ? OUT_OF_MEMORY : OK;
}
result cuDevicePrimaryCtxRelease_v2(int device) { return OK; }
result cuCtxSetCurrent(u64 context) { expect(context == CONTEXT, "another context"); return OK; }
result cuMemGetInfo_v2(u64 *free, u64 *total) {
  cuDeviceTotalMem_v2(total, 0);
  *free = pretends("busy") ? 500000 : *total;
  return OK;
}

/* The options of the linker are the log and its size. The log is the linker: there are several at a time. */
result cuLinkCreate_v2(u32 n, const int *options, const u64 *values, u64 *state) {
  expect(n == 2 && options[0] == 5 && options[1] == 6 && values[1] >= 1024, "options without a log");
  *state = values[0];
  return OK;
}
result cuLinkAddData_v2(u64 state, int kind, const char *data, u64 bytes, const char *name, u32 n, int *options, void **values) {
  expect(state && kind == 1 && strlen(data) + 1 == bytes && strstr(data, ".target sm_80"), "text that is no PTX");
  if (!pretends("bad PTX"))
    return OK;
  strcpy((char *)state, "ptxas application ptx input, line 9; fatal : no such instruction\n");
  return INVALID_PTX;
}
result cuLinkComplete(u64 state, const void **image, u64 *bytes) { *image = "image"; *bytes = 5; return OK; }
result cuLinkDestroy(u64 state) { return OK; }
result cuModuleLoadData(u64 *module, const char *image) { expect(!strcmp(image, "image"), "another image"); *module = MODULE; return OK; }
result cuModuleUnload(u64 module) { return OK; }
result cuModuleGetFunction(u64 *function, u64 module, const char *name) { *function = (u64)strdup(name); return OK; }
result cuFuncGetAttribute(int *v, int attribute, u64 function) { *v = 32; return OK; }
result cuFuncSetAttribute(u64 function, int attribute, int v) { expect(attribute == 8 && v > 0, "another attribute"); return OK; }
result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, u64 function, int threads, u64 shared) {
  *blocks = pretends("no room") ? 0 : 2;
  return OK;
}
result cuLaunchKernel(u64 function, u32 gx, u32 gy, u32 gz, u32 bx, u32 by, u32 bz, u32 shared, u64 stream, void **params, void **extra) {
  launches(function, (u32[]){gx, gy, gz}, (u32[]){bx, by, bz}, shared, params);
  return OK;
}

result cuMemAlloc_v2(u64 *address, u64 bytes) {
  if (pretends("taken"))
    return OUT_OF_MEMORY;
  *address = (u64)aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset((void *)*address, 0, bytes);
  return OK;
}
result cuMemFree_v2(u64 address) { free((void *)address); return OK; }
result cuMemHostAlloc(void **p, u64 bytes, u32 flags) { *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096); return OK; }
result cuMemFreeHost(void *p) { free(p); return OK; }
result cuMemcpyHtoDAsync_v2(u64 to, const void *from, u64 n, u64 stream) { memcpy((void *)to, from, n); return OK; }
result cuMemcpyDtoHAsync_v2(void *to, u64 from, u64 n, u64 stream) { memcpy(to, (void *)from, n); return OK; }
result cuMemcpyDtoDAsync_v2(u64 to, u64 from, u64 n, u64 stream) { memmove((void *)to, (void *)from, n); return OK; }
result cuMemsetD8Async(u64 to, unsigned char v, u64 n, u64 stream) { memset((void *)to, v, n); return OK; }

result cuStreamCreate(u64 *stream, u32 flags) { expect(flags == 1, "a stream that waits"); *stream = STREAM; return OK; }
result cuStreamDestroy_v2(u64 stream) { return OK; }
result cuStreamSynchronize(u64 stream) { expect(stream == STREAM, "another stream"); return waited(); }
result cuEventCreate(u64 *event, u32 flags) { *event = EVENT; return OK; }
result cuEventDestroy_v2(u64 event) { return OK; }
result cuEventRecord(u64 event, u64 stream) { expect(event == EVENT && stream == STREAM, "another event"); return OK; }
result cuEventSynchronize(u64 event) { return waited(); }
result cuEventElapsedTime(float *ms, u64 from, u64 to) { *ms = 1; return OK; }

/* CUDA_KERNEL_NODE_PARAMS_v1 */
struct node { u64 function; u32 grid[3], block[3], shared; void **params, **extra; };
result cuGraphCreate(u64 *graph, u32 flags) { *graph = GRAPH; return OK; }
result cuGraphAddKernelNode(u64 *node, u64 graph, const u64 *after, u64 n, const struct node *p) {
  static u64 nodes;
  expect(graph == GRAPH && (n == 0 || n == 1 && *after == nodes), "a node that follows another one than the last");
  expect(!p->extra, "extra parameters");
  launches(p->function, p->grid, p->block, p->shared, p->params);
  *node = ++nodes;
  return OK;
}
#ifndef OLD
result cuGraphAddEventRecordNode(u64 *node, u64 graph, const u64 *after, u64 n, u64 event) { return OK; }
#endif
result cuGraphInstantiateWithFlags(u64 *exec, u64 graph, u64 flags) { *exec = EXEC; return OK; }
result cuGraphLaunch(u64 exec, u64 stream) { expect(exec == EXEC && stream == STREAM, "another graph"); return OK; }
result cuGraphDestroy(u64 graph) { return OK; }
result cuGraphExecDestroy(u64 exec) { return OK; }
