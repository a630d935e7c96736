package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
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
	live, percent := gcState()
	if want := growth(live); want != percent {
		debug.SetGCPercent(want)
	}
	runtime.SetFinalizer(&pace{}, afterCollection)
}

// gcState is how many bytes outlived the last collection, and by how many
// percent the heap may grow until the next.
func gcState() (live uint64, percent int) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), int(samples[1].Value.Uint64())
}

// growth is how far a heap of so many live bytes may grow, in percent.
func growth(live uint64) int {
	const usual = 100
	return max(usual, int(minGrowth*100/max(live, 1<<20)))
}
