// Package arm64 tests an executable for arm64 under an emulator.
package arm64
