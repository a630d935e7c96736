package main

import (
	"os"
	"testing"
	"time"
)

func TestAccount(t *testing.T) {
	before := accountOf(os.Getpid())
	sum := 0
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
		sum++
	}
	if used := accountOf(os.Getpid()).since(before); used <= 0 || sum == 0 {
		t.Errorf("a busy process used %v", used)
	}
	if now, peak := resident(os.Getpid()); now < 1<<20 || peak < now {
		t.Errorf("resident: %d, at most %d", now, peak)
	}
	a := account{"1": 100, "2": 50}
	if got := a.since(account{"1": 40, "3": 1000}); got != 110 {
		t.Errorf("since: %d", got)
	}
	if n := statusField("Name:\tx\nVmHWM:\t  123 kB\nVmRSS:\t   45 kB\n", "VmRSS:"); n != 45<<10 {
		t.Errorf("VmRSS is %d", n)
	}
	if n := statusField("Name:\tx\n", "VmRSS:"); n != 0 {
		t.Errorf("no VmRSS is %d", n)
	}
	if len(accountOf(-1)) != 0 {
		t.Error("nobody has an account")
	}
}
