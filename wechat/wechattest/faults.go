package wechattest

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// Fault spoils answers of one path. Fields combine: first the call is carried
// out if Processed, then comes the wait, then the spoilt answer. A Fault that
// only waits gives the genuine answer in the end.
type Fault struct {
	// Times is the number of calls that it spoils: 0 means 1, a negative number
	// all until ClearFaults.
	Times int
	// Processed carries the call out before anything else, so that a code is
	// used up whatever the client gets to see.
	Processed bool
	// Reached is called when the call has come this far, e.g. to let a test know
	// that it is being held.
	Reached func()
	// Hold waits until the channel is closed or receives, or the client leaves.
	Hold <-chan struct{}
	// Delay waits in real time, or until the client leaves.
	Delay time.Duration
	// Errcode is answered instead, e.g. -1.
	Errcode int
	// Drop closes the connection without a byte of answer.
	Drop bool
	// Status is the HTTP status; default 200.
	Status int
	// Header is added to the answer.
	Header http.Header
	// Body makes the body to send from the genuine one.
	Body func(genuine []byte) []byte
}

// Faults that are asked for often.
var (
	// Busy answers -1, the call not carried out.
	Busy = Fault{Errcode: -1}
	// Drop closes the connection after the code was used up.
	Drop = Fault{Drop: true, Processed: true}
	// HTML answers with a page of some proxy on the way.
	HTML = Fault{Body: func([]byte) []byte { return []byte("<html><body>502 Bad Gateway</body></html>") }}
	// Empty answers with nothing.
	Empty = Fault{Body: func([]byte) []byte { return nil }}
	// Huge answers with 2 MiB, valid JSON to the end.
	Huge = Fault{Body: func(b []byte) []byte {
		return append(append([]byte(`{"padding":"`), bytes.Repeat([]byte("x"), 2<<20)...), append([]byte(`",`), b[1:]...)...)
	}}
	// ExtraFields answers with fields that nobody has heard of.
	ExtraFields = Fault{Body: func(b []byte) []byte {
		return append([]byte(`{"new_field":{"a":[1,null,{"b":"c"}]},"other":1.5e3,`), b[1:]...)
	}}
)

// Inject queues a fault for a path such as AccessTokenPath. Faults of one path
// act one after the other.
func (s *Server) Inject(path string, f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[path] = append(s.faults[path], &f)
}

// ClearFaults drops all queued faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// takeFault returns the fault that this call meets, by default none.
func (s *Server) takeFault(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.faults[path]
	if len(queue) == 0 {
		return Fault{}
	}
	f := queue[0]
	if f.Times > 0 {
		if f.Times--; f.Times == 0 {
			s.faults[path] = queue[1:]
		}
	}
	return *f
}

// wait holds the answer back; false means that the client left.
func (f Fault) wait(ctx context.Context) bool {
	if f.Reached != nil {
		f.Reached()
	}
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
			return false
		}
	}
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
