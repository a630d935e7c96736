package proxy

import (
	"context"
	"io"
	"sync"
	"time"
)

// streamAge is the oldest state of a session that its streams go on with. With
// the pace of the watch it makes them end within five seconds of the session.
const streamAge = 2500 * time.Millisecond

// streams knows what lasts: upgraded connections and answers without a length,
// by the session they belong to ("" for those without one). A stream must
// never outlive its session.
type streams struct {
	metrics *Metrics
	mu      sync.Mutex
	by      map[string]*seat // the first of each session
}

// stream is something that can be ended from outside. An endless one has no
// end of its own to wait for.
type stream interface {
	end()
	endless() bool
}

func newStreams(m *Metrics) *streams {
	return &streams{metrics: m, by: map[string]*seat{}}
}

// seat is where a stream stands among those of its session: a doubly linked
// list, as most sessions have one stream, for which a map would be large.
type seat struct {
	key        string
	stream     stream // nil outside of the list
	prev, next *seat
}

// enter adds a stream at a seat of its own; leave has to be called when it is
// over.
func (s *streams) enter(key string, st stream, p *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.key, p.stream, p.next = key, st, s.by[key]
	if p.next != nil {
		p.next.prev = p
	}
	s.by[key] = p
}

// leave may be called more than once.
func (s *streams) leave(p *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.stream == nil {
		return
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	switch {
	case p.prev != nil:
		p.prev.next = p.next
	case p.next != nil:
		s.by[p.key] = p.next
	default:
		delete(s.by, p.key)
	}
	p.stream, p.prev, p.next = nil, nil, nil
}

// join is enter for a stream that brings no seat along.
func (s *streams) join(key string, st stream) (leave func()) {
	p := &seat{}
	s.enter(key, st, p)
	return func() { s.leave(p) }
}

// end ends all streams of a session.
func (s *streams) end(key string) { s.endIf(key, func(stream) bool { return true }) }

func (s *streams) endIf(key string, wanted func(stream) bool) {
	s.mu.Lock()
	var list []stream
	for p := s.by[key]; p != nil; p = p.next {
		if wanted(p.stream) {
			list = append(list, p.stream)
		}
	}
	s.mu.Unlock()
	var ended sync.WaitGroup
	for _, st := range list {
		ended.Go(st.end) // each may have to wait for a client that is stuck
	}
	ended.Wait()
}

func (s *streams) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.by))
	for key := range s.by {
		keys = append(keys, key)
	}
	return keys
}

// endEndless ends what would keep a shutdown waiting for nothing.
func (s *streams) endEndless() {
	for _, key := range s.keys() {
		s.endIf(key, stream.endless)
	}
}

// watchStreams ends the streams of sessions that are over.
func (s *Server) watchStreams(ctx context.Context) {
	const parallel = 16
	work := make(chan string)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for key := range work {
				if !s.sessions.alive(ctx, key, streamAge) {
					s.streams.end(key)
				}
			}
		})
	}
	for _, key := range s.streams.keys() {
		if key != "" {
			work <- key
		}
	}
	close(work)
	wg.Wait()
}

// streamed is an answer of unknown length. Ending it takes its source away.
type streamed struct {
	body   io.Closer
	events bool // server-sent events
}

func (a *streamed) end()          { a.body.Close() }
func (a *streamed) endless() bool { return a.events }
