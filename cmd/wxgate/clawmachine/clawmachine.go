package clawmachine

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Config says whom the app trusts and what the page offers.
type Config struct {
	// JWKSURL is where the gateway publishes its keys (RFC 7517). Issuer and
	// Audience are what an assertion has to name. All three are required.
	JWKSURL, Issuer, Audience string

	// YunxinLoginURL answers whether an account and token would be let in.
	// It takes a POST of {"appKey","account","token","authType"} and answers
	// {"code"}, 200 for yes. Empty: the page shows the account without proof.
	YunxinLoginURL string

	// HTTP fetches the keys and asks YunxinLoginURL.
	// Nil: a client with a limit of five seconds.
	HTTP *http.Client

	// DefaultName names a player whose assertion carries no name.
	// Nil: 玩家 and the first four characters of the user id.
	DefaultName func(userID string) string

	// Switcher puts the demo's controls on the page; off without an Action.
	Switcher Switcher

	// Logger receives refused assertions (at debug) and failing fetches.
	// Nil: nothing is logged.
	Logger *slog.Logger

	now    func() time.Time
	seed   uint64
	ticker func() (ticks <-chan time.Time, stop func())
}

// Switcher is a form that lets the person at the demo be somebody else. It posts
// the fields visitor, client and next to Action; the current choice is read from
// the cookies demo_visitor and demo_client.
type Switcher struct {
	Action   string
	Visitors []Choice
	Clients  []Choice
}

// Choice is one option of a Switcher.
type Choice struct{ Value, Label string }

// App is the claw machine. It is an http.Handler; Close ends its streams.
type App struct {
	config   Config
	verifier *verifier
	room     *room
	feed     *feed
	handler  http.Handler

	closing chan struct{}
	close   sync.Once
	mu      sync.Mutex     // guards the pair (closing, streams.Add) against Close's Wait
	streams sync.WaitGroup // WebSockets and event streams being served
}

// New builds the app. It fails only on a Config that could not tell a forged
// assertion from a real one.
func New(c Config) (*App, error) {
	if c.JWKSURL == "" || c.Issuer == "" || c.Audience == "" {
		return nil, errors.New("clawmachine: JWKSURL, Issuer and Audience are required")
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 5 * time.Second}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DefaultName == nil {
		c.DefaultName = func(id string) string { return "玩家" + id[:min(4, len(id))] }
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	if c.ticker == nil {
		c.ticker = func() (<-chan time.Time, func()) {
			t := time.NewTicker(time.Second / ticksPerSecond)
			return t.C, t.Stop
		}
	}
	a := &App{
		config:   c,
		verifier: newVerifier(c),
		feed:     newFeed(c.now),
		closing:  make(chan struct{}),
	}
	a.room = newRoom(newMachine(c.seed), c.ticker, c.now, a.feed.publish)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.servePage)
	mux.HandleFunc("GET /bye", a.serveBye)
	mux.HandleFunc("GET /assets/", a.serveAsset)
	mux.HandleFunc("GET /api/whoami", a.serveWhoami)
	mux.HandleFunc("GET /api/machines", a.serveMachines)
	mux.HandleFunc("GET /api/shelf", a.serveShelf)
	mux.HandleFunc("POST /api/cheer", a.serveCheer)
	mux.HandleFunc("POST /api/yunxin-login", a.serveYunxinLogin)
	mux.HandleFunc("GET /play", a.servePlay)
	mux.HandleFunc("GET /events", a.serveEvents)
	// The gateway logs browsers in by cookie, so the app has the usual duty to
	// refuse writes that another site's page sends.
	a.handler = http.NewCrossOriginProtection().Handler(mux)
	return a, nil
}

func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Close ends every WebSocket (with "going away") and event stream, stops the
// game's ticker and returns when all of their goroutines are done. Plain requests
// are still answered.
func (a *App) Close() error {
	a.close.Do(func() {
		a.mu.Lock()
		close(a.closing)
		a.mu.Unlock()
	})
	a.streams.Wait()
	a.room.close()
	return nil
}

// stream counts a long-lived answer in, unless the app is closing.
// The caller calls done when it ends.
func (a *App) stream() (done func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.closing:
		return nil, false
	default:
		a.streams.Add(1)
		return a.streams.Done, true
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]string{"error": code, "message": message})
}
