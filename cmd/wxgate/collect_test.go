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
	}{{0, 800}, {1 << 20, 800}, {4 << 20, 800}, {8 << 20, 400}, {32 << 20, 100}, {1 << 30, 100}} {
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
			if ok(readHeap().percent) {
				return
			}
			runtime.Gosched()
		}
		t.Errorf("%s heap may grow by %d %%", what, readHeap().percent)
	}
	waitFor("a small", func(percent int) bool { return percent > 100 })
	large := make([]byte, 4*minGrowth)
	waitFor("a large", func(percent int) bool { return percent == 100 })
	runtime.KeepAlive(large)
	waitFor("a small", func(percent int) bool { return percent > 100 })
}

func TestQuietWatch(t *testing.T) {
	const mb = 1 << 20
	var w quietWatch
	for i, step := range []struct {
		allocated, cycles, live uint64
		want                    bool
		why                     string
	}{
		{20 * mb, 1, 0, false, "starting is no quiet moment"},
		{20*mb + 5, 1, 0, true, "nobody knows when the rest was collected"},
		{20*mb + 9, 2, 0, false, "it was just done"},
		{60 * mb, 3, 0, false, "a peak is on"},
		{60*mb + 9, 3, 0, true, "the peak is over"},
		{60*mb + 10, 4, 0, false, "it was just done"},
		{61 * mb, 4, 0, false, "so little is not worth it"},
		{62 * mb, 4, 0, false, "that is no quiet moment"},
		{66 * mb, 5, 0, false, "nor is that"},
		{66*mb + 5, 5, 0, true, "it is quiet, and the collection came before the last look"},
		{90 * mb, 5, 100 * mb, false, "a peak is on"},
		{90*mb + 5, 5, 100 * mb, false, "less than a quarter of a large heap is not worth it"},
		{92 * mb, 5, 100 * mb, false, "that is no quiet moment"},
		{92*mb + 5, 5, 100 * mb, true, "a quarter is"},
	} {
		if got := w.look(heap{allocated: step.allocated, cycles: step.cycles, live: step.live}); got != step.want {
			t.Errorf("step %d: collects %v, but %s", i, got, step.why)
		}
	}
}
