package native

import (
	"testing"
	"testing/fstest"
)

// TestLayouts finds quotas and limits where container managers and systemd leave them; each has files of other groups, too.
func TestLayouts(t *testing.T) {
	const unlimited1, whole = "9223372036854771712", 5 << 40
	v1 := func(dir, quota, bytes string) map[string]string {
		return map[string]string{"sys/fs/cgroup/cpu,cpuacct" + dir + "/cpu.cfs_quota_us": quota, "sys/fs/cgroup/cpu,cpuacct" + dir + "/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/memory" + dir + "/memory.limit_in_bytes": bytes, "sys/fs/cgroup/memory" + dir + "/memory.usage_in_bytes": "1000",
			"sys/fs/cgroup/memory" + dir + "/memory.memsw.limit_in_bytes": bytes, "sys/fs/cgroup/memory" + dir + "/memory.memsw.usage_in_bytes": "1000"}
	}
	v2 := func(dir, quota, bytes string) map[string]string {
		return map[string]string{dir + "/cpu.max": quota, dir + "/memory.max": bytes, dir + "/memory.current": "1000", dir + "/memory.swap.max": "0"}
	}
	mounts1 := func(root string) string {
		return "30 24 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n31 30 0:26 " + root + " /sys/fs/cgroup/cpu,cpuacct ro master:9 - cgroup cgroup rw,cpu,cpuacct\n" +
			"32 30 0:27 " + root + " /sys/fs/cgroup/memory ro master:10 - cgroup cgroup rw,memory\n33 30 0:28 " + root + " /sys/fs/cgroup/systemd ro - cgroup cgroup rw,name=systemd\n"
	}
	mount2 := func(root, at string) string {
		return "31 30 0:26 " + root + " " + at + " ro,nosuid - cgroup2 cgroup rw\n"
	}
	for _, c := range []struct {
		name           string
		groups, mounts string
		files          []map[string]string
		cpus           float64
		threads        int // of eight processors
		bytes          int64
	}{
		{"Docker, version 2, a namespace of its own", "0::/\n", mount2("/", "/sys/fs/cgroup"),
			[]map[string]string{v2("sys/fs/cgroup", "150000 100000", "1000000")}, 1.5, 2, 999_000},
		{"Docker, version 2, the host's namespace", "0::/system.slice/docker-1f.scope\n", mount2("/", "/sys/fs/cgroup"), []map[string]string{
			v2("sys/fs/cgroup/system.slice/docker-1f.scope", "50000 100000", "1000000"), v2("sys/fs/cgroup/system.slice", "max 100000", "max"),
			v2("sys/fs/cgroup/system.slice/docker-2f.scope", "10000 100000", "2000")}, 0.5, 1, 999_000},
		{"Docker, version 1", "5:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n1:name=systemd:/docker/1f\n0::/\n", mounts1("/docker/1f"),
			[]map[string]string{v1("", "250000", "1000000")}, 2.5, 3, 999_000},
		{"Kubernetes, version 1, a group below the container's", "5:cpu,cpuacct:/kubepods/burstable/podaa/1f/sub\n4:memory:/kubepods/burstable/podaa/1f/sub\n", mounts1("/kubepods/burstable/podaa/1f"),
			[]map[string]string{v1("/sub", "-1", unlimited1), v1("", "20000", "1000000")}, 0.2, 1, 999_000},
		{"Kubernetes, version 2: the pod's limit is less than the sum of its containers'", "0::/kubepods.slice/kubepods-podaa.slice/cri-containerd-1f.scope\n", mount2("/", "/sys/fs/cgroup"), []map[string]string{
			v2("sys/fs/cgroup/kubepods.slice/kubepods-podaa.slice/cri-containerd-1f.scope", "400000 100000", "3000000"),
			v2("sys/fs/cgroup/kubepods.slice/kubepods-podaa.slice", "350000 100000", "2000000"), v2("sys/fs/cgroup/kubepods.slice", "max 100000", "max")}, 3.5, 4, 1_999_000},
		{"slices of systemd with another period", "0::/user.slice/user-1000.slice/session-2.scope\n", mount2("/", "/sys/fs/cgroup"), []map[string]string{
			v2("sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope", "max 100000", "max"), v2("sys/fs/cgroup/user.slice/user-1000.slice", "max 250000", "1000000"),
			v2("sys/fs/cgroup/user.slice", "375000 250000", "max")}, 1.5, 2, 999_000},
		{"systemd's hybrid layout: version 2 has no controllers", "5:cpu,cpuacct:/a.slice\n4:memory:/a.slice\n1:name=systemd:/a.slice\n0::/a.slice\n", mounts1("/") + mount2("/", "/sys/fs/cgroup/unified"),
			[]map[string]string{v1("/a.slice", "110000", "1000000"), {"sys/fs/cgroup/unified/a.slice/cgroup.controllers": ""}}, 1.1, 2, 999_000},
		{"a hybrid layout whose controllers are of version 2", "1:name=systemd:/a.slice\n0::/a.slice\n", "33 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" + mount2("/", "/sys/fs/cgroup/unified"),
			[]map[string]string{v2("sys/fs/cgroup/unified/a.slice", "100000 100000", "1000000")}, 1, 1, 999_000},
		{"a machine of systemd-nspawn, with a backslash in its name", "5:cpu,cpuacct:/machine.slice/machine-a\\x2db.scope/payload\n4:memory:/machine.slice/machine-a\\x2db.scope/payload\n",
			mounts1("/machine.slice/machine-a\\134x2db.scope"), []map[string]string{v1("/payload", "150000", "1000000"), v1("", "-1", unlimited1)}, 1.5, 2, 999_000},
		{"LXC, version 2", "0::/.lxc\n", mount2("/", "/sys/fs/cgroup"),
			[]map[string]string{v2("sys/fs/cgroup/.lxc", "max 100000", "max"), v2("sys/fs/cgroup", "200000 100000", "1000000")}, 2, 2, 999_000},
		{"Podman without root", "0::/container\n", mount2("/", "/sys/fs/cgroup"),
			[]map[string]string{v2("sys/fs/cgroup/container", "max 100000", "max"), v2("sys/fs/cgroup", "100000 1000000", "1000000")}, 0.1, 1, 999_000},
		{"another group's folder is mounted, too", "0::/mine\n", mount2("/", "/sys/fs/cgroup") + mount2("/other", "/mnt/other"),
			[]map[string]string{v2("sys/fs/cgroup/mine", "400000 100000", "1000000"), v2("mnt/other", "100000 100000", "2000")}, 4, 4, 999_000},
		{"the host's groups are mounted in a container, too", "0::/\n", mount2("/../..", "/host/sys/fs/cgroup") + mount2("/", "/sys/fs/cgroup"),
			[]map[string]string{v2("sys/fs/cgroup", "300000 100000", "1000000"), v2("host/sys/fs/cgroup/other", "100000 100000", "2000")}, 3, 3, 999_000},
		{"a group outside of the namespace", "0::/../other\n", mount2("/..", "/sys/fs/cgroup"),
			[]map[string]string{v2("sys/fs/cgroup/other", "300000 100000", "1000000")}, 3, 3, 999_000},
		{"only swap is limited", "0::/a/b\n", mount2("/", "/sys/fs/cgroup"), []map[string]string{v2("sys/fs/cgroup/a", "max 100000", "max")}, 0, 8, 6000 << 10},
		{"swap is limited above", "0::/a/b\n", mount2("/", "/sys/fs/cgroup"),
			[]map[string]string{v2("sys/fs/cgroup/a", "max 100000", "max"), {"sys/fs/cgroup/a/b/memory.max": "1000000", "sys/fs/cgroup/a/b/memory.current": "0"}}, 0, 8, 1_000_000},
		{"no limits", "0::/a\n", mount2("/", "/sys/fs/cgroup"), []map[string]string{{"sys/fs/cgroup/a/cpu.max": "max 100000", "sys/fs/cgroup/a/memory.max": "max"}}, 0, 8, 7000 << 10},
	} {
		root := odd(fstest.MapFS{}, map[string]string{"proc/self/cgroup": c.groups, "proc/self/mountinfo": c.mounts, "proc/meminfo": "MemAvailable: 6000 kB\nSwapFree: 1000 kB"})
		for _, files := range c.files {
			odd(root, files)
		}
		if p := countProcessors(root, []int{0, 1, 2, 3, 4, 5, 6, 7}, 0); p.Quota != c.cpus || p.Threads != c.threads {
			t.Errorf("%s: %d threads, %+v; expected %g CPUs and %d threads", c.name, p.Threads, p, c.cpus, c.threads)
		}
		if l := available(root, limit{whole, "machine"}); l.bytes != c.bytes {
			t.Errorf("%s: %d bytes (%s), expected %d", c.name, l.bytes, l.source, c.bytes)
		}
	}
}
