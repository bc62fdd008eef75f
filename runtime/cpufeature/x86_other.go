//go:build !amd64

package cpufeature

func hasSSE4A() bool { return false }

func thisSystem() tileSystem { return tileSystem{} }
