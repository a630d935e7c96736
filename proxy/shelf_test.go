package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

// shelf is a store in memory. It notes when which keys were read together, and
// a test may hold its answers back.
type shelf struct {
	Queue
	mu     sync.Mutex
	m      map[string][]byte
	trips  [][]string
	before func() // outside the lock
}

func newShelf() *shelf { return &shelf{m: map[string][]byte{}} }

func (s *shelf) reading(keys ...string) {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	s.trips = append(s.trips, keys)
}

func (s *shelf) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.reading(key)
	defer s.mu.Unlock()
	v, found := s.m[key]
	return bytes.Clone(v), found, nil
}

func (s *shelf) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	_, values, err := s.Batch(ctx, nil, keys...)
	return values, err
}

func (s *shelf) Batch(_ context.Context, writes []session.Write, keys ...string) (done []bool, values [][]byte, err error) {
	s.reading(keys...)
	defer s.mu.Unlock()
	for _, w := range writes {
		have, found := s.m[w.Key]
		ok := w.Op == "put" || w.Op == "create" && !found || w.Op == "replace" && found && bytes.Equal(have, w.Old)
		if ok {
			s.m[w.Key] = bytes.Clone(w.Value)
		}
		done = append(done, ok)
	}
	for _, key := range keys {
		values = append(values, bytes.Clone(s.m[key]))
	}
	return done, values, nil
}

func (s *shelf) one(op, key string, old, value []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, found := s.m[key]
	ok := op == "put" || op == "create" && !found || op == "replace" && found && bytes.Equal(have, old)
	if ok {
		s.m[key] = bytes.Clone(value)
	}
	return ok, nil
}

func (s *shelf) Put(_ context.Context, key string, value []byte, _ time.Duration) error {
	_, err := s.one("put", key, nil, value)
	return err
}

func (s *shelf) Create(_ context.Context, key string, value []byte, _ time.Duration) (bool, error) {
	return s.one("create", key, nil, value)
}

func (s *shelf) Replace(_ context.Context, key string, old, value []byte, _ time.Duration) (bool, error) {
	return s.one("replace", key, old, value)
}

func (s *shelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
	return nil
}

// took returns what was read since the last time, as kinds.
func (s *shelf) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, keys := range s.trips {
		all = append(all, kinds(keys...))
	}
	s.trips = nil
	return strings.Join(all, ", ")
}

var shelfSecrets = [][]byte{bytes.Repeat([]byte("k"), 32)}

// shelved is a gateway of which only the sessions are used.
func shelved(tb testing.TB, store interface {
	session.Store
	identity.Store
	Queue
}, now func() time.Time) *Server {
	tb.Helper()
	sessions, err := session.NewManager(session.Config{Store: store, Secrets: shelfSecrets, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := identity.NewSigner(identity.SignerConfig{Secrets: shelfSecrets, Issuer: "https://play.example.com", Audience: "play.example.com", TTL: 5 * time.Minute, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	name, err := identity.ParseNameTemplate("玩家{{.Digits}}")
	if err != nil {
		tb.Fatal(err)
	}
	public := &url.URL{Scheme: "https", Host: "play.example.com"}
	g, err := New(Config{
		PublicURL: public, Upstreams: []Upstream{{Prefix: "/", URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}},
		Sessions: sessions, Users: identity.NewDirectory(identity.DirectoryConfig{Store: store, Now: now}), Signer: signer,
		Platform: "default", DefaultName: name, PlainHeaders: true, Queue: store, Ping: func(context.Context) error { return nil },
		Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics("test", "go"), Now: now, WeChat: wechat.New(wechat.Config{}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// person logs somebody in and returns the session's token.
func (s *Server) person(tb testing.TB, openID string) (token, user string) {
	tb.Helper()
	res, err := s.cfg.Users.Resolve(tb.Context(), identity.Login{Channel: identity.ChannelMP, AppID: testAppID, OpenID: openID})
	if err != nil {
		tb.Fatal(err)
	}
	token, _, err = s.cfg.Sessions.Create(tb.Context(), session.Session{User: res.User.ID, Channel: identity.ChannelMP, AppID: testAppID, OpenID: openID})
	if err != nil {
		tb.Fatal(err)
	}
	return token, res.User.ID
}

func (s *Server) wantUser(tb testing.TB, token, user string) {
	tb.Helper()
	l, err := s.sessions.get(tb.Context(), token)
	if err != nil || l == nil || l.user.ID != user {
		tb.Fatalf("got %+v, %v, want user %s", l, err, user)
	}
}
