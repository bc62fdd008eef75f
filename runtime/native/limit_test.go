package native

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func TestAvailable(t *testing.T) {
	machine := limit{5 << 40, "machine"}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	meminfo := file("MemTotal: 24000000 kB\nMemFree: 1000 kB\nMemAvailable:   8000000 kB\nSwapFree: 1000 kB\n")
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"nothing readable", fstest.MapFS{}, 5 << 40},
		{"meminfo", fstest.MapFS{"proc/meminfo": meminfo}, 8001000 << 10},
		{"version 2", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("1000000\n"),
			"sys/fs/cgroup/a/memory.current": file("700000\n"), "sys/fs/cgroup/a/memory.stat": file("anon 1\nactive_file 1000\ninactive_file 20000\n"),
			"sys/fs/cgroup/a/memory.swap.max": file("5000"), "sys/fs/cgroup/a/memory.swap.current": file("4000")}, 322000},
		{"version 2 in a container", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/gone\n"),
			"sys/fs/cgroup/memory.max": file("500000\n"), "sys/fs/cgroup/memory.current": file("600000"), "sys/fs/cgroup/memory.swap.max": file("0")}, 0},
		{"version 1", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("5:cpu:/x\n4:memory:/p\n0::/\n"),
			"sys/fs/cgroup/memory/p/memory.limit_in_bytes": file("2000000000\n"), "sys/fs/cgroup/memory/p/memory.usage_in_bytes": file("500000000\n"),
			"sys/fs/cgroup/memory/p/memory.stat":         file("inactive_file 7\ntotal_inactive_file 1000\ntotal_active_file 24\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 1500001024 + 1000<<10},
		{"version 1, swap counted", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("4:memory:/p\n"),
			"sys/fs/cgroup/memory/p/memory.limit_in_bytes": file("2000000\n"), "sys/fs/cgroup/memory/p/memory.usage_in_bytes": file("500000\n"),
			"sys/fs/cgroup/memory/p/memory.memsw.limit_in_bytes": file("2000000\n"), "sys/fs/cgroup/memory/p/memory.memsw.usage_in_bytes": file("600000\n")}, 1400000},
		{"version 1 beside processors, elsewhere, in a container", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("4:cpu,memory:/docker/c/x\n0::/\n"),
			"proc/self/mountinfo":                 file("30 24 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n31 30 0:26 /docker/c /groups/both rw,nosuid shared:9 - cgroup cgroup rw,cpu,memory\n"),
			"groups/both/x/memory.limit_in_bytes": file("3000000\n"), "groups/both/x/memory.usage_in_bytes": file("1\n"),
			"groups/both/memory.limit_in_bytes": file("2000000000\n")}, 2999999 + 1000<<10},
		{"version 2 elsewhere", fstest.MapFS{"proc/meminfo": meminfo, "proc/self/cgroup": file("3:cpu:/a\n0::/b\n"),
			"proc/self/mountinfo":  file("31 30 0:26 / /unified rw - cgroup2 cgroup rw\n"),
			"unified/b/memory.max": file("7000"), "unified/b/memory.swap.max": file("0")}, 7000},
		{"nonsense", fstest.MapFS{"proc/meminfo": file("MemAvailable: lots\n"), "proc/self/cgroup": file("a\nb:c\n0::\n")}, 5 << 40},
	} {
		if got := available(c.files, machine); got.bytes != c.want {
			t.Errorf("%s: %d (%s), expected %d", c.name, got.bytes, got.source, c.want)
		}
	}
}

func TestCheckMemory(t *testing.T) {
	n, source := AvailableMemory()
	t.Logf("%s: %s", source, size(n))
	if err := CheckMemory(1<<20, "a picture"); err != nil {
		t.Error(err)
	}
	if err := CheckMemory(n+1<<40, "this model"); err == nil || !strings.HasPrefix(err.Error(), "this model needs ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

// What was available a moment ago is granted in small parts, until they have taken most of it or the moment is over.
func TestLedger(t *testing.T) {
	var l ledger
	if l.covers(1) {
		t.Error("memory is granted that nobody has looked for")
	}
	l.read(1700, 100)
	n := 0
	for l.covers(50) {
		n++
	}
	if n != 17 || l.covers(60) { // the last one while 800 are left
		t.Errorf("%d parts of 50 of 1600 are granted, expected 17", n)
	}
	if !l.covers(10) {
		t.Error("a smaller part is not granted")
	}
	if l.at = l.at.Add(-2 * readingLasts); l.covers(1) {
		t.Error("memory is granted by an old reading")
	}
}

// What is claimed nobody else is granted, until it is released.
func TestClaim(t *testing.T) {
	n, _ := AvailableMemory()
	release, err := Claim(n/2, "a picture")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Claim(n/4*3, "another"); !errors.Is(err, ErrMemory) {
		t.Errorf("%v, expected too little memory", err)
	}
	release()
	release()
	if release, err = Claim(n/4*3, "another"); err != nil {
		t.Fatal(err)
	}
	release()
	if granted.sum() != 0 {
		t.Errorf("%d bytes are claimed", granted.sum())
	}
}
