package proxy

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is N events per period, and a burst of N.
type Rate struct {
	N   int
	Per time.Duration
}

// limiter keeps one token bucket per client address. Its memory is bounded:
// buckets that are full again say nothing and are dropped, and where a flood
// of addresses fills the table all the same, new ones share a single bucket
// until there is room.
type limiter struct {
	rate  Rate
	now   func() time.Time
	mu    sync.Mutex
	by    map[netip.Addr]*rate.Limiter
	rest  *rate.Limiter
	swept time.Time
}

const maxBuckets = 50_000

func newLimiter(r Rate, now func() time.Time) *limiter {
	l := &limiter{rate: r, now: now, by: map[netip.Addr]*rate.Limiter{}}
	l.rest = l.bucket()
	return l
}

func (l *limiter) bucket() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(l.rate.N)/l.rate.Per.Seconds()), l.rate.N)
}

// holder is whom an address shares its bucket with: IPv6 clients own whole /64
// networks.
func holder(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// allow takes one event of the address's share, or says how long to wait.
func (l *limiter) allow(addr netip.Addr) (ok bool, wait time.Duration) {
	addr = holder(addr)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.by[addr]
	if b == nil {
		if len(l.by) >= maxBuckets && now.Sub(l.swept) > time.Second {
			l.sweep(now)
		}
		if b = l.rest; len(l.by) < maxBuckets {
			b = l.bucket()
			l.by[addr] = b
		}
	}
	res := b.ReserveN(now, 1)
	if wait = res.DelayFrom(now); wait > 0 {
		res.CancelAt(now)
		return false, wait
	}
	return true, 0
}

// spare reports that an address has at least n events of its share left,
// without taking any.
func (l *limiter) spare(addr netip.Addr, n int) bool {
	addr = holder(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.by[addr]
	if b == nil {
		return len(l.by) < maxBuckets && l.rate.N >= n
	}
	return b.TokensAt(l.now()) >= float64(n)
}

func (l *limiter) sweep(now time.Time) {
	l.swept = now
	for addr, b := range l.by {
		if b.TokensAt(now) >= float64(l.rate.N) {
			delete(l.by, addr)
		}
	}
}
