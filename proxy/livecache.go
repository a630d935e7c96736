package proxy

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wxgate/session"
)

const (
	// keepUnused is how long an entry that nobody asks for stays.
	keepUnused = 2 * time.Minute
	// maxCached sessions are held, about. When there are more, those go first
	// that were not asked for lately; if all were, the store is asked for the
	// rest at every request.
	maxCached = 200_000
	// cacheParts is into how many parts the cache is divided. Each has a lock of
	// its own, which a sweep holds while it walks through one part of a full cache:
	// some hundredths of a millisecond, where the whole takes ten.
	cacheParts = 128
)

// entry is the place of one session in the cache.
type entry struct {
	key string
	// hint is the user that the token speaks of, see session.Manager.Hint.
	hint string
	// visitor is the session of a snapshot visitor, which no store knows.
	visitor *session.Session
	cur     atomic.Pointer[live]
	used    atomic.Int64 // Unix seconds
	over    atomic.Bool  // ended on this replica; ids are never used again
	gone    atomic.Bool  // not found by its key any more, so nobody could end it here

	renewed atomic.Int64 // Unix seconds of the last attempt to renew it
}

// use notes that the entry was asked for.
func (e *entry) use(now time.Time) {
	if t := now.Unix(); e.used.Load() != t { // else every request would write to memory that all processors read
		e.used.Store(t)
	}
}

// entries finds the entries of sessions by token and by key. One session can
// have several tokens, which are spellings of one.
type entries struct {
	seed   maphash.Seed
	tokens [cacheParts]part
	keys   [cacheParts]part
}

// part is a share of the names.
type part struct {
	mu      sync.RWMutex
	m       map[string]*entry
	cleared int64 // Unix seconds when it was last swept for want of room
}

func newEntries() *entries {
	c := &entries{seed: maphash.MakeSeed()}
	for i := range cacheParts {
		c.tokens[i].m, c.keys[i].m = map[string]*entry{}, map[string]*entry{}
	}
	return c
}

func (c *entries) part(parts *[cacheParts]part, name string) *part {
	return &parts[maphash.String(c.seed, name)%cacheParts]
}

func (c *entries) byToken(token string) *entry {
	if e := c.part(&c.tokens, token).get(token); e != nil && !e.gone.Load() {
		return e
	}
	return nil
}

func (c *entries) byKey(key string) *entry { return c.part(&c.keys, key).get(key) }

// keep keeps an entry, or returns the one that is kept for its session. Without
// a token it is kept by its key alone.
func (c *entries) keep(token string, fresh *entry, now time.Time) *entry {
	fresh.use(now)
	e, kept := c.part(&c.keys, fresh.key).keep(fresh.key, fresh, now)
	if token != "" && kept {
		// A copy: the token may be a part of a whole request's header.
		c.part(&c.tokens, token).keep(strings.Clone(token), e, now)
	}
	return e
}

// each calls f for every session that is held, one part after the other.
func (c *entries) each(f func(*entry)) {
	for i := range c.keys {
		c.keys[i].each(f)
	}
}

// sweep forgets what nobody asked for lately, one part after the other.
func (c *entries) sweep(now time.Time) {
	for i := range cacheParts {
		for _, p := range []*part{&c.tokens[i], &c.keys[i]} {
			p.mu.Lock()
			p.drop(now.Add(-keepUnused))
			p.mu.Unlock()
		}
	}
}

func (c *entries) size() (n int) {
	for i := range c.keys {
		p := &c.keys[i]
		p.mu.RLock()
		n += len(p.m)
		p.mu.RUnlock()
	}
	return n
}

func (p *part) get(name string) *entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.m[name]
}

func (p *part) keep(name string, fresh *entry, now time.Time) (e *entry, kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.m[name]; e != nil && !e.gone.Load() {
		return e, true
	}
	if len(p.m) >= maxCached/cacheParts && p.cleared != now.Unix() {
		p.cleared = now.Unix()
		p.drop(now.Add(-cacheLife)) // what is asked for again would be read again
	}
	if len(p.m) < maxCached/cacheParts || p.m[name] != nil {
		p.m[name], kept = fresh, true
	}
	return fresh, kept
}

// drop forgets what was not used since. The caller has the lock.
func (p *part) drop(since time.Time) {
	limit := since.Unix()
	for name, e := range p.m {
		if e.used.Load() < limit {
			if name == e.key {
				e.gone.Store(true)
			}
			delete(p.m, name)
		}
	}
}

func (p *part) each(f func(*entry)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.m {
		f(e)
	}
}
