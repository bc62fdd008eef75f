package native

import (
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"strconv"
	"strings"

	"pgc/runtime/plural"

	"golang.org/x/sys/unix"
)

// Processors says how many threads compute fastest here, unless something else wants the machine, and why.
type Processors struct {
	Threads int     `json:"threads"`         // the least of what follows, at least 1
	Online  int     `json:"online"`          // processors that the machine shows; 0 if that cannot be known
	Allowed int     `json:"allowed"`         // those that the process may run on: its affinity, cpuset or container
	Cores   int     `json:"cores"`           // of these, where the siblings of a core count once: they share its arithmetic
	Sockets int     `json:"sockets"`         // that the cores are on, each with memory of its own
	Near    int     `json:"near"`            // of the cores, those on the socket that the process runs on
	Fast    int     `json:"fast"`            // of these, those of full speed: efficiency cores would keep the others waiting
	Quota   float64 `json:"quota,omitempty"` // CPUs' time that a control group grants; 0 for no limit
	Group   string  `json:"group,omitempty"` // the folder of this group
}

// CountProcessors looks at the process's affinity and control groups and at the machine's cores.
func CountProcessors() Processors {
	return countProcessors(machine{}, affinity(), here())
}

// affinity lists the processors that the process may run on.
func affinity() (list []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		for i := range len(set) * 64 {
			if set.IsSet(i) {
				list = append(list, i)
			}
		}
	}
	if len(list) == 0 { // more processors than the set has bits
		for i := range runtime.NumCPU() {
			list = append(list, i)
		}
	}
	return list
}

// DefaultThreads is how many threads to compute on where nobody says.
func DefaultThreads() int { return CountProcessors().Threads }

// countProcessors reads /sys and /proc in root for a process that runs on processor here. Where they cannot be read, it
// errs on the side of more threads.
func countProcessors(root fs.FS, allowed []int, here int) Processors {
	read := reader(root)
	p := Processors{Online: online(read), Allowed: len(allowed)}
	cores := firstOfCores(allowed, func(cpu int) string {
		dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/", cpu)
		if s := read(dir + "core_cpus_list"); s != "" {
			return s
		}
		return read(dir + "thread_siblings_list") // as before Linux 5.3
	})
	p.Cores = len(cores)
	cores, p.Sockets = socketOf(cores, here, read)
	p.Near, p.Fast = len(cores), len(cores)
	if n := fastCores(cores, read); n > 0 {
		p.Fast = n
	}
	p.Quota, p.Group = quota(root)
	p.Threads = min(p.Fast, p.AtOnce(), MaxThreads)
	return p
}

// online counts the processors that the machine shows. lxcfs shows a container as many as its quota grants, which may be that of a group
// that the container does not see.
func online(read func(name string) string) int {
	return len(cpuList(read("sys/devices/system/cpu/online")))
}

// reader returns a function that reads a file of one line; "" where it is missing.
func reader(root fs.FS) func(name string) string {
	return func(name string) string {
		data, _ := fs.ReadFile(root, name)
		return strings.TrimSpace(string(data))
	}
}

// quota returns the least number of CPUs that a control group grants, and its folder; 0 if none has a limit.
func quota(root fs.FS) (cpus float64, dir string) {
	for _, g := range groups(root, "cpu") {
		if n, ok := g.cpus(root); ok && (cpus == 0 || n < cpus) {
			cpus, dir = n, "/"+g.dir
		}
	}
	return cpus, dir
}

// AtOnce is how many threads run at the same time at most: a quota of 1.5 CPUs is two threads for three quarters of the
// time.
func (p Processors) AtOnce() int {
	n := p.Allowed
	if p.Online > 0 {
		n = min(n, p.Online)
	}
	if p.Quota > 0 {
		n = min(n, int(math.Ceil(p.Quota)))
	}
	return n
}

// atOnce is AtOnce of this process now.
func atOnce() int {
	p := Processors{Online: online(reader(machine{})), Allowed: len(affinity())}
	p.Quota, p.Group = quota(machine{})
	return p.AtOnce()
}

// firstOfCores returns one processor of each core; siblings lists those that share a core with one.
func firstOfCores(allowed []int, siblings func(cpu int) string) (cores []int) {
	counted := map[int]bool{}
	for _, cpu := range allowed {
		if counted[cpu] {
			continue
		}
		cores = append(cores, cpu)
		for _, s := range cpuList(siblings(cpu)) {
			counted[s] = true
		}
	}
	return cores
}

// fastCores counts the performance cores, or returns 0 where cores are not told apart. Intel's hybrid processors have a
// counter unit of their own for these; on arm64 every processor has a capacity of up to 1024.
func fastCores(cores []int, read func(name string) string) (n int) {
	fast := map[int]bool{}
	for _, cpu := range cpuList(read("sys/devices/cpu_core/cpus")) {
		fast[cpu] = true
	}
	if len(fast) > 0 {
		for _, cpu := range cores {
			if fast[cpu] {
				n++
			}
		}
		return n
	}
	var capacities []int
	most := 0
	for _, cpu := range cores {
		c, err := strconv.Atoi(read(fmt.Sprintf("sys/devices/system/cpu/cpu%d/cpu_capacity", cpu)))
		if err != nil {
			return 0
		}
		capacities, most = append(capacities, c), max(most, c)
	}
	for _, c := range capacities {
		if 3*c >= 2*most { // big cores beside one that is faster still have 0.75 and more, little ones 0.25 to 0.55
			n++
		}
	}
	return n
}

// cpuList reads a list such as 0-3,8,10-11; nil if it is none.
func cpuList(s string) (list []int) {
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		a, err := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || a < 0 || b < a || b-a > 1<<16 {
			return nil
		}
		for i := a; i <= b; i++ {
			list = append(list, i)
		}
	}
	return list
}

// String says which of the limits sets the number, and what was found.
func (p Processors) String() string {
	found, why := []string{plural.Of(p.Allowed, "processor")}, "all processors"
	if p.Online > p.Allowed {
		found[0], why = fmt.Sprintf("%d of %s allowed", p.Allowed, plural.Of(p.Online, "processor")), "affinity"
	}
	if p.Cores < p.Allowed {
		found, why = append(found, plural.Of(p.Cores, "core")), "physical cores"
	}
	if p.Near < p.Cores {
		found, why = append(found, fmt.Sprintf("%s, %s on this one", plural.Of(p.Sockets, "socket"), plural.Of(p.Near, "core"))), "cores of one socket"
	}
	if p.Fast < p.Near {
		found, why = append(found, plural.Of(p.Fast, "performance core")), "performance cores"
	}
	most := p.Fast
	if 0 < p.Online && p.Online < p.Allowed {
		found = append(found, fmt.Sprintf("%d shown to the container", p.Online))
		if p.Online < most {
			most, why = p.Online, "what the container shows"
		}
	}
	if p.Quota > 0 {
		unit := "CPUs"
		if p.Quota == 1 {
			unit = "CPU"
		}
		found = append(found, fmt.Sprintf("a quota of %.4g %s in %s", p.Quota, unit, p.Group))
		if math.Ceil(p.Quota) < float64(most) {
			why = "quota, rounded up"
		}
	}
	return fmt.Sprintf("%s (%s)", why, strings.Join(found, ", "))
}
