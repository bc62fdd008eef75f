package native

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketOf returns those of some processors that are on the socket of processor here, and how many sockets they are on. A
// socket is what has processors and memory of its own: nodes of one package are one, as are packages of one node, which
// virtual machines have. If here is none of them, it is the first one's socket.
func socketOf(cpus []int, here int, read func(name string) string) (near []int, sockets int) {
	node := map[int]int{} // by processor
	nodes := cpuList(read("sys/devices/system/node/online"))
	for _, n := range nodes {
		for _, cpu := range cpuList(read(fmt.Sprintf("sys/devices/system/node/node%d/cpulist", n))) {
			node[cpu] = n
		}
	}
	if len(nodes) < 2 || len(cpus) == 0 {
		return cpus, 1
	}
	of := map[int]int{} // the socket's first node, by node
	for _, n := range nodes {
		of[n] = n
	}
	join := func(a, b int) {
		from, to := of[a], of[b]
		for n, first := range of {
			if first == from {
				of[n] = to
			}
		}
	}
	packages := map[string]int{} // a node of each
	for _, cpu := range cpus {
		if p := read(fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu)); p != "" && p != "-1" { // arm64's for unknown
			if n, ok := packages[p]; ok && of[n] != of[node[cpu]] {
				join(n, node[cpu])
			}
			packages[p] = node[cpu]
		}
	}
	own, ok := node[here]
	if !ok {
		own = node[cpus[0]]
	}
	all := map[int]bool{}
	for _, cpu := range cpus {
		all[of[node[cpu]]] = true
		if of[node[cpu]] == of[own] {
			near = append(near, cpu)
		}
	}
	if near == nil {
		return cpus, len(all)
	}
	return near, len(all)
}

// here returns the processor that the caller runs on, or -1.
func here() int {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return -1
	}
	return int(cpu)
}

// home returns the processors that so many threads should keep to, or nil for no preference: those of the socket that
// the process runs on, where there are several and its cores are enough. What threads touch first then is in the
// socket's memory.
func home(threads int) []int {
	near, sockets := socketOf(affinity(), here(), reader(machine{}))
	if sockets == 1 || threads > len(near) {
		return nil
	}
	return near
}

// keepTo binds the thread to processors. A system that refuses leaves it where it is.
func (t *thread) keepTo(cpus []int) {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	unix.SchedSetaffinity(int(*t.tid), &set)
}
