package session

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/securecookie"
)

const (
	// maxPending logins are kept per browser, the oldest is dropped first:
	// several tabs may log in at once, and nobody needs more.
	maxPending = 5
	// pendingLife is how long a started login can be finished.
	pendingLife = 10 * time.Minute
	// loopWindow and loopLimit stop a browser that finishes logins but never
	// has a session afterwards.
	loopWindow = time.Minute
	loopLimit  = 2
	// ownerLife is how long a browser remembers whose session it had last:
	// longer than a session lives, and the most that browsers keep a cookie.
	ownerLife = 400 * 24 * time.Hour

	stateLength   = 32
	stateAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	loginName     = "login"
)

// Pending is a login that was started and may come back. It is fixed at the
// start and lives in the browser's sealed cookie: the return from WeChat finds
// here what it is for and guesses nothing.
type Pending struct {
	// State is 32 lower-case letters and digits: WeChat allows at most 128
	// bytes, letters and digits only.
	State   string `json:"s"`
	Channel string `json:"c"`
	AppID   string `json:"a"`
	Scope   string `json:"o"`
	// Next is where the visitor goes afterwards: an absolute path with query
	// on Host, which is empty for the public host.
	Next string `json:"n"`
	Host string `json:"h,omitempty"`
	// Bind is set where Host shares no cookies and waits for a ticket.
	Bind string `json:"b,omitempty"`
	// Again marks a login that replaces one which failed on its way.
	Again bool `json:"r,omitempty"`
	// Started in Unix seconds; Finished once a session came of it. Until, in Unix
	// seconds, is the end of one that is kept longer than a login; 0 is the usual.
	Started  int64 `json:"t"`
	Until    int64 `json:"e,omitempty"`
	Finished bool  `json:"f,omitempty"`
}

// Logins is the content of the login cookie.
type Logins struct {
	Pending []Pending `json:"p"`
	// Finished are the times, in Unix seconds, of the latest logins that a
	// session came of. They stand apart from Pending, because a new login with
	// a long target pushes the former ones out of the cookie.
	Finished []int64 `json:"f,omitempty"`
	// Owner marks whose session the browser had last. A cookie with it stays
	// long beyond the logins, so that the next login can tell.
	Owner string `json:"u,omitempty"`
	// Renewed is when, in Unix seconds, the browser was last led through a
	// login to renew its session.
	Renewed int64 `json:"w,omitempty"`
}

// NewState draws a state (165 bits).
func NewState() string { return randomText(stateLength, stateAlphabet) }

// Logins reads the login cookie. Anything unreadable, foreign or expired is
// simply not there.
func (m *Manager) Logins(h http.Header) *Logins {
	now := m.now()
	for _, value := range cookieValues(h, m.jar.login) {
		var l Logins
		if len(value) > maxCookieValue || securecookie.DecodeMulti(loginName, value, &l, m.logins...) != nil {
			continue
		}
		l.prune(now)
		return &l
	}
	return &Logins{}
}

// prune drops what is too old, or dated in the future by more than the clocks
// of replicas differ.
func (l *Logins) prune(now time.Time) {
	l.Pending = slices.DeleteFunc(l.Pending, func(p Pending) bool {
		age := now.Sub(time.Unix(p.Started, 0))
		over := age >= pendingLife
		if p.Until != 0 {
			over = now.Unix() >= p.Until
		}
		return over || age < -loopWindow
	})
	l.Finished = slices.DeleteFunc(l.Finished, func(at int64) bool { return now.Sub(time.Unix(at, 0)) >= loopWindow })
}

// Find returns the pending login of a state. It stays where it is: WeChat
// delivers the same state twice, with one code or with two.
func (l *Logins) Find(state string) (Pending, bool) {
	for _, p := range l.Pending {
		if subtle.ConstantTimeCompare([]byte(p.State), []byte(state)) == 1 {
			return p, true
		}
	}
	return Pending{}, false
}

// Looping reports that this browser finished several logins within the last
// minute. One that asks for yet another has lost every session they made.
// Logins that were begun and given up do not count.
func (l *Logins) Looping(now time.Time) bool {
	n := 0
	for _, at := range l.Finished {
		if now.Sub(time.Unix(at, 0)) < loopWindow {
			n++
		}
	}
	return n >= loopLimit
}

// Restarts counts the pending logins that replace one which failed on its way.
func (l *Logins) Restarts() int {
	n := 0
	for _, p := range l.Pending {
		if p.Again {
			n++
		}
	}
	return n
}

// Finish notes that a session came of the login of a state. WeChat may deliver
// it twice, and it counts once.
func (l *Logins) Finish(state string, now time.Time) {
	for i := range l.Pending {
		if p := &l.Pending[i]; p.State == state && !p.Finished {
			p.Finished = true
			l.Finished = append(l.Finished, now.Unix())
		}
	}
	if n := len(l.Finished) - loopLimit; n > 0 {
		l.Finished = l.Finished[n:]
	}
}

// ErrTooLong says that a pending login does not fit into a cookie.
var ErrTooLong = errors.New("session: pending login is too long for a cookie")

// Start adds a pending login and writes the cookie; the oldest go until it
// fits. ErrTooLong means that not even p alone fits: its Next is too long.
func (m *Manager) Start(h http.Header, l *Logins, p Pending) error {
	p.Started = m.now().Unix()
	l.Pending = append(l.Pending, p)
	if n := len(l.Pending) - maxPending; n > 0 {
		l.Pending = l.Pending[n:]
	}
	for len(l.Pending) > 0 {
		if err := m.WriteLogins(h, l); err == nil {
			return nil
		}
		l.Pending = l.Pending[1:]
	}
	return ErrTooLong
}

// WriteLogins gives the browser its login cookie.
func (m *Manager) WriteLogins(h http.Header, l *Logins) error {
	value, err := m.logins[0].Encode(loginName, l)
	if err != nil {
		return err
	}
	life := pendingLife
	for _, p := range l.Pending {
		life = max(life, time.Unix(p.Until, 0).Sub(m.now()))
	}
	if l.Owner != "" {
		life = ownerLife
	}
	m.jar.set(h, m.jar.login, value, life)
	return nil
}

// FindBound returns the pending login whose state has this binding.
func (l *Logins) FindBound(binding string) (Pending, bool) {
	for _, p := range l.Pending {
		if subtle.ConstantTimeCompare([]byte(BindingOf(p.State)), []byte(binding)) == 1 {
			return p, true
		}
	}
	return Pending{}, false
}
