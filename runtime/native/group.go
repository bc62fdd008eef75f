package native

import (
	"bytes"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// group is a control group's folder, of version 2 or of version 1.
type group struct {
	dir string
	v2  bool
}

// hierarchy is where the groups of a version are mounted.
type hierarchy struct {
	v2    bool
	mount string // a folder
	root  string // the group that the folder is of
}

// hierarchies finds the mounts of a controller's groups in /proc/self/mountinfo, and else takes the usual ones.
func hierarchies(root fs.FS, controller string) (list []hierarchy) {
	data, _ := fs.ReadFile(root, "proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		// 36 35 98:0 /root /mount/point options … - type source options of the file system
		head, tail, _ := strings.Cut(line, " - ")
		f, t := strings.Fields(head), strings.Fields(tail)
		if len(f) < 6 || len(t) < 3 {
			continue
		}
		mount := strings.TrimPrefix(f[4], "/")
		switch {
		case t[0] == "cgroup2":
			list = append(list, hierarchy{true, mount, f[3]})
		case t[0] == "cgroup" && slices.Contains(strings.Split(t[2], ","), controller):
			list = append(list, hierarchy{false, mount, f[3]})
		}
	}
	if list == nil {
		list = []hierarchy{{true, "sys/fs/cgroup", "/"}, {false, "sys/fs/cgroup/" + controller, "/"}}
	}
	return list
}

// groups returns the process's control groups for a controller and those above them, of version 2 and of version 1.
func groups(root fs.FS, controller string) (list []group) {
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounted := hierarchies(root, controller)
	for line := range strings.Lines(string(data)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		v2 := !slices.Contains(strings.Split(part[1], ","), controller)
		if v2 && part[0] != "0" {
			continue
		}
		for _, h := range mounted {
			if h.v2 == v2 {
				list = append(list, h.above(part[2])...)
			}
		}
	}
	return list
}

// above lists a group and the groups above it. In a container the group's path may be the host's: those folders do not
// exist, the mount's root then is the container's group.
func (h hierarchy) above(name string) (list []group) {
	name = path.Join("/", name)
	if h.root != "/" {
		if below, ok := strings.CutPrefix(name, h.root); ok && (below == "" || below[0] == '/') {
			name = path.Join("/", below)
		}
	}
	for dir := name; ; dir = path.Dir(dir) {
		list = append(list, group{path.Join(h.mount, dir), h.v2})
		if dir == "/" {
			return list
		}
	}
}

// words reads the words of a group's file; none where it is missing.
func (g group) words(root fs.FS, file string) []string {
	data, err := fs.ReadFile(root, path.Join(g.dir, file))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// number reads a group's file of one number.
func (g group) number(root fs.FS, file string) (int64, bool) {
	w := g.words(root, file)
	if len(w) != 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(w[0], 10, 64)
	return n, err == nil
}

// cpus reads how many CPUs' time a group may use, such as 1.5.
func (g group) cpus(root fs.FS) (float64, bool) {
	quota, period := g.words(root, "cpu.cfs_quota_us"), g.words(root, "cpu.cfs_period_us")
	if g.v2 { // "150000 100000", or "max 100000"
		quota, period = g.words(root, "cpu.max"), nil
		if len(quota) == 2 {
			quota, period = quota[:1], quota[1:]
		}
	}
	if len(quota) != 1 || len(period) != 1 {
		return 0, false
	}
	q, err := strconv.ParseInt(quota[0], 10, 64)
	p, err2 := strconv.ParseInt(period[0], 10, 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 { // "max", or version 1's -1
		return 0, false
	}
	return float64(q) / float64(p), true
}

// memoryFiles are the names of a control group's files, and of entries of its memory.stat.
type memoryFiles struct{ most, used, inactive, active string }

var (
	memory1 = memoryFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"}
	memory2 = memoryFiles{"memory.max", "memory.current", "inactive_file", "active_file"}
)

// memory computes what a group has left; file pages it has cached can be freed. swap is what the machine has free; the
// group may be allowed less of it: of swap alone in version 2, of both together in version 1.
func (g group) memory(root fs.FS, swap int64) (limit, bool) {
	files := memory1
	if g.v2 {
		files = memory2
	}
	most, ok := g.number(root, files.most)
	if !ok || most >= 1<<60 { // "max", or version 1's way of saying so
		return limit{}, false
	}
	used, _ := g.number(root, files.used)
	stat, _ := fs.ReadFile(root, path.Join(g.dir, "memory.stat"))
	f := fields(bytes.TrimSpace(stat))
	if most, ok := g.number(root, "memory.swap.max"); ok {
		used, _ := g.number(root, "memory.swap.current")
		swap = min(swap, max(0, most-used))
	}
	both := int64(math.MaxInt64)
	if most, ok := g.number(root, "memory.memsw.limit_in_bytes"); ok && most < 1<<60 {
		used, _ := g.number(root, "memory.memsw.usage_in_bytes")
		both = most - used
	}
	freed := f[files.inactive] + f[files.active]
	return limit{max(0, min(most-used+swap, both)+freed), "the limit of control group /" + g.dir}, true
}
