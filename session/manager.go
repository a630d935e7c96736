package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

// touchEvery is how often at most a session's last-seen time is written: often
// enough for an idle life of hours, seldom enough to keep a busy player from
// writing at every request. An idle life of minutes is cut into touchParts, or
// the busiest session would end for not being seen.
const (
	touchEvery = time.Minute
	touchParts = 10
)

// BearerPrefix marks our session tokens among all that an Authorization header
// may carry; other bearer tokens belong to the app.
const BearerPrefix = "wxgate_"

// sessionCookieName binds the authenticated value to its purpose. It is not
// the cookie's name, so a token stays valid when the public URL turns from
// http to https and the cookie's prefix with it.
const sessionCookieName = "session"

// Config is what a Manager needs.
type Config struct {
	Store Store
	// Secrets are keys of 32 bytes, newest first: the first seals, all open.
	Secrets [][]byte
	// TTL and Idle are the absolute and the idle life of a session.
	TTL, Idle time.Duration
	// Secure tells that browsers come by https.
	Secure bool
	// Domain shares the cookies between the sub-domains of a domain; empty
	// binds them to the host that set them.
	Domain string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Manager makes, finds and ends sessions.
type Manager struct {
	store  Store
	ttl    time.Duration
	idle   time.Duration
	now    func() time.Time
	jar    jar
	tokens []securecookie.Codec
	logins []securecookie.Codec
	sealer *sealer
}

// NewManager checks the keys with a round trip each.
func NewManager(c Config) (*Manager, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.TTL <= 0 || c.Idle <= 0 {
		return nil, errors.New("session: TTL and idle time must be above zero")
	}
	tokens, err := codecs(c.Secrets, labelSession, "")
	if err != nil {
		return nil, err
	}
	logins, err := codecs(c.Secrets, labelLoginMAC, labelLoginCipher)
	if err != nil {
		return nil, err
	}
	sealer, err := newSealer(c.Secrets, labelOutcome)
	if err != nil {
		return nil, err
	}
	return &Manager{
		store: c.Store, ttl: c.TTL, idle: c.Idle, now: c.Now,
		jar: newJar(c.Secure, c.Domain), tokens: tokens, logins: logins, sealer: sealer,
	}, nil
}

// Create starts a session with a fresh id and returns the token that proves
// it. Who, channel and account come from s; the times are set here.
func (m *Manager) Create(ctx context.Context, s Session) (token string, _ *Session, err error) {
	s.CreatedAt = m.now()
	s.ExpiresAt = s.CreatedAt.Add(m.ttl)
	return m.begin(ctx, s)
}

// Derive starts a session for the same login elsewhere: on another host, or on
// a PC by way of the phone. Nobody authenticated anew, so it ends when the one
// that it comes from would; else a copied session could live for ever by being
// handed on.
func (m *Manager) Derive(ctx context.Context, source *Session) (token string, _ *Session, err error) {
	if source.ended(m.now(), m.idle) {
		return "", nil, errors.New("session: the session to derive from is over")
	}
	return m.begin(ctx, *source)
}

func (m *Manager) begin(ctx context.Context, s Session) (token string, _ *Session, err error) {
	id := randomText(43, base62)
	token, err = m.tokens[0].Encode(sessionCookieName, id)
	if err != nil {
		return "", nil, err
	}
	s.LastSeen = m.now()
	s.key = sessionKey(id)
	value, err := encode(&s)
	if err != nil {
		return "", nil, err
	}
	if err := m.enlist(ctx, &s); err != nil {
		return "", nil, err
	}
	created, err := m.store.Create(ctx, s.key, value, m.life(&s))
	if err != nil {
		return "", nil, err
	}
	if !created {
		return "", nil, errors.New("session: fresh id is taken already")
	}
	return token, &s, nil
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func sessionKey(id string) string { return keyPrefix + hash(id) }

// life is how long the store should keep the record: no longer than the
// session can be valid without being seen again.
func (m *Manager) life(s *Session) time.Duration {
	return min(m.idle, s.ExpiresAt.Sub(s.LastSeen))
}

// Key finds the store key that a token stands for, or false for anything that
// we did not make. It asks no store, so garbage costs no look-up.
func (m *Manager) Key(token string) (key string, ok bool) {
	var id string
	if token == "" || len(token) > maxCookieValue || securecookie.DecodeMulti(sessionCookieName, token, &id, m.tokens...) != nil {
		return "", false
	}
	return sessionKey(id), true
}

// Load finds the session of a key and, at most once a minute, notes that it
// was seen. Not found means that there is no such session, or no longer; an
// error means that the store could not tell, which is never a logout.
func (m *Manager) Load(ctx context.Context, key string) (_ *Session, found bool, err error) {
	s, value, found, err := m.read(ctx, key)
	if err != nil || !found {
		return nil, false, err
	}
	now := m.now()
	if now.Sub(s.LastSeen) >= min(touchEvery, m.idle/touchParts) {
		seen := *s
		seen.LastSeen = now
		if fresh, err := encode(&seen); err == nil {
			// Replace and not Put: a session that was ended in between
			// must not come back. A failed write is tried again next time.
			if done, err := m.store.Replace(ctx, key, value, fresh, m.life(&seen)); err == nil && done {
				s = &seen
			}
		}
	}
	return s, true, nil
}

// read is Load without taking note of it.
func (m *Manager) read(ctx context.Context, key string) (s *Session, value []byte, found bool, err error) {
	value, found, err = m.store.Get(ctx, key)
	if err != nil || !found {
		return nil, nil, false, err
	}
	if s, err = decode(key, value); err != nil {
		return nil, nil, false, err
	}
	if s.ended(m.now(), m.idle) {
		return nil, nil, false, nil
	}
	return s, value, true, nil
}

// End deletes a session. Ending the same one twice is fine.
func (m *Manager) End(ctx context.Context, key string) error {
	return m.store.Delete(ctx, key)
}

// Token finds the session token of a request: a bearer token of ours, else the
// cookie. A request with several different authentic cookies has none, because
// no rule can tell which of them the person meant.
func (m *Manager) Token(h http.Header) string {
	if bearer, ok := Bearer(h); ok {
		return bearer
	}
	values := cookieValues(h, m.jar.session)
	if len(values) == 1 {
		return values[0]
	}
	token := ""
	for _, v := range values {
		if _, ok := m.Key(v); !ok || v == token {
			continue
		}
		if token != "" {
			return ""
		}
		token = v
	}
	return token
}

// Bearer returns the session token of an Authorization header that carries
// one of ours, valid or not. Such a header is never for the app.
func Bearer(h http.Header) (token string, ours bool) {
	for _, value := range h["Authorization"] {
		// Any white space counts, or a token behind a tab would be taken
		// for the app's and handed to it.
		part := strings.Fields(value)
		if len(part) > 1 && strings.EqualFold(part[0], "Bearer") && strings.HasPrefix(part[1], BearerPrefix) {
			return strings.TrimPrefix(strings.Join(part[1:], " "), BearerPrefix), true
		}
	}
	return "", false
}

// SetCookie gives the browser its session.
func (m *Manager) SetCookie(h http.Header, token string) {
	m.jar.set(h, m.jar.session, token, m.ttl)
}

// ClearCookies makes the browser forget its session and its pending logins.
func (m *Manager) ClearCookies(h http.Header) {
	m.jar.set(h, m.jar.session, "", 0)
	m.jar.set(h, m.jar.login, "", 0)
}
