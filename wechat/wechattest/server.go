package wechattest

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config of a Server. The zero value is a simulator with the sample players and
// no apps.
type Config struct {
	// PublicURL is where browsers reach this simulator, e.g.
	// http://127.0.0.1:8090. If it is set, profiles point to pictures served
	// here; if not, to WeChat's picture host, where nobody may look.
	PublicURL string
	// Apps are added as by AddApp.
	Apps []App
	// Components are added as by AddComponent.
	Components []Component
	// Players, of whom the first is the default; default SamplePlayers().
	Players []Player
	// Now is the clock that Advance adds to; default time.Now.
	Now func() time.Time
}

// Server is the simulator. It is an http.Handler for the root of a host.
type Server struct {
	// URL is the base of a Server made by NewServer, without a trailing slash.
	URL string

	publicURL string
	clock     func() time.Time
	listening *http.Server
	done      chan struct{}

	mu             sync.Mutex // guards all below
	offset         time.Duration
	behaviour      Behaviour
	apps           map[string]App
	appOrder       []string
	players        map[string]Player
	order          []string // ids of players as added
	codes          map[string]*grant
	tokens         map[string]*userToken // by access token
	refresh        map[string]*userToken // by refresh token
	server         map[string]*serverToken
	issuers        map[string]*issuer // by appid
	counters       map[string]*counter
	tickets        map[ticketKey]ticket
	scans          map[string]*scan // QR logins by uuid
	account        account
	components     map[string]*component
	componentOrder []string // their ids as added
	registrations  []*registration
	events         int // of third-party platforms, written so far
	desk           desk
	faults         map[string][]*Fault
	journal        []Entry
	next           chan struct{} // closed at the next entry; nil if nobody waits
	pruneAt        int           // size of codes or tokens at which prune looks again
	unflagged      int           // exchanges of snapshot visitors that were not marked
}

// New returns a Server that listens nowhere. It panics on an App, Component or
// Player that AddApp, AddComponent or AddPlayer refuses.
func New(cfg Config) *Server {
	s := &Server{
		publicURL:  strings.TrimSuffix(cfg.PublicURL, "/"),
		clock:      cfg.Now,
		behaviour:  DefaultBehaviour(),
		pruneAt:    50_000,
		apps:       map[string]App{},
		players:    map[string]Player{},
		codes:      map[string]*grant{},
		tokens:     map[string]*userToken{},
		refresh:    map[string]*userToken{},
		server:     map[string]*serverToken{},
		issuers:    map[string]*issuer{},
		counters:   map[string]*counter{},
		tickets:    map[ticketKey]ticket{},
		scans:      map[string]*scan{},
		faults:     map[string][]*Fault{},
		components: map[string]*component{},
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if cfg.Players == nil {
		cfg.Players = SamplePlayers()
	}
	for _, p := range cfg.Players {
		s.AddPlayer(p)
	}
	for _, a := range cfg.Apps {
		s.AddApp(a)
	}
	for _, c := range cfg.Components {
		s.AddComponent(c)
	}
	return s
}

// NewServer returns a Server with the sample players that listens on a loopback
// port; Close it. It panics if there is no port, as httptest does.
func NewServer(apps ...App) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("wechattest: %v", err))
	}
	s := New(Config{Apps: apps})
	s.URL = "http://" + l.Addr().String()
	s.listening = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		s.listening.Serve(l)
	}()
	return s
}

// Close ends a Server made by NewServer, cutting the calls in flight, and for any
// Server the pushes that nobody waits for.
func (s *Server) Close() {
	defer s.endPushes()
	if s.listening == nil {
		return
	}
	s.listening.Close()
	<-s.done
}

// Now is the simulator's time.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// Advance moves the simulator's clock, e.g. by five minutes to let codes expire.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

func (s *Server) now() time.Time { return s.clock().Add(s.offset) }

// ServeHTTP answers as WeChat, and under /sim/ as the simulator.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	w.Header().Set("Cache-Control", "no-store")
	if e, found := accountAPIs[path]; found {
		s.accountAPI(w, r, e)
		return
	}
	switch handle, found := apis[path]; {
	case found:
		s.api(w, r, handle)
	case path == authorizePath:
		s.authorize(w, r)
	case strings.HasPrefix(path, "/connect/"):
		s.qr(w, r)
	case path == JSSDKPath:
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Write(jweixin)
	case path == "/":
		http.Redirect(w, r, controlPath, http.StatusFound)
	case componentPage(path):
		s.componentLoginPage(w, r)
	case strings.HasPrefix(path, platformPath):
		s.platformControl(w, r)
	case strings.HasPrefix(path, controlPath):
		s.control(w, r)
	default:
		http.NotFound(w, r)
	}
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// random returns n characters, a little short of even, which nobody counts here.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = alphanumeric[int(b[i])%len(alphanumeric)]
	}
	return string(b)
}
