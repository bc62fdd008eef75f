// Package models tests executables of every golden checkpoint and the demos against transformers.
package models
