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

// unescaped undoes what the kernel does to paths in mountinfo. systemd's names of groups have backslashes, such as
// machine-a\x2db.scope; /proc/self/cgroup has them as they are.
var unescaped = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`)

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
		from, mount := unescaped.Replace(f[3]), strings.TrimPrefix(unescaped.Replace(f[4]), "/")
		switch {
		case t[0] == "cgroup2":
			list = append(list, hierarchy{true, mount, from})
		case t[0] == "cgroup" && slices.Contains(strings.Split(t[2], ","), controller):
			list = append(list, hierarchy{false, mount, from})
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
		all := slices.DeleteFunc(slices.Clone(mounted), func(h hierarchy) bool { return h.v2 != v2 })
		holding := slices.DeleteFunc(slices.Clone(all), func(h hierarchy) bool { _, ok := h.within(part[2]); return !ok })
		if len(holding) == 0 { // the group is the host's path, where only the mount tells which one the container has
			holding = all
		}
		for _, h := range holding {
			list = append(list, h.above(part[2])...)
		}
	}
	return list
}

// within returns the path of a group below the folder that the hierarchy is mounted at, if the group is there: another
// group's folder may be mounted, too, whose limits are not the process's. Both paths begin at the root of the process's
// namespace; what is above that begins with "/..".
func (h hierarchy) within(name string) (below string, ok bool) {
	if h.root == "/" {
		return name, !strings.HasPrefix(name, "/..")
	}
	below, ok = strings.CutPrefix(name, h.root)
	return below, ok && (below == "" || below[0] == '/')
}

// above lists a group and the groups above it. In a container the group's path may be the host's: those folders do not
// exist, the mount's root then is the container's group.
func (h hierarchy) above(name string) (list []group) {
	if below, ok := h.within(name); ok {
		name = below
	}
	for dir := path.Join("/", name); ; dir = path.Dir(dir) {
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

// swap returns how much of the machine's free swap a group of version 2 may still use; without a limit, all of it.
func (g group) swap(root fs.FS, free int64) int64 {
	most, ok := g.number(root, "memory.swap.max")
	if !ok {
		return free
	}
	used, _ := g.number(root, "memory.swap.current")
	return min(free, max(0, most-used))
}

// memory computes what a group has left; file pages it has cached can be freed. swap is what the group's processes may
// use of it; version 1 may limit memory and swap together.
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
	both := int64(math.MaxInt64)
	if most, ok := g.number(root, "memory.memsw.limit_in_bytes"); ok && most < 1<<60 {
		used, _ := g.number(root, "memory.memsw.usage_in_bytes")
		both = most - used
	}
	freed := f[files.inactive] + f[files.active]
	return limit{max(0, min(most-used+swap, both)+freed), "the limit of control group /" + g.dir}, true
}
