package main

import (
	"os"
	"runtime"
	"testing"
)

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 3200}, {1 << 20, 3200}, {4 << 20, 800}, {32 << 20, 100}, {1 << 30, 100}} {
		if got := growth(c.live); got != c.want {
			t.Errorf("a heap of %d bytes may grow by %d %%, want %d", c.live, got, c.want)
		}
	}
}

// The pace follows the heap: each collection sets the next one's.
func TestCollectLess(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set, which ends the matter")
	}
	collectLess()
	waitFor := func(what string, ok func(percent int) bool) {
		t.Helper()
		for range 1000 {
			runtime.GC()
			if _, percent := gcState(); ok(percent) {
				return
			}
			runtime.Gosched()
		}
		_, percent := gcState()
		t.Errorf("%s heap may grow by %d %%", what, percent)
	}
	waitFor("a small", func(percent int) bool { return percent > 100 })
	large := make([]byte, 4*minGrowth)
	waitFor("a large", func(percent int) bool { return percent == 100 })
	runtime.KeepAlive(large)
	waitFor("a small", func(percent int) bool { return percent > 100 })
}
