// Package damage tests executables whose weights are damaged.
package damage
