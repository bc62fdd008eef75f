package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of those whose parent has ended.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// reap waits for what is left of a session whose leader has ended. What does not end soon is killed and returned.
func reap(session int) (left []string) {
	deadline, wait := time.Now().Add(3*time.Second), time.Millisecond
	for {
		var list []int
		list, left = members(session)
		if len(list) == 0 {
			return nil
		}
		for _, pid := range list {
			syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		if time.Now().After(deadline) {
			kill(session)
			return left
		}
		time.Sleep(wait)
		wait = min(2*wait, 64*time.Millisecond) // all of /proc is read each time
	}
}

// kill ends all processes of a session.
func kill(session int) {
	for range 100 {
		list, _ := members(session)
		for _, pid := range list {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(list) <= 1 {
			return
		}
		for _, pid := range list {
			if pid != session { // that one is for who started it
				syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// members lists the processes of a session: their ids, and what they are.
func members(session int) (ids []int, what []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		end := bytes.LastIndexByte(stat, ')') // of the name
		fields := strings.Fields(string(stat[end+1:]))
		if len(fields) < 4 || fields[3] != strconv.Itoa(session) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			ids = append(ids, pid)
			what = append(what, fmt.Sprintf("%s state %s", stat[:end+1], fields[0]))
		}
	}
	return ids, what
}

// resident is the memory that a process has resident, in bytes.
func resident(pid int) int64 {
	var size, pages int64
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fmt.Sscan(string(data), &size, &pages)
	return pages * int64(os.Getpagesize())
}

// stacks says where the threads of a process are in the kernel.
func stacks(pid int) []string {
	list := []string{}
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, path := range paths {
		call, _ := os.ReadFile(path)
		where, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "wchan"))
		list = append(list, fmt.Sprintf("%s: %s", where, bytes.TrimSpace(call)))
	}
	return list
}

// group makes a control group of so many bytes of memory and returns the file that processes join it by.
func (w *workshop) group(bytes uint64) (string, error) {
	for _, v := range []struct{ root, memory string }{{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}} {
		dir := filepath.Join(v.root, fmt.Sprintf("pgc-campaign-%d", os.Getpid()))
		limit := filepath.Join(dir, v.memory)
		if _, err := os.Stat(filepath.Join(v.root, "cgroup.procs")); err != nil {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			continue
		}
		if _, err := os.Stat(limit); err != nil {
			os.Remove(dir)
			continue
		}
		w.ungroup = func() { os.Remove(dir) }
		return filepath.Join(dir, "cgroup.procs"), os.WriteFile(limit, fmt.Append(nil, bytes), 0)
	}
	return "", fmt.Errorf("no control group of memory can be made here")
}
