package native

import (
	"fmt"
	"testing"
	"testing/fstest"
)

// machineFiles makes the files of /sys for a machine whose processors share cores and have capacities as given.
func machineFiles(siblings []string, capacity []int) fstest.MapFS {
	root := fstest.MapFS{}
	put := func(name, text string) { root[name] = &fstest.MapFile{Data: []byte(text + "\n")} }
	put("sys/devices/system/cpu/online", fmt.Sprintf("0-%d", len(siblings)-1))
	for i, s := range siblings {
		put(fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/core_cpus_list", i), s)
		if capacity != nil {
			put(fmt.Sprintf("sys/devices/system/cpu/cpu%d/cpu_capacity", i), fmt.Sprint(capacity[i]))
		}
	}
	return root
}

// odd puts files beside others, or in their place.
func odd(root fstest.MapFS, files map[string]string) fstest.MapFS {
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return root
}

func TestCountProcessors(t *testing.T) {
	alone := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint(i))
		}
		return list
	}
	upTo := func(n int) (list []int) {
		for i := range n {
			list = append(list, i)
		}
		return list
	}
	hyper := []string{"0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"}
	// A hybrid processor: two performance cores of two threads each, four efficiency cores.
	hybrid := []string{"0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"}
	v1 := map[string]string{"proc/self/cgroup": "2:cpu,cpuacct:/a/b\n1:memory:/z\n0::/\n",
		"proc/self/mountinfo": "31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n32 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"}
	v2 := map[string]string{"proc/self/cgroup": "0::/a/b\n"}
	for _, c := range []struct {
		name    string
		root    fstest.MapFS
		allowed []int
		groups  map[string]string
		quotas  map[string]string
		want    Processors
		why     string
	}{
		{"nothing readable", fstest.MapFS{}, upTo(3), nil, nil, Processors{3, 0, 3, 3, 1, 3, 3, 0, ""}, "all processors (3 processors)"},
		{"plain", machineFiles(alone(4), nil), upTo(4), nil, nil, Processors{4, 4, 4, 4, 1, 4, 4, 0, ""}, "all processors (4 processors)"},
		{"affinity", machineFiles(alone(96), nil), upTo(3), nil, nil, Processors{3, 96, 3, 3, 1, 3, 3, 0, ""}, "affinity (3 of 96 processors allowed)"},
		{"two threads a core", machineFiles(hyper, nil), upTo(8), nil, nil, Processors{4, 8, 8, 4, 1, 4, 4, 0, ""}, "physical cores (8 processors, 4 cores)"},
		{"affinity of one thread a core", machineFiles(hyper, nil), upTo(4), nil, nil, Processors{4, 8, 4, 4, 1, 4, 4, 0, ""}, "affinity (4 of 8 processors allowed)"},
		{"affinity of both threads of a core", machineFiles(hyper, nil), []int{1, 5}, nil, nil, Processors{1, 8, 2, 1, 1, 1, 1, 0, ""},
			"physical cores (2 of 8 processors allowed, 1 core)"},
		{"arm64, big and little", machineFiles(alone(8), []int{290, 290, 290, 290, 780, 780, 780, 1024}), upTo(8), nil, nil,
			Processors{4, 8, 8, 8, 1, 8, 4, 0, ""}, "performance cores (8 processors, 4 performance cores)"},
		{"arm64, allowed only little ones", machineFiles(alone(8), []int{290, 290, 290, 290, 780, 780, 780, 1024}), upTo(4), nil, nil,
			Processors{4, 8, 4, 4, 1, 4, 4, 0, ""}, "affinity (4 of 8 processors allowed)"},
		{"arm64, all alike", machineFiles(alone(2), []int{1024, 1024}), upTo(2), nil, nil, Processors{2, 2, 2, 2, 1, 2, 2, 0, ""}, "all processors (2 processors)"},
		{"version 1, the outer group is narrower", machineFiles(alone(16), nil), upTo(16), v1, map[string]string{
			"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "800000", "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "125000", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "50000",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"},
			Processors{3, 16, 16, 16, 1, 16, 16, 2.5, "/sys/fs/cgroup/cpu,cpuacct/a"}, "quota, rounded up (16 processors, a quota of 2.5 CPUs in /sys/fs/cgroup/cpu,cpuacct/a)"},
		{"version 2", machineFiles(hyper, nil), upTo(8), v2, map[string]string{"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "150000 100000"},
			Processors{2, 8, 8, 4, 1, 4, 4, 1.5, "/sys/fs/cgroup/a"}, "quota, rounded up (8 processors, 4 cores, a quota of 1.5 CPUs in /sys/fs/cgroup/a)"},
		{"version 2 in a container, less than a CPU", machineFiles(alone(4), nil), upTo(4), map[string]string{"proc/self/cgroup": "0::/gone\n"},
			map[string]string{"sys/fs/cgroup/cpu.max": "20000 100000"}, Processors{1, 4, 4, 4, 1, 4, 4, 0.2, "/sys/fs/cgroup"}, "quota, rounded up (4 processors, a quota of 0.2 CPUs in /sys/fs/cgroup)"},
		{"a quota of one", machineFiles(alone(4), nil), upTo(4), v2, map[string]string{"sys/fs/cgroup/a/cpu.max": "100000 100000"},
			Processors{1, 4, 4, 4, 1, 4, 4, 1, "/sys/fs/cgroup/a"}, "quota, rounded up (4 processors, a quota of 1 CPU in /sys/fs/cgroup/a)"},
		{"a quota beyond the cores", machineFiles(hyper, nil), upTo(8), v2, map[string]string{"sys/fs/cgroup/a/cpu.max": "600000 100000"},
			Processors{4, 8, 8, 4, 1, 4, 4, 6, "/sys/fs/cgroup/a"}, "physical cores (8 processors, 4 cores, a quota of 6 CPUs in /sys/fs/cgroup/a)"},
		{"a container of lxcfs, whose quota is that of a group above what it sees", machineFiles(alone(2), nil), upTo(8), map[string]string{"proc/self/cgroup": "0::/.lxc\n"}, nil,
			Processors{2, 2, 8, 8, 1, 8, 8, 0, ""}, "what the container shows (8 processors, 2 shown to the container)"},
		{"the siblings of a core far apart, and one of them offline", odd(machineFiles([]string{"0,64", "1,65", "2"}, nil), map[string]string{
			"sys/devices/system/cpu/online": "0-2,64-65", "sys/devices/system/cpu/offline": "66", "sys/devices/system/cpu/cpu64/topology/core_cpus_list": "0,64",
			"sys/devices/system/cpu/cpu65/topology/core_cpus_list": "1,65"}), []int{0, 1, 2, 64, 65}, nil, nil,
			Processors{3, 5, 5, 3, 1, 3, 3, 0, ""}, "physical cores (5 processors, 3 cores)"},
		{"four threads a core, as before Linux 5.3", odd(fstest.MapFS{}, map[string]string{"sys/devices/system/cpu/online": "0-7", "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0-3",
			"sys/devices/system/cpu/cpu4/topology/thread_siblings_list": "4-7"}), upTo(8), nil, nil, Processors{2, 8, 8, 2, 1, 2, 2, 0, ""}, "physical cores (8 processors, 2 cores)"},
		{"arm64, the capacity of one unreadable", odd(machineFiles(alone(3), []int{290, 1024, 1024}), map[string]string{"sys/devices/system/cpu/cpu0/cpu_capacity": ""}), upTo(3), nil, nil,
			Processors{3, 3, 3, 3, 1, 3, 3, 0, ""}, "all processors (3 processors)"},
		{"three kinds of cores, only the second threads of the fast ones allowed", odd(machineFiles([]string{"0-1", "0-1", "2-3", "2-3", "4", "5"}, nil), map[string]string{
			"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4", "sys/devices/cpu_lowpower/cpus": "5"}), []int{1, 3, 4, 5}, nil, nil,
			Processors{2, 6, 4, 4, 1, 4, 2, 0, ""}, "performance cores (4 of 6 processors allowed, 2 performance cores)"},
		{"nonsense", fstest.MapFS{"sys/devices/system/cpu/online": {Data: []byte("-")}, "sys/devices/system/cpu/cpu0/topology/core_cpus_list": {Data: []byte("0-x")}}, upTo(2), v2,
			map[string]string{"sys/fs/cgroup/a/cpu.max": "0 0", "sys/fs/cgroup/a/b/cpu.max": "five"}, Processors{2, 0, 2, 2, 1, 2, 2, 0, ""}, "all processors (2 processors)"},
	} {
		got := countProcessors(odd(odd(c.root, c.groups), c.quotas), c.allowed, c.allowed[0])
		if got != c.want {
			t.Errorf("%s: %+v, expected %+v", c.name, got, c.want)
		}
		if got.String() != c.why {
			t.Errorf("%s: %q, expected %q", c.name, got, c.why)
		}
	}
	root := machineFiles(hybrid, nil)
	root["sys/devices/cpu_core/cpus"] = &fstest.MapFile{Data: []byte("0-3\n")}
	root["sys/devices/cpu_atom/cpus"] = &fstest.MapFile{Data: []byte("4-7\n")}
	if got, want := countProcessors(root, upTo(8), 5), (Processors{2, 8, 8, 6, 1, 6, 2, 0, ""}); got != want {
		t.Errorf("hybrid: %+v, expected %+v", got, want)
	} else if got.String() != "performance cores (8 processors, 6 cores, 2 performance cores)" {
		t.Errorf("hybrid: %q", got)
	}
	if got, want := countProcessors(root, []int{4, 5, 6}, 5), (Processors{3, 8, 3, 3, 1, 3, 3, 0, ""}); got != want {
		t.Errorf("hybrid, efficiency cores only: %+v, expected %+v", got, want)
	}
	t.Logf("here: %d: %s", DefaultThreads(), CountProcessors())
}

func TestCPUList(t *testing.T) {
	for s, want := range map[string]string{"": "[]", "0": "[0]", "0-3,8, 10-11": "[0 1 2 3 8 10 11]", "3-1": "[]", "0-99999999": "[]", "a": "[]", "-1": "[]"} {
		if got := fmt.Sprint(cpuList(s)); got != want {
			t.Errorf("%q: %s, expected %s", s, got, want)
		}
	}
}

// TestSockets groups processors of two packages with two nodes each, of a virtual machine whose every processor is a
// package, and of machines with one node.
func TestSockets(t *testing.T) {
	machine := func(nodes []string, packages []int) fstest.MapFS {
		var alone []string
		for i := range packages {
			alone = append(alone, fmt.Sprint(i))
		}
		root := machineFiles(alone, nil)
		put := func(name, text string) { root[name] = &fstest.MapFile{Data: []byte(text + "\n")} }
		put("sys/devices/system/node/online", fmt.Sprintf("0-%d", len(nodes)-1))
		for i, cpus := range nodes {
			put(fmt.Sprintf("sys/devices/system/node/node%d/cpulist", i), cpus)
		}
		for i, p := range packages {
			put(fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/physical_package_id", i), fmt.Sprint(p))
		}
		return root
	}
	two := machine([]string{"0-1", "2-3", "4-5", "6-7"}, []int{0, 0, 0, 0, 1, 1, 1, 1})
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for _, c := range []struct {
		name    string
		root    fstest.MapFS
		allowed []int
		here    int
		near    string
		sockets int
	}{
		{"the first of two packages", two, all, 1, "[0 1 2 3]", 2},
		{"the second of two packages", two, all, 6, "[4 5 6 7]", 2},
		{"only one of two allowed", two, []int{5, 6}, 5, "[5 6]", 1},
		{"moved away since", two, []int{5, 6}, 0, "[5 6]", 1},
		{"more of one than of the other", two, []int{0, 4, 5}, 0, "[0]", 2},
		{"unknown", two, all, -1, "[0 1 2 3]", 2},
		{"packages of one node", machine([]string{"0-3"}, []int{0, 1, 2, 3}), []int{0, 1, 2, 3}, 2, "[0 1 2 3]", 1},
		{"packages of two nodes", machine([]string{"0-1", "2-3"}, []int{0, 1, 2, 3}), []int{0, 1, 2, 3}, 2, "[2 3]", 2},
		{"a node without processors", machine([]string{"0-1", ""}, []int{0, 0}), []int{0, 1}, 0, "[0 1]", 1},
		{"no files", fstest.MapFS{}, []int{0, 1}, 0, "[0 1]", 1},
		{"four clusters of each of two packages", machine([]string{"0", "1", "2", "3", "4", "5", "6", "7"}, []int{0, 0, 0, 0, 1, 1, 1, 1}), all, 2, "[0 1 2 3]", 2},
		{"their second package", machine([]string{"0", "1", "2", "3", "4", "5", "6", "7"}, []int{0, 0, 0, 0, 1, 1, 1, 1}), all, 4, "[4 5 6 7]", 2},
		{"nodes that alternate", machine([]string{"0,2,4,6", "1,3,5,7"}, []int{0, 1, 0, 1, 0, 1, 0, 1}), all, 3, "[1 3 5 7]", 2},
		{"packages unknown, as on arm64", machine([]string{"0-1", "2-3"}, []int{-1, -1, -1, -1}), []int{0, 1, 2, 3}, 2, "[2 3]", 2},
		{"holes in the numbers of nodes, and memory without processors", odd(machine([]string{"0-1"}, []int{0, 0, 1, 1}), map[string]string{
			"sys/devices/system/node/online": "0,2-3,8,255", "sys/devices/system/node/node2/cpulist": "", "sys/devices/system/node/node3/cpulist": "",
			"sys/devices/system/node/node8/cpulist": "2-3"}), []int{0, 1, 2, 3}, 3, "[2 3]", 2},
		{"no node 0", odd(machine([]string{""}, []int{0, 0, 0, 0}), map[string]string{"sys/devices/system/node/online": "4,6",
			"sys/devices/system/node/node4/cpulist": "0-1", "sys/devices/system/node/node6/cpulist": "2-3"}), []int{0, 1, 2, 3}, 0, "[0 1 2 3]", 1},
	} {
		near, sockets := socketOf(c.allowed, c.here, reader(c.root))
		if fmt.Sprint(near) != c.near || sockets != c.sockets {
			t.Errorf("%s: %v of %d sockets, expected %s of %d", c.name, near, sockets, c.near, c.sockets)
		}
	}
	if got, want := countProcessors(two, all, 6), (Processors{4, 8, 8, 8, 2, 4, 4, 0, ""}); got != want {
		t.Errorf("two sockets: %+v, expected %+v", got, want)
	} else if got.String() != "cores of one socket (8 processors, 2 sockets, 4 cores on this one)" {
		t.Errorf("two sockets: %q", got)
	}
}
