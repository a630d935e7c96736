package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

// eventually asks until ok says yes, for a bounded time.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(40 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("still not %s: %v", what, err)
		}
	}
}

// works writes and reads a record.
func works(ctx context.Context, s *redisstore.Store, key string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.Put(ctx, key, []byte("v"), 0); err != nil {
		return err
	}
	value, found, err := s.Get(ctx, key)
	if err == nil && (!found || string(value) != "v") {
		err = fmt.Errorf("Get(%s) = %q, %t right after Put", key, value, found)
	}
	return err
}

func TestServerDownIsNotAbsence(t *testing.T) {
	ctx := t.Context()
	server := storetest.StartRedis(t)
	s := open(t, server.URL, redisstore.Options{})
	if err := errors.Join(s.Put(ctx, "k", []byte("v"), 0), s.Schedule(ctx, "q", "id", time.Now())); err != nil {
		t.Fatal(err)
	}

	server.Stop()
	_, found, getErr := s.Get(ctx, "k")
	created, createErr := s.Create(ctx, "new", nil, 0)
	replaced, replaceErr := s.Replace(ctx, "k", []byte("v"), nil, 0)
	_, takeErr := s.TakeDue(ctx, "q", time.Now(), time.Second, 1)
	_, lenErr := s.QueueLen(ctx, "q")
	for call, err := range map[string]error{
		"Get": getErr, "Create": createErr, "Replace": replaceErr, "TakeDue": takeErr, "QueueLen": lenErr,
		"Put":      s.Put(ctx, "k", nil, 0),
		"Delete":   s.Delete(ctx, "k"),
		"Schedule": s.Schedule(ctx, "q", "id", time.Now()),
		"Done":     s.Done(ctx, "q", "id"),
		"List":     s.List(ctx, "", func(string, []byte) error { return nil }),
		"Ping":     s.Ping(ctx),
	} {
		if err == nil {
			t.Errorf("%s: no error while the server is down", call)
		}
	}
	if found || created || replaced {
		t.Errorf("found %t, created %t, replaced %t while the server is down", found, created, replaced)
	}

	server.Restart()
	eventually(t, "back after the restart of the server", func() error { return s.Ping(ctx) })
	if value, found, err := s.Get(ctx, "k"); string(value) != "v" || !found || err != nil {
		t.Errorf("after the restart: Get = %q, %t, %v", value, found, err)
	}
	if replaced, err := s.Replace(ctx, "k", []byte("v"), []byte("w"), 0); !replaced || err != nil {
		t.Errorf("after the restart: Replace = %t, %v", replaced, err)
	}
	if n, err := s.QueueLen(ctx, "q"); n != 1 || err != nil {
		t.Errorf("after the restart: QueueLen = %d, %v", n, err)
	}
}

func TestServerThatComesLater(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Stop()
	s := open(t, server.URL, redisstore.Options{})
	if err := s.Ping(t.Context()); err == nil {
		t.Fatal("Ping works without a server")
	}
	server.Restart()
	eventually(t, "connected to a server that came later", func() error { return works(t.Context(), s, "k") })
}

// A restart between two calls, with nothing in between that could notice: every pooled connection is dead.
func TestRestartUnnoticed(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.URL, redisstore.Options{})
	if err := s.Put(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Restart()
	if value, found, err := s.Get(t.Context(), "k"); string(value) != "v" || !found || err != nil {
		t.Errorf("Get = %q, %t, %v", value, found, err)
	}
}

func TestPassword(t *testing.T) {
	server := storetest.StartRedis(t, "--requirepass", "hunter2/@?", "--user", "me", "on", ">p:w%", "~*", "&*", "+@all")
	for _, userinfo := range []string{":hunter2%2F%40%3F", "default:hunter2%2F%40%3F", "me:p%3Aw%25"} {
		s := open(t, "redis://"+userinfo+"@"+server.Addr, redisstore.Options{})
		if err := works(t.Context(), s, "k"); err != nil {
			t.Errorf("%s: %v", userinfo, err)
		}
	}
	for _, userinfo := range []string{"", ":hunter3@", "me:hunter3@", "nobody:hunter3@"} {
		s := open(t, "redis://"+userinfo+server.Addr, redisstore.Options{})
		_, found, err := s.Get(t.Context(), "k")
		if err == nil || found {
			t.Errorf("%s: Get = %t, %v", userinfo, found, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// A cursor of SCAN is worth nothing on another connection's server: List must not go on as if it were.
func TestListThatLosesItsConnection(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.URL, redisstore.Options{})
	other := admin(t, server.Addr, "")
	const n = 3000
	pipe := other.Pipeline()
	for i := range n {
		pipe.Set(t.Context(), fmt.Sprint("wxgate:record:", i), "v", 0)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := s.List(t.Context(), "", func(string, []byte) error {
		seen++
		if seen == 1 {
			return other.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err()
		}
		return nil
	})
	if err == nil || seen == n {
		t.Errorf("List ended with %v after %d of %d records", err, seen, n)
	}
	seen = 0
	err = s.List(t.Context(), "", func(string, []byte) error { seen++; return nil })
	if err != nil || seen != n {
		t.Errorf("the next List: %v, %d of %d records", err, seen, n)
	}
}
