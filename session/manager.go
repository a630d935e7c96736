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
	return m.begin(ctx, s, nil, nil)
}

// Derive starts a session for the same login elsewhere: on another host, or on
// a PC by way of the phone. Nobody authenticated anew, so it ends when the one
// that it comes from would; else a copied session could live for ever by being
// handed on.
func (m *Manager) Derive(ctx context.Context, source *Session) (token string, _ *Session, err error) {
	if source.ended(m.now(), m.idle) {
		return "", nil, errors.New("session: the session to derive from is over")
	}
	return m.begin(ctx, *source, nil, nil)
}

// begin stores a session and makes its token. What along returns for that is
// written in the same round trip.
func (m *Manager) begin(ctx context.Context, s Session, read map[string][]byte, along func(token string) (Write, error)) (token string, _ *Session, err error) {
	id := randomText(43, base62) + m.hint(s.User)
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
	writes := []Write{{Op: "create", Key: s.key, Value: value, TTL: m.life(&s)}}
	if along != nil {
		w, err := along(token)
		if err != nil {
			return "", nil, err
		}
		writes = append(writes, w)
	}
	if err := m.enlist(ctx, &s, read, writes...); err != nil {
		// It may be there without being listed. Nobody has its token.
		_ = m.store.Delete(context.WithoutCancel(ctx), s.key)
		return "", nil, err
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

// Load finds the session of a key and, at most once a minute, notes that it
// was seen. Not found means that there is no such session, or no longer; an
// error means that the store could not tell, which is never a logout.
func (m *Manager) Load(ctx context.Context, key string) (_ *Session, found bool, err error) {
	s, _, err := m.LoadWith(ctx, key)
	return s, s != nil, err
}

// LoadWith is Load, and reads other keys in the same round trip; absent ones
// are nil. The session is nil if there is none.
func (m *Manager) LoadWith(ctx context.Context, key string, others ...string) (s *Session, values [][]byte, err error) {
	_, values, err = m.store.Batch(ctx, nil, append([]string{key}, others...)...)
	if err != nil {
		return nil, nil, err
	}
	value, values := values[0], values[1:]
	if s, err = m.alive(key, value); err != nil || s == nil {
		return nil, values, err
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
	return s, values, nil
}

// alive reads a stored session; nil if there is none or it is over.
func (m *Manager) alive(key string, value []byte) (*Session, error) {
	if value == nil {
		return nil, nil
	}
	s, err := decode(key, value)
	if err != nil || s.ended(m.now(), m.idle) {
		return nil, err
	}
	return s, nil
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
