package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

func open(tb testing.TB, url string, opts redisstore.Options) *redisstore.Store {
	tb.Helper()
	s, err := redisstore.Open(url, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// admin is a bare client, for what the store has no words for.
func admin(tb testing.TB, addr, password string) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: addr, Password: password, Protocol: 2})
	tb.Cleanup(func() { client.Close() })
	return client
}

func TestConformanceMiniredis(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
		server := miniredis.RunT(t)
		return open(t, "redis://"+server.Addr(), redisstore.Options{}), server.FastForward
	})
}

func TestConformanceRedis(t *testing.T) {
	server := storetest.StartRedis(t)
	flush := admin(t, server.Addr, "")
	storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
		if err := flush.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, server.URL, redisstore.Options{}), nil
	})
}

func TestShared(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		url := "redis://" + miniredis.RunT(t).Addr()
		storetest.RunShared(t, open(t, url, redisstore.Options{}), open(t, url, redisstore.Options{}))
	})
	t.Run("redis", func(t *testing.T) {
		url := storetest.StartRedis(t).URL
		storetest.RunShared(t, open(t, url, redisstore.Options{}), open(t, url, redisstore.Options{}))
	})
}

// Other programs use the same Redis: their keys stay out of sight, and ours are recognisable.
func TestKeysHaveAPrefix(t *testing.T) {
	server := miniredis.RunT(t)
	server.Set("foreign", "v")
	server.Set("wxgate:foreign", "v")
	s := open(t, "redis://"+server.Addr(), redisstore.Options{})
	if err := s.Put(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Schedule(t.Context(), "q", "id", time.Now()); err != nil {
		t.Fatal(err)
	}
	want := "[foreign wxgate:foreign wxgate:queue:q wxgate:record:k]"
	if got := fmt.Sprint(server.Keys()); got != want {
		t.Errorf("keys %s, want %s", got, want)
	}
	err := s.List(t.Context(), "", func(key string, _ []byte) error {
		if key != "k" {
			t.Errorf("List shows %q", key)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDatabaseNumber(t *testing.T) {
	server := miniredis.RunT(t)
	s := open(t, "redis://"+server.Addr()+"/3", redisstore.Options{})
	if err := s.Put(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if len(server.DB(0).Keys()) != 0 || len(server.DB(3).Keys()) != 1 {
		t.Errorf("database 0 has %q, database 3 %q", server.DB(0).Keys(), server.DB(3).Keys())
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, storetest.StartRedis(b).URL, redisstore.Options{})
	if err := s.Put(b.Context(), "session/0123456789abcdef", make([]byte, 500), time.Hour); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, found, err := s.Get(b.Context(), "session/0123456789abcdef"); err != nil || !found {
			b.Fatal(found, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, storetest.StartRedis(b, "--appendfsync", "everysec").URL, redisstore.Options{})
	value := make([]byte, 500)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Put(b.Context(), fmt.Sprint("session/", i%10_000), value, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
