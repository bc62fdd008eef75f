package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// result is how a case ended.
type result struct {
	status         int    // exit status, or -1
	signal         string // that ended it
	stdout, stderr []byte
	cpu, wall      time.Duration
	memory         int64 // most bytes resident
	before, after  tree
	left           []string // processes
	failed         []Call   // system calls that were made fail
	stopped        bool     // it took too long and was killed
	stack          []string // where its threads were then
}

// patience is how long a program may take, on a machine that does other work, too.
const patience = 5 * time.Minute

// ways are the values of a case's Stdin that name no file.
var ways = map[string]bool{"closed": true, "open": true, "empty": true}

// run runs a case in a folder of its own.
func (w *workshop) run(ctx context.Context, c *Case) (r *result, err error) {
	dir := filepath.Join(w.dir, "case")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o777)); err != nil {
		return nil, err
	}
	for _, sub := range []string{"in", "out", "tmp", "home"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o777); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := filepath.Join(dir, "out")
	if c.Place != "" {
		if err := unix.Mount("tmpfs", out, "tmpfs", 0, "size=20k,nr_inodes=40,mode=0777"); err != nil {
			return nil, fmt.Errorf("a place that is %s: %w", c.Place, err)
		}
		defer func() { err = errors.Join(unix.Unmount(out, unix.MNT_DETACH), err) }()
	}
	for i := range c.Files {
		if err := w.lay(dir, &c.Files[i]); err != nil {
			return nil, err
		}
	}
	if c.User {
		if err := own(dir); err != nil {
			return nil, err
		}
	}
	if c.Place == "readonly" {
		if err := unix.Mount("", out, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return nil, err
		}
	}
	l, later, err := w.reach(dir, c)
	if err != nil {
		return nil, err
	}
	if r, err = w.start(ctx, dir, c, l, later); err != nil {
		return nil, err
	}
	r.after = look(dir)
	return r, nil
}

// cannot says why a case cannot be run here, or is empty.
func (w *workshop) cannot(c *Case) string {
	root := os.Getuid() == 0
	if !root && (c.User || c.Place != "" || c.Memory > 0) {
		return "it takes root"
	}
	switch {
	case c.Memory > 0 && w.groups != nil:
		return w.groups.Error()
	case c.fails() && w.filters != nil:
		return w.filters.Error()
	}
	return ""
}

// own gives a folder to nobody.
func own(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink > 1 {
			return nil // a program
		}
		return os.Lchown(path, nobody, nobody)
	})
}

// reach decides by which path the program is started, and what happens to the file later.
func (w *workshop) reach(dir string, c *Case) (l *launch, later func(), err error) {
	l = &launch{Path: text(w.programs[c.Program]), Limits: c.Limits, Filter: c.fails()}
	if name, ok := strings.CutPrefix(c.Program, "file:"); ok {
		l.Path = text("./" + name)
	} else if l.Path == "" {
		return nil, nil, fmt.Errorf("no program is called %s", c.Program)
	}
	path, name := string(l.Path), c.Program
	switch c.Via {
	case "":
	case "symlink":
		err = os.Symlink(path, filepath.Join(dir, "home/link"))
		l.Path = "home/link"
	case "odd":
		err = os.Link(path, filepath.Join(dir, "home/a\n\x1b[31m\xff"))
		l.Path, name = "home/a\n\x1b[31m\xff", "a\n\x1b[31m\xff"
	case "fd":
		l.ByFile = true
	case "deleted":
		err = os.Link(path, filepath.Join(dir, "home/gone"))
		l.Path, later = "home/gone", func() { os.Remove(filepath.Join(dir, "home/gone")) }
	case "replaced":
		err = os.Link(path, filepath.Join(dir, "home/other"))
		l.Path, later = "home/other", func() {
			os.WriteFile(filepath.Join(dir, "home/next"), []byte("noise"), 0o755)
			os.Rename(filepath.Join(dir, "home/next"), filepath.Join(dir, "home/other"))
		}
	case "noname":
		name = ""
	default:
		return nil, nil, fmt.Errorf("no way to a program is called %s", c.Via)
	}
	l.Args = append([]text{text(name)}, c.Args...)
	if c.User {
		l.User = nobody
	}
	if c.Gone {
		l.Gone = dir
	}
	env := map[string]text{"HOME": text(filepath.Join(dir, "home")), "TMPDIR": text(filepath.Join(dir, "tmp")), "PATH": text(os.Getenv("PATH")),
		"LANG": "C.UTF-8"}
	for _, e := range c.Env {
		name, value, set := strings.Cut(string(e), "=")
		if env[name] = text(value); !set {
			delete(env, name)
		}
	}
	for name, value := range env {
		l.Env = append(l.Env, text(name)+"="+value)
	}
	if c.Memory > 0 {
		if l.Group, err = w.group(c.Memory); err != nil {
			return nil, nil, err
		}
	}
	return l, later, err
}

