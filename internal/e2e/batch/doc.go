// Package batch tests the command batch: its input, its output, its order, its end.
package batch
