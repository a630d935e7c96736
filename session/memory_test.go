package session

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a store that lives as long as its test, counts what it is asked,
// and can be taken away. Lifetimes are noted and left to the back ends' own
// tests.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	ttl    map[string]time.Duration
	count  map[string]int // by method
	fail   map[string]error
	// before, where given, runs at the start of a method, outside the lock.
	before func(method, key string)
}

var errGone = errors.New("connection refused (by the test)")

func newMemory() *memory {
	return &memory{values: map[string][]byte{}, ttl: map[string]time.Duration{}, count: map[string]int{}, fail: map[string]error{}}
}

// inBatch marks what is done as a part of a batch, which counts as one.
type inBatch struct{}

// enter counts a call and leaves the store locked if it may go on.
func (s *memory) enter(ctx context.Context, method, key string) error {
	if s.before != nil {
		s.before(method, key)
	}
	s.mu.Lock()
	if ctx.Value(inBatch{}) == nil {
		s.count[method]++
	}
	err := s.fail[method]
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.mu.Unlock()
	}
	return err
}

func (s *memory) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.enter(ctx, "Get", key); err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	value, found := s.values[key]
	return bytes.Clone(value), found, nil
}

func (s *memory) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.enter(ctx, "Put", key); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.values[key], s.ttl[key] = bytes.Clone(value), ttl
	return nil
}

func (s *memory) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := s.enter(ctx, "Create", key); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	if _, found := s.values[key]; found {
		return false, nil
	}
	s.values[key], s.ttl[key] = bytes.Clone(value), ttl
	return true, nil
}

func (s *memory) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := s.enter(ctx, "Replace", key); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	if have, found := s.values[key]; !found || !bytes.Equal(have, old) {
		return false, nil
	}
	s.values[key], s.ttl[key] = bytes.Clone(value), ttl
	return true, nil
}

func (s *memory) Delete(ctx context.Context, key string) error {
	if err := s.enter(ctx, "Delete", key); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.values, key)
	delete(s.ttl, key)
	return nil
}

// Batch goes on with the next write only where the last one did not fail, so a
// test that lets a method fail finds out about the writes before it.
func (s *memory) Batch(ctx context.Context, writes []Write, keys ...string) (done []bool, values [][]byte, err error) {
	if err := s.enter(ctx, "Batch", ""); err != nil {
		return nil, nil, err
	}
	s.mu.Unlock()
	ctx = context.WithValue(ctx, inBatch{}, true)
	for _, w := range writes {
		ok := true
		switch w.Op {
		case "put":
			err = s.Put(ctx, w.Key, w.Value, w.TTL)
		case "create":
			ok, err = s.Create(ctx, w.Key, w.Value, w.TTL)
		case "replace":
			ok, err = s.Replace(ctx, w.Key, w.Old, w.Value, w.TTL)
		}
		if err != nil {
			return nil, nil, err
		}
		done = append(done, ok)
	}
	for _, key := range keys {
		value, _, err := s.Get(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		values = append(values, value)
	}
	return done, values, nil
}

func (s *memory) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.count {
		n += c
	}
	return n
}

// all is everything in the store as one text.
func (s *memory) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for key, value := range s.values {
		b.WriteString(key + "\n" + string(value) + "\n")
	}
	return b.String()
}

// bench is a manager on a memory store with a clock that stands still.
type bench struct {
	*Manager
	store *memory
	clock time.Time
}

var oldSecret, newSecret = bytes.Repeat([]byte{1}, secretSize), bytes.Repeat([]byte{2}, secretSize)

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{store: newMemory(), clock: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
	b.Manager = b.manager(t, change...)
	return b
}

// manager is another replica on the same store and clock.
func (b *bench) manager(t *testing.T, change ...func(*Config)) *Manager {
	t.Helper()
	c := Config{
		Store: b.store, Secrets: [][]byte{oldSecret}, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Secure: true,
		Now: func() time.Time { return b.clock },
	}
	for _, f := range change {
		f(&c)
	}
	m, err := NewManager(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func secrets(list ...[]byte) func(*Config) { return func(c *Config) { c.Secrets = list } }

// login makes a session and returns its token and key.
func (b *bench) login(t *testing.T, user string) (token, key string) {
	t.Helper()
	token, s, err := b.Create(t.Context(), Session{User: user, Channel: "mp", AppID: "wx1", OpenID: "o1"})
	if err != nil {
		t.Fatal(err)
	}
	return token, s.key
}

// cookies is a request's header with these Cookie lines.
func cookies(lines ...string) http.Header { return http.Header{"Cookie": lines} }

// returned is the cookie header of a browser that was given this answer's
// cookies and nothing else.
func returned(answer http.Header) http.Header {
	var pairs []string
	for _, c := range (&http.Response{Header: answer}).Cookies() {
		if c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return cookies(strings.Join(pairs, "; "))
}
