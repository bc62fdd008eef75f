package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// launch is what a process of this program does before it becomes the program of a case. It is in the environment
// variable of this name, because arguments are the program's.
const launchName = "PGC_CAMPAIGN_LAUNCH"

type launch struct {
	Path   text   // of the program
	Args   []text // with argv[0]
	Env    []text
	Close  []int // open files to close
	Gone   string
	User   int // 0: stay
	Limits map[string]uint64
	Group  string // cgroup.procs of the control group to join
	Filter bool   // hand the system calls of fallible to the open file 3, a socket
	ByFile bool   // start the program by its open file
}

// limits are the resources that a case may limit.
var limits = map[string]int{
	"as": unix.RLIMIT_AS, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "fsize": unix.RLIMIT_FSIZE,
	"stack": unix.RLIMIT_STACK, "data": unix.RLIMIT_DATA, "memlock": unix.RLIMIT_MEMLOCK, "core": unix.RLIMIT_CORE,
}

// nobody is the user of cases that do not run as root: one without other processes, which limits would count.
const nobody = 61_234

// become turns this process into the program. It returns only an error.
func (l *launch) become() error {
	runtime.LockOSThread() // filters are a thread's; exec keeps the one that calls it
	path := string(l.Path)
	if l.ByFile {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		path = fmt.Sprintf("/proc/self/fd/%d", fd)
	}
	if l.Group != "" {
		if err := os.WriteFile(l.Group, fmt.Append(nil, os.Getpid()), 0); err != nil {
			return err
		}
	}
	if l.Gone != "" {
		if err := os.RemoveAll(l.Gone); err != nil {
			return err
		}
	}
	argv0, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	argv, err := syscall.SlicePtrFromStrings(plain(l.Args))
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings(plain(l.Env))
	if err != nil {
		return err
	}
	if l.User > 0 {
		if err := unix.Setgroups(nil); err != nil {
			return err
		}
		if err := unix.Setresgid(l.User, l.User, l.User); err != nil {
			return err
		}
		if err := unix.Setresuid(l.User, l.User, l.User); err != nil {
			return err
		}
	}
	for _, fd := range l.Close {
		unix.Close(fd)
	}
	if l.Filter {
		if err := filter(); err != nil {
			return err
		}
	}
	for name, value := range l.Limits {
		limit := unix.Rlimit{Cur: value, Max: value}
		if _, _, e := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(limits[name]), uintptr(unsafe.Pointer(&limit)), 0, 0, 0); e != 0 {
			return e
		}
	}
	_, _, e := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(argv0)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
	return e
}

func plain(list []text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}

// becomeLaunched makes this process the program that the environment asks for, if it does.
func becomeLaunched() {
	spec := os.Getenv(launchName)
	if spec == "" {
		return
	}
	l := new(launch)
	err := json.Unmarshal([]byte(spec), l)
	if err == nil {
		err = l.become()
	}
	fmt.Fprintln(os.Stderr, "campaign: cannot start the program:", err)
	os.Exit(notStarted)
}

// notStarted is the exit status of a process that could not become its program.
const notStarted = 99
