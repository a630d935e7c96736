package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// accounted says that this system tells what other processes used.
const accounted = true

// account is the time that each thread of a process has run, by thread id.
type account map[string]time.Duration

// accountOf reads /proc/PID/task/*/schedstat, whose first number is nanoseconds
// on a processor, in user and system mode together. The ticks of /proc/PID/stat
// are too coarse for loads of a second or two.
func accountOf(pid int) account {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	a := account{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		if ns, err := strconv.ParseInt(string(first), 10, 64); err == nil {
			a[filepath.Base(filepath.Dir(file))] = time.Duration(ns)
		}
	}
	return a
}

// since is what was used from before to now. Threads that ended in between are
// not in it: none of the programs here ends threads under load.
func (a account) since(before account) time.Duration {
	var sum time.Duration
	for thread, ran := range a {
		sum += ran - before[thread]
	}
	return sum
}

// resident is a process's memory, now and at its largest so far, in bytes.
func resident(pid int) (now, peak int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return statusField(string(text), "VmRSS:"), statusField(string(text), "VmHWM:")
}

// ownMemory is the part of resident memory that is a process's alone, in bytes:
// what no file could give back.
func ownMemory(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return statusField(string(text), "RssAnon:")
}

// statusField reads a size out of /proc/PID/status, where it is in KiB.
func statusField(text, name string) int64 {
	_, after, _ := strings.Cut(text, "\n"+name)
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10
}

// fileLimit is what thousands of sockets need.
const fileLimit = 1 << 17

// raiseFileLimit raises the limit of open files as far as this user may, and
// returns it. Everything started later inherits it.
func raiseFileLimit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	if l.Cur >= fileLimit {
		return int(l.Cur)
	}
	// Beyond the hard limit only the superuser may go.
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: fileLimit, Max: max(l.Max, fileLimit)}) != nil {
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: min(fileLimit, l.Max), Max: l.Max})
	}
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return int(l.Cur)
}

// goWith makes a process end with this one, however this one ends.
func goWith(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// machine details that only Linux tells in this way.

func processorModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	return cpuModel(string(text))
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(text))
}
