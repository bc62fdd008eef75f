package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fallible are the system calls that can be made to fail and the errors they may have. Left out are those whose failure
// ends Go's runtime before code of ours learns of it (futex, epoll, signals, clocks, memory without a file), and close,
// which a kernel never refuses to do: a pipe that stays open keeps its reader waiting.
var fallible = []struct {
	name   string
	number uint32
	errors []string
}{
	{"read", unix.SYS_READ, []string{"EIO", "EINTR", "ENOMEM"}},
	{"pread64", unix.SYS_PREAD64, []string{"EIO", "EINTR"}},
	{"write", unix.SYS_WRITE, []string{"ENOSPC", "EIO", "EINTR", "EDQUOT"}},
	{"pwrite64", unix.SYS_PWRITE64, []string{"ENOSPC", "EIO", "EINTR"}},
	{"openat", unix.SYS_OPENAT, []string{"EMFILE", "ENFILE", "ENOMEM", "EACCES", "EINTR", "EIO"}},
	{"fstat", unix.SYS_FSTAT, []string{"EIO", "ENOMEM"}},
	{"newfstatat", unix.SYS_NEWFSTATAT, []string{"EIO", "ENOMEM", "EACCES"}},
	{"statx", unix.SYS_STATX, []string{"EIO", "ENOMEM", "EACCES"}},
	{"lseek", unix.SYS_LSEEK, []string{"EIO", "ESPIPE"}},
	{"fcntl", unix.SYS_FCNTL, []string{"EMFILE", "EINTR"}},
	{"flock", unix.SYS_FLOCK, []string{"ENOLCK", "EINTR", "EIO"}},
	{"ftruncate", unix.SYS_FTRUNCATE, []string{"ENOSPC", "EIO"}},
	{"renameat", unix.SYS_RENAMEAT, []string{"EIO", "ENOSPC", "EBUSY"}},
	{"linkat", unix.SYS_LINKAT, []string{"EIO", "ENOSPC", "EPERM"}},
	{"unlinkat", unix.SYS_UNLINKAT, []string{"EIO", "EBUSY"}},
	{"mkdirat", unix.SYS_MKDIRAT, []string{"EIO", "ENOSPC"}},
	{"fchmod", unix.SYS_FCHMOD, []string{"EIO", "EPERM"}},
	{"fchmodat", unix.SYS_FCHMODAT, []string{"EIO", "EPERM"}},
	{"fchown", unix.SYS_FCHOWN, []string{"EIO", "EPERM"}},
	{"readlinkat", unix.SYS_READLINKAT, []string{"EIO", "EACCES"}},
	{"getdents64", unix.SYS_GETDENTS64, []string{"EIO", "ENOMEM"}},
	{"getcwd", unix.SYS_GETCWD, []string{"ENOENT", "ENOMEM"}},
	{"pipe2", unix.SYS_PIPE2, []string{"EMFILE", "ENFILE"}},
	{"socket", unix.SYS_SOCKET, []string{"EMFILE", "ENOBUFS"}},
	{"ioctl", unix.SYS_IOCTL, []string{"EIO"}},
	{"mmap", unix.SYS_MMAP, []string{"ENOMEM", "ENODEV", "EAGAIN"}},
	{"mprotect", unix.SYS_MPROTECT, []string{"ENOMEM"}},
	{"clone", unix.SYS_CLONE, []string{"EAGAIN", "ENOMEM"}},
	{"sched_getaffinity", unix.SYS_SCHED_GETAFFINITY, []string{"EPERM"}},
	{"sysinfo", unix.SYS_SYSINFO, []string{"EFAULT"}},
	{"getrandom", unix.SYS_GETRANDOM, []string{"EINTR", "ENOSYS"}},
	{"faccessat", unix.SYS_FACCESSAT, []string{"EIO", "ENOMEM"}},
	{"faccessat2", unix.SYS_FACCESSAT2, []string{"EIO", "ENOMEM"}},
	{"copy_file_range", unix.SYS_COPY_FILE_RANGE, []string{"EIO", "ENOSPC", "EXDEV"}},
	{"sendfile", unix.SYS_SENDFILE, []string{"EIO"}},
	{"waitid", unix.SYS_WAITID, []string{"EINTR"}},
}

