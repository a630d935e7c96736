package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseMonitor(t *testing.T) {
	for _, c := range []struct {
		line, verb, key string
		ok              bool
	}{
		{`+1700000000.000250 [0 127.0.0.1:5000] "get" "wxgate:record:s:1"` + "\r\n", "get", "wxgate:record:s:1", true},
		{`1700000000.000250 [0 127.0.0.1:5000] "GET" "wxgate:record:s:1"` + "\r\n", "get", "wxgate:record:s:1", true},
		{`+1700000000.000250 [0 127.0.0.1:5000] "set" "wxgate:record:u:1" "{\"a\":\"b\"}" "nx"` + "\r\n", "set", "wxgate:record:u:1", true},
		{`+1700000000.000250 [0 127.0.0.1:5000] "evalsha" "c0ffee" "1" "wxgate:queue:im" "5"` + "\r\n", "evalsha", "wxgate:queue:im", true},
		{`+1700000000.000250 [0 unix:/tmp/x] "ping"` + "\r\n", "ping", "", true},
		{`+1700000000.000250 [0 lua] "GET" "wxgate:record:s:1"` + "\r\n", "", "", false},
		{"+OK\r\n", "", "", false},
		{"", "", "", false},
		{`+17x.1 [0 127.0.0.1:5000] "get" "k"`, "", "", false},
	} {
		got, ok := parseMonitor(c.line)
		if ok != c.ok || got.verb != c.verb || got.key != c.key {
			t.Errorf("%q: %+v, %t", c.line, got, ok)
		}
		if ok && !got.at.Equal(time.Unix(1700000000, 250_000)) {
			t.Errorf("%q: at %v", c.line, got.at)
		}
	}
}

func TestOfRequests(t *testing.T) {
	calls := []redisCall{
		{verb: "hello", key: "2"}, {verb: "ping"}, {verb: "evalsha", key: queueKey + "im"}, {verb: "zcard", key: queueKey + "im"},
		{verb: "zadd", key: queueKey + "im"}, {verb: "get", key: sessionKey + "1"}, {verb: "evalsha", key: recordKey + "w:1"},
	}
	if got := verbs(ofRequests(calls)); got != "zadd get evalsha" {
		t.Errorf("counted: %s", got)
	}
}

func TestMostWithin(t *testing.T) {
	at := func(ms ...int) (all []time.Time) {
		for _, n := range ms {
			all = append(all, time.UnixMilli(int64(n)))
		}
		return all
	}
	for _, c := range []struct {
		name  string
		reads map[string][]time.Time
		want  int
	}{
		{"none", nil, 0},
		{"each once", map[string][]time.Time{"a": at(0), "b": at(1)}, 1},
		{"again at the end of the time", map[string][]time.Time{"a": at(0, 5000, 10000)}, 1},
		{"again before", map[string][]time.Time{"a": at(0, 4999, 10000), "b": at(3)}, 2},
		{"not in order", map[string][]time.Time{"a": at(9000, 100, 4000, 2000)}, 3},
	} {
		if got := mostWithin(c.reads, 5*time.Second); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	reads := readsOf([]redisCall{
		{verb: "get", key: sessionKey + "1"}, {verb: "get", key: sessionKey + "1"}, {verb: "set", key: sessionKey + "1"}, {verb: "get", key: userKey + "1"},
	}, sessionKey)
	if len(reads) != 1 || total(reads) != 2 {
		t.Errorf("reads: %v", reads)
	}
}

// What is taken was sent before take was called, all of it, and once.
func TestWatch(t *testing.T) {
	if !onPath("redis-server") {
		if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "redis") {
			t.Fatal("no redis-server on PATH, and WXGATE_TEST_REQUIRE asks for it")
		}
		t.Skip("redis-server is not on PATH")
	}
	s := bareStage(t)
	if err := s.startRedis(); err != nil {
		t.Fatal(err)
	}
	w, err := s.watchRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	s.options.people = 3
	cookies, err := s.makeSessions(s.people)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := w.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sets := 0
	for _, c := range ofRequests(calls) {
		if c.verb == "set" && c.key[:len(sessionKey)] == sessionKey {
			sets++
		}
	}
	if sets != 3 || len(cookies) != 3 || cookies[0] == cookies[1] {
		t.Errorf("%d sessions were stored for the cookies %q", sets, cookies)
	}
	if again, err := w.take(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("taken twice: %v, %v", again, err)
	}
	s.redis.stop()
	if _, err := w.take(t.Context()); err == nil {
		t.Error("a Redis that is gone was watched")
	}
}