// start runs the program and waits for its end.
func (w *workshop) start(ctx context.Context, dir string, c *Case, l *launch, later func()) (*result, error) {
	r := &result{status: -1, before: look(dir)}
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	s := &streams{dir: dir, l: l}
	defer s.close()
	stdout, stderr, socket, err := s.connect(cmd, c)
	if err != nil {
		return nil, err
	}
	j := &injector{c: c, counts: map[string]int{}}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var readers, helpers sync.WaitGroup
	for _, f := range s.theirs {
		f.Close() // so that the end of the program is the end of its streams
	}
	for _, stream := range []struct {
		from io.Reader
		to   *[]byte
	}{{stdout, &r.stdout}, {stderr, &r.stderr}} {
		if stream.from != io.ReadCloser(nil) {
			readers.Go(func() { *stream.to, _ = io.ReadAll(io.LimitReader(stream.from, 64<<20)) })
		}
	}
	if socket >= 0 {
		helpers.Go(func() { j.serve(socket) })
	}
	ended := make(chan struct{})
	if later != nil {
		helpers.Go(func() { pause(ended, 15*time.Millisecond); later() })
	}
	helpers.Go(func() { r.attend(ctx, cmd.Process, c.Signals, start, ended) })
	err = cmd.Wait()
	r.wall = time.Since(start)
	close(ended)
	r.left = reap(cmd.Process.Pid) // before the injector, which serves them, too
	helpers.Wait()
	readers.Wait()
	if cmd.ProcessState == nil {
		return nil, err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r.cpu, r.memory, r.failed = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), usage.Maxrss<<10, j.failed
	if state := cmd.ProcessState.Sys().(syscall.WaitStatus); state.Signaled() {
		r.signal = unix.SignalName(state.Signal())
	} else if r.status = state.ExitStatus(); r.status == notStarted {
		return nil, fmt.Errorf("%s", bytes.TrimSpace(r.stderr))
	}
	return r, nil
}

// connect gives a command its streams, its environment and, where its system calls are filtered, the socket through which it
// hands the filter over; socket is -1 where they are not.
func (s *streams) connect(cmd *exec.Cmd, c *Case) (stdout, stderr io.ReadCloser, socket int, err error) {
	if cmd.Stdin, err = s.in(c.Stdin); err != nil {
		return nil, nil, -1, err
	}
	if cmd.Stdout, stdout, err = s.out(1, c.Stdout); err != nil {
		return nil, nil, -1, err
	}
	if cmd.Stderr, stderr, err = s.out(2, c.Stderr); err != nil {
		return nil, nil, -1, err
	}
	socket = -1
	if s.l.Filter {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, nil, -1, err
		}
		theirs := os.NewFile(uintptr(pair[1]), "filter")
		cmd.ExtraFiles, socket = []*os.File{theirs}, pair[0]
		s.theirs, s.files = append(s.theirs, theirs), append(s.files, os.NewFile(uintptr(pair[0]), "filter"))
	}
	spec, err := json.Marshal(s.l)
	cmd.Env = []string{launchName + "=" + string(spec)}
	return stdout, stderr, socket, err
}

// attend sends a program its signals, and stops it when it takes too long or too much memory, until it has ended.
func (r *result) attend(ctx context.Context, p *os.Process, signals []Signal, start time.Time, ended <-chan struct{}) {
	for _, sig := range signals {
		if pause(ended, time.Duration(sig.After)*time.Microsecond) {
			p.Signal(signalNamed(sig.Name))
		}
	}
	for pause(ended, 20*time.Millisecond) {
		late := time.Since(start) > patience || resident(p.Pid) > 4<<30
		switch {
		case ctx.Err() != nil, r.stopped && late:
			kill(p.Pid)
		case late:
			r.stopped, r.stack, start = true, stacks(p.Pid), time.Now().Add(-patience+time.Second)
			p.Signal(syscall.SIGQUIT) // Go says on standard error what it does
		}
	}
}

// pause waits, and reports false if the program ends meanwhile.
func pause(ended <-chan struct{}, d time.Duration) bool {
	select {
	case <-ended:
		return false
	case <-time.After(d):
		return true
	}
}

func signalNamed(name string) syscall.Signal {
	if s := unix.SignalNum(name); s != 0 {
		return s
	}
	panic("no signal is named " + name)
}