// filter makes the kernel hand this thread's fallible system calls to who reads the socket at the open file 3, to which
// it sends the file for that.
func filter() error {
	const load, jump, end = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{{Code: load, K: 0}} // seccomp_data.nr
	for _, f := range fallible {
		program = append(program, unix.SockFilter{Code: jump, Jf: 1, K: f.number}, unix.SockFilter{Code: end, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	program = append(program, unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ALLOW})
	unix.CloseOnExec(3)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	const killable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	// No call that the filter catches may come before the listener is sent, not even for memory: all is made before.
	rights, data := unix.UnixRights(0), []byte{0}
	listener := (*int32)(unsafe.Pointer(&rights[unix.CmsgLen(0)]))
	vector := unix.Iovec{Base: &data[0], Len: 1}
	message := unix.Msghdr{Iov: &vector, Iovlen: 1, Control: &rights[0]}
	message.SetControllen(len(rights))
	fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|killable, uintptr(unsafe.Pointer(&prog)))
	if e == 0 {
		*listener = int32(fd)
		_, _, e = unix.RawSyscall(unix.SYS_SENDMSG, 3, uintptr(unsafe.Pointer(&message)), 0)
	}
	if e != 0 {
		return fmt.Errorf("seccomp: %w", e)
	}
	return nil
}

// injector answers system calls of a filter.
type injector struct {
	c      *Case
	mu     sync.Mutex
	counts map[string]int
	failed []Call // what it has made fail
}

// notification is the kernel's struct seccomp_notif, response its struct seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	value int64
	error int32
	flags uint32
}

// serve receives the listener over a socket and answers until all filtered processes have ended.
func (j *injector) serve(socket int) error {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 {
		return errors.Join(err, errors.New("the process ended before it had a filter"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	defer unix.Close(fds[0])
	for {
		poll := []unix.PollFd{{Fd: int32(fds[0]), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			return err
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			if poll[0].Revents != 0 {
				return nil
			}
			continue
		}
		var q notification
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fds[0]), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&q))); e != 0 {
			continue // the process was ended meanwhile
		}
		r := response{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if e := j.decide(&q); e != 0 {
			r = response{id: q.id, value: -1, error: -int32(e)}
		}
		for e := unix.EINTR; e == unix.EINTR; {
			_, _, e = unix.Syscall(unix.SYS_IOCTL, uintptr(fds[0]), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
		}
	}
}

// decide returns the error of a system call, or 0 where it shall be done.
func (j *injector) decide(q *notification) syscall.Errno {
	switch { // what Go's runtime does
	case q.number == unix.SYS_MMAP && int32(q.args[4]) < 0, q.number == unix.SYS_FCNTL && q.args[1] == unix.F_GETFD,
		q.number == unix.SYS_CLONE && q.args[0]&(unix.CLONE_THREAD|unix.CLONE_PARENT_SETTID) == unix.CLONE_THREAD:
		return 0
	case (q.number == unix.SYS_READ || q.number == unix.SYS_WRITE) && q.args[2] == 8: // it wakes its poller so
		if file, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", q.pid, q.args[0])); strings.Contains(file, "eventfd") {
			return 0
		}
	}
	for _, f := range fallible {
		if f.number != uint32(q.number) {
			continue
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.counts[f.name]++
		nth := j.counts[f.name]
		for _, call := range j.c.Calls {
			if call.Name == f.name && call.Nth == nth {
				j.failed = append(j.failed, call)
				return errno(call.Error)
			}
		}
		if r := newRandom(j.c.Seed ^ uint64(f.number)<<48 ^ uint64(nth)<<24); r.chance(j.c.Rate) {
			name := one(r, f.errors)
			j.failed = append(j.failed, Call{f.name, nth, name})
			return errno(name)
		}
	}
	return 0
}

// errno returns the error of a name.
func errno(name string) syscall.Errno {
	for e := syscall.Errno(1); e < 140; e++ {
		if unix.ErrnoName(e) == name {
			return e
		}
	}
	panic("no error is named " + name)
}
