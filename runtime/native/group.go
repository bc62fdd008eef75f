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

// groupFiles are the names of a control group's files, and of entries of its memory.stat.
type groupFiles struct{ most, used, inactive, active string }

var (
	version1 = groupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"}
	version2 = groupFiles{"memory.max", "memory.current", "inactive_file", "active_file"}
)

// hierarchy is where the groups of a version are mounted.
type hierarchy struct {
	files groupFiles
	mount string // a folder
	root  string // the group that the folder is of
}

// hierarchies finds the mounts in /proc/self/mountinfo, and else takes the usual ones.
func hierarchies(root fs.FS) (list []hierarchy) {
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
			list = append(list, hierarchy{version2, mount, f[3]})
		case t[0] == "cgroup" && slices.Contains(strings.Split(t[2], ","), "memory"):
			list = append(list, hierarchy{version1, mount, f[3]})
		}
	}
	if list == nil {
		list = []hierarchy{{version2, "sys/fs/cgroup", "/"}, {version1, "sys/fs/cgroup/memory", "/"}}
	}
	return list
}

// controlGroups reads the limits of the process's control groups and of those above them, of version 2 and of version 1.
func controlGroups(root fs.FS, swap int64) []limit {
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounted := hierarchies(root)
	var list []limit
	for line := range strings.Lines(string(data)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		files := version2
		if slices.Contains(strings.Split(part[1], ","), "memory") {
			files = version1
		} else if part[0] != "0" {
			continue
		}
		for _, h := range mounted {
			if h.files == files {
				list = append(list, h.limits(root, part[2], swap)...)
			}
		}
	}
	return list
}

// limits reads those of a group and of the groups above it. In a container the group's path may be the host's: those
// folders do not exist, the mount's root then is the container's group.
func (h hierarchy) limits(root fs.FS, group string, swap int64) (list []limit) {
	group = path.Join("/", group)
	if h.root != "/" {
		if below, ok := strings.CutPrefix(group, h.root); ok && (below == "" || below[0] == '/') {
			group = path.Join("/", below)
		}
	}
	for dir := group; ; dir = path.Dir(dir) {
		if l, ok := controlGroup(root, path.Join(h.mount, dir), h.files, swap); ok {
			list = append(list, l)
		}
		if dir == "/" {
			return list
		}
	}
}

// controlGroup computes what one group has left; file pages it has cached can be freed. swap is what the machine has
// free; the group may be allowed less of it: of swap alone in version 2, of both together in version 1.
func controlGroup(root fs.FS, dir string, files groupFiles, swap int64) (limit, bool) {
	number := func(name string) (int64, bool) {
		data, err := fs.ReadFile(root, path.Join(dir, name))
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
		return n, err == nil
	}
	most, ok := number(files.most)
	if !ok || most >= 1<<60 { // "max", or version 1's way of saying so
		return limit{}, false
	}
	used, _ := number(files.used)
	stat, _ := fs.ReadFile(root, path.Join(dir, "memory.stat"))
	f := fields(stat)
	if most, ok := number("memory.swap.max"); ok {
		used, _ := number("memory.swap.current")
		swap = min(swap, max(0, most-used))
	}
	both := int64(math.MaxInt64)
	if most, ok := number("memory.memsw.limit_in_bytes"); ok && most < 1<<60 {
		used, _ := number("memory.memsw.usage_in_bytes")
		both = most - used
	}
	freed := f[files.inactive] + f[files.active]
	return limit{max(0, min(most-used+swap, both)+freed), "the limit of control group /" + dir}, true
}
