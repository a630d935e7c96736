package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// minGrowth is by how much the heap grows, at least, before it is collected. A
// gateway without many visitors lives in a few megabytes and throws away as
// much in some milliseconds of load; by the usual rule, to double, it would
// spend a sixth of its time on collecting.
const minGrowth = 32 << 20

// collectLess gives the garbage collector its pace, for the rest of the
// process's life. Who sets GOGC has decided otherwise.
var collectLess = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		afterCollection(&pace{})
	}
})

// pace is garbage as soon as it is made, and its end tells of a collection.
type pace struct{ _ *pace }

func afterCollection(*pace) {
	now := readHeap()
	if want := growth(now.live); want != now.percent {
		debug.SetGCPercent(want)
	}
	runtime.SetFinalizer(&pace{}, afterCollection)
}

// heap is the state of the garbage collector.
type heap struct {
	live      uint64 // bytes that outlived the last collection
	percent   int    // by how much the heap may grow until the next
	allocated uint64 // bytes, since the start of the process
	cycles    uint64 // collections so far
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	n := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heap{live: n(0), percent: int(n(1)), allocated: n(2), cycles: n(3)}
}

// growth is how far a heap of so many live bytes may grow, in percent.
func growth(live uint64) int {
	const usual = 100
	// The runtime's own minimum of 4 MB grows by the same percentage.
	return max(usual, int(minGrowth*100/max(live, 4<<20)))
}

const (
	lookEvery = time.Second
	// quietly is less than what is allocated between two looks when nobody
	// waits, worthwhile the garbage that is worth a collection then; a large
	// heap, which costs more to look through, has to have a quarter of itself.
	quietly    = 1 << 20
	worthwhile = 4 << 20
)

// collectWhenQuiet gives memory back to the system in quiet moments: what a
// peak needed would else stay for as long as the heap does not grow again.
func collectWhenQuiet(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var watch quietWatch
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if watch.look(readHeap()) {
				debug.FreeOSMemory()
			}
		}
	}
}

// quietWatch compares looks at the heap.
type quietWatch struct {
	last      heap
	collected uint64 // allocated at the last collection that it knows of
}

// look reports that this is a moment to collect.
func (q *quietWatch) look(now heap) bool {
	if now.cycles != q.last.cycles {
		q.collected = q.last.allocated // or a little later
	}
	quiet := now.allocated-q.last.allocated < quietly
	q.last = now
	if !quiet || now.allocated-q.collected < max(worthwhile, now.live/4) {
		return false
	}
	q.collected = now.allocated
	return true
}
