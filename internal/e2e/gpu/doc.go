// Package gpu tests executables on a GPU, which is emulated unless PGC_CUDA is set, against the processor and transformers.
package gpu
