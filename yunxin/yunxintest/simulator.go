package yunxintest

import (
	"cmp"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// The key pair of a Simulator whose Config names none.
const (
	AppKey    = "00112233445566778899aabbccddeeff"
	AppSecret = "0f1e2d3c4b5a"
)

// Config describes a Simulator; the zero value is useful.
type Config struct {
	AppKey, AppSecret string           // default: the constants
	Now               func() time.Time // default: time.Now; Advance moves it
	PerSecond         int              // calls a second and interface before 416; default 100
	Seed              uint64           // of the variation in replies
	Behaviour         Behaviour
}

// Behaviour chooses between variants of Yunxin. The zero value is what the
// documents describe.
type Behaviour struct {
	V2AuthCode       int      // v2's code for a bad header, clock or CheckSum: 403 by default, one client saw 414
	V2UnknownKeyCode int      // v2's code for an unknown AppKey: 101303 by default, other pages say 403
	InfoAsString     bool     // v1's info as a string that holds JSON
	Plain            bool     // neither shuffled nor unknown members
	Contention       bool     // v2: the first repeated create of an account gets 102449, as if it ran beside the winner
	DedupTraceID     bool     // a repeated RequestId or X-custom-traceid gets 431
	BlockedRefuses   bool     // calls about a blocked account get 422 or 102422, but not the one that unblocks it
	KickFails        bool     // v2: actions/kick ends nothing, and says so in failed_list beside code 200
	MaxAccounts      int      // beyond it new accounts get 419 or 102434; 0 means no limit
	AntispamWords    []string // names containing one get 103451, in v1 414
	StaticLoginOff   bool     // login policy of the console: static tokens are on by default
	DynamicLogin     bool     // and dynamic ones are not
}

// Simulator is one app at Yunxin, with its accounts. It is safe for concurrent
// use; every call takes effect at once or not at all.
type Simulator struct {
	cfg Config

	mu        sync.Mutex // guards all below
	behaviour Behaviour
	random    *rand.Rand
	advanced  time.Duration
	accounts  map[string]*account // by lower-case accid
	limits    map[string]*limit   // by generation and interface
	traces    map[string]bool
	faults    []*Fault
	journal   []Entry
	devices   int // that have logged in
}

// New returns a simulator without accounts.
func New(cfg Config) *Simulator {
	cfg.AppKey = cmp.Or(cfg.AppKey, AppKey)
	cfg.AppSecret = cmp.Or(cfg.AppSecret, AppSecret)
	cfg.PerSecond = cmp.Or(cfg.PerSecond, 100)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Simulator{
		cfg:       cfg,
		behaviour: cfg.Behaviour,
		random:    rand.New(rand.NewPCG(cfg.Seed, 1)),
		accounts:  make(map[string]*account),
		limits:    make(map[string]*limit),
		traces:    make(map[string]bool),
	}
}

// Change switches behaviour from now on.
func (s *Simulator) Change(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
}

// Now returns the simulator's time.
func (s *Simulator) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// Advance moves the simulator's clock, backwards if d is negative.
func (s *Simulator) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanced += d
}

func (s *Simulator) now() time.Time { return s.cfg.Now().Add(s.advanced) }

const maxBody = 64 << 10 // bytes of a request; the largest lawful one has a few thousand

// ServeHTTP answers one call.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/sim/login" {
		s.serveLogin(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body", http.StatusBadRequest)
		return
	}
	out := s.handle(newRequest(r, body))
	out.deliver(w, r)
}

// handle lets a request take effect and writes the journal, all in one step,
// so that concurrent calls have an order.
func (s *Simulator) handle(q *request) outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := outgoing{date: s.now()}
	code, kicked := 0, 0
	fault := Fault{Status: http.StatusNotFound}
	if q.api != "" {
		fault = s.takeFault(q.api)
	}
	switch {
	case fault.Reset:
		out.drop = true
	case fault.Status != 0:
		out.status, out.body = fault.Status, []byte(fault.Body)
	case fault.Code != 0:
		code = fault.Code
		out.body = s.render(q, result{code: fault.Code, text: fault.Text})
	default:
		res := s.answer(q)
		code, kicked = res.code, len(res.kicked)
		out.body = s.render(q, res)
		out.delay, out.drop, out.cut = fault.Delay, fault.Drop, fault.Cut
	}
	out.status = cmp.Or(out.status, http.StatusOK)
	s.record(q, out, code, kicked)
	return out
}

// answer passes a request through Yunxin's checks, in the order that the
// package documentation states.
func (s *Simulator) answer(q *request) result {
	if res := s.authenticate(q); res.code != 0 {
		return res
	}
	if s.overLimit(q) {
		return result{code: 416, text: "api call frequency limit"}
	}
	if s.repeated(q) {
		return result{code: 431, text: "http request repeated"}
	}
	return s.operate(q)
}
