// Package adapters tests executables with adapters, merged and kept, against transformers.
package adapters
