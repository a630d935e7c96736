package identity

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// memStore is a Store in memory. It counts what it is asked, and hook may stop an operation before or after its effect.
type memStore struct {
	mu     sync.Mutex
	m      map[string][]byte
	reads  int
	writes int
	hook   func(op, key string) outcome
}

// outcome says what becomes of an operation.
type outcome int

const (
	proceed     outcome = iota
	crashBefore         // an error and no effect
	crashAfter          // the effect and then an error
	repeat              // the effect, then the same once more, and the second answer: a client that repeats after a lost reply
)

var errCrash = errors.New("injected fault")

func newMemStore() *memStore { return &memStore{m: map[string][]byte{}} }

// do runs one operation under the lock.
func (s *memStore) do(ctx context.Context, op, key string, effect func() bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	o := proceed
	if s.hook != nil {
		o = s.hook(op, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if op == "get" {
		s.reads++
	} else {
		s.writes++
	}
	switch o {
	case crashBefore:
		return false, errCrash
	case crashAfter:
		effect()
		return false, errCrash
	case repeat:
		effect()
	}
	return effect(), nil
}

func (s *memStore) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	found, err = s.do(ctx, "get", key, func() bool {
		v, ok := s.m[key]
		value = bytes.Clone(v)
		return ok
	})
	return value, found, err
}

// GetMany is one read.
func (s *memStore) GetMany(ctx context.Context, keys ...string) (values [][]byte, err error) {
	values = make([][]byte, len(keys))
	_, err = s.do(ctx, "get", keys[0], func() bool {
		for i, key := range keys {
			values[i] = bytes.Clone(s.m[key])
		}
		return true
	})
	return values, err
}

// oneByOne reads many keys as stores do that have no other way. The scheduled stores of the tests do so, too: anything can happen
// between two of the reads.
func oneByOne(ctx context.Context, s interface {
	Get(ctx context.Context, key string) ([]byte, bool, error)
}, keys []string) (values [][]byte, err error) {
	for _, key := range keys {
		value, _, err := s.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (s *memStore) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return s.do(ctx, "create", key, func() bool {
		if _, ok := s.m[key]; ok || ttl != 0 {
			return false
		}
		s.m[key] = bytes.Clone(value)
		return true
	})
}

func (s *memStore) Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	return s.do(ctx, "replace", key, func() bool {
		v, ok := s.m[key]
		if !ok || !bytes.Equal(v, old) {
			return false
		}
		if ttl != 0 {
			delete(s.m, key) // the shortest life that a short life may have
			return true
		}
		s.m[key] = bytes.Clone(new)
		return true
	})
}

func (s *memStore) Delete(ctx context.Context, key string) error {
	_, err := s.do(ctx, "delete", key, func() bool {
		delete(s.m, key)
		return true
	})
	return err
}

func (s *memStore) value(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.m[key])
}

func (s *memStore) set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[key] = []byte(value)
}

func (s *memStore) keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(s.m)) {
		if len(k) >= len(prefix) && k[:len(prefix)] == prefix {
			out = append(out, k)
		}
	}
	return out
}

// ids makes a source of valid ids in a fixed order.
func ids() func() string {
	var mu sync.Mutex
	n := uint64(0)
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		var b [16]byte
		binary.BigEndian.PutUint64(b[8:], n)
		return idEncoding.EncodeToString(b[:])
	}
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// login is a login of player p through the numbered account, with or without a unionid.
func login(p string, account int, unionid bool) Login {
	l := Login{Platform: "default", Channel: ChannelMP, AppID: fmt.Sprintf("wx%d", account), OpenID: fmt.Sprintf("o-%s-%d", p, account), At: t0}
	if unionid {
		l.UnionID = "u-" + p
	}
	return l
}

func (l Login) after(d time.Duration) Login {
	l.At = l.At.Add(d)
	return l
}

func mustResolve(t *testing.T, d *Directory, l Login) Resolution {
	t.Helper()
	r, err := d.Resolve(t.Context(), l)
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	return r
}

func newTestDirectory() (*Directory, *memStore) {
	s := newMemStore()
	return NewDirectory(DirectoryConfig{Store: s, NewID: ids(), Now: func() time.Time { return t0 }}), s
}

// wholeUser compares users with all that their records hold.
var wholeUser = cmp.AllowUnexported(User{}, kept{})
