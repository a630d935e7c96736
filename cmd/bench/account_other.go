//go:build !linux

package main

import (
	"os/exec"
	"runtime"
	"time"
)

// accounted says that this system does not tell, in a way known here, what
// other running processes used. The columns stay empty.
const accounted = false

type account struct{}

func accountOf(int) account { return account{} }

func (account) since(account) time.Duration { return 0 }

func resident(int) (now, peak int64) { return 0, 0 }

func ownMemory(int) int64 { return 0 }

// raiseFileLimit returns the least limit of open files that is usual: Go raises
// the soft one by itself.
func raiseFileLimit() int { return 1024 }

// goWith would make a process end with this one; here only those that are told
// to stop, or whose standard input ends, do.
func goWith(*exec.Cmd) {}

func processorModel() string { return runtime.GOARCH }

func kernel() string { return runtime.GOOS }
