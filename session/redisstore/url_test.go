package redisstore

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	type want struct {
		Kind                           kind
		Addrs                          []string
		User, Password                 string
		DB                             int
		Master                         string
		SentinelUser, SentinelPassword string
		TLS                            bool
	}
	for _, c := range []struct {
		url  string
		want want
	}{
		{"redis://localhost", want{Addrs: []string{"localhost:6379"}}},
		{"redis://localhost/", want{Addrs: []string{"localhost:6379"}}},
		{"REDIS://localhost:7000/3", want{Addrs: []string{"localhost:7000"}, DB: 3}},
		{"redis://:secret@redis", want{Addrs: []string{"redis:6379"}, Password: "secret"}},
		{"redis://me:secret@redis:1/2", want{Addrs: []string{"redis:1"}, User: "me", Password: "secret", DB: 2}},
		{"redis://m%3Ae:s%2Fe%3Fc%23r%40e%25t+%20@redis", want{Addrs: []string{"redis:6379"}, User: "m:e", Password: "s/e?c#r@e%t+ "}},
		{"redis://:a@b:c@redis", want{Addrs: []string{"redis:6379"}, Password: "a@b:c"}},
		{"redis://[::1]", want{Addrs: []string{"[::1]:6379"}}},
		{"redis://[::1]:7000/1", want{Addrs: []string{"[::1]:7000"}, DB: 1}},
		{"redis://redis?tls=true", want{Addrs: []string{"redis:6379"}, TLS: true}},
		{"redis://redis?tls=false", want{Addrs: []string{"redis:6379"}}},
		{"rediss://:secret@redis:6380/1", want{Addrs: []string{"redis:6380"}, Password: "secret", DB: 1, TLS: true}},
		{"rediss://redis?tls=true", want{Addrs: []string{"redis:6379"}, TLS: true}},
		{"redis+sentinel://a?master=m", want{Kind: sentinel, Addrs: []string{"a:26379"}, Master: "m"}},
		{"redis+sentinel://me:secret@a:1,b,[::1]:2/5?master=m&tls=true&sentinel_username=su&sentinel_password=sp%26",
			want{Kind: sentinel, Addrs: []string{"a:1", "b:26379", "[::1]:2"}, User: "me", Password: "secret", DB: 5,
				Master: "m", SentinelUser: "su", SentinelPassword: "sp&", TLS: true}},
		{"redis+cluster://:secret@a:1,b,[::1]", want{Kind: cluster, Addrs: []string{"a:1", "b:6379", "[::1]:6379"}, Password: "secret"}},
		{"redis+cluster://a/0?tls=true", want{Kind: cluster, Addrs: []string{"a:6379"}, TLS: true}},
	} {
		got, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		diff := cmp.Diff(c.want, want{got.kind, got.addrs, got.user, got.password, got.db, got.master,
			got.sentinelUser, got.sentinelPassword, got.tls != nil})
		if diff != "" {
			t.Errorf("%s:\n%s", c.url, diff)
		}
		// go-redis panics at some combinations of options; nothing is dialled here.
		s, err := Open(c.url, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", c.url, err)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for name, url := range map[string]string{
		"empty":                   "",
		"no scheme":               "hunter2@redis:6379",
		"unknown scheme":          "http://:hunter2@redis",
		"scheme of a socket":      "unix://:hunter2@/redis.sock",
		"no host":                 "redis://",
		"no host before the port": "redis://:hunter2@:6379",
		"bad port":                "redis://:hunter2@redis:port",
		"big port":                "redis://:hunter2@redis:65536",
		"bare IPv6 address":       "redis://:hunter2@::1",
		"several hosts":           "redis://:hunter2@a,b",
		"empty among hosts":       "redis+cluster://:hunter2@a,,b",
		"bad database":            "redis://:hunter2@redis/first",
		"negative database":       "redis://:hunter2@redis/-1",
		"two path parts":          "redis://:hunter2@redis/1/2",
		"database of a cluster":   "redis+cluster://:hunter2@a/1",
		"no master":               "redis+sentinel://:hunter2@a",
		"empty master":            "redis+sentinel://:hunter2@a?master=",
		"master of one server":    "redis://:hunter2@a?master=m",
		"unknown parameter":       "redis://:hunter2@a?pool=3",
		"parameter twice":         "redis+sentinel://:hunter2@a?master=m&master=n",
		"malformed parameters":    "redis://:hunter2@a?tls=%zz",
		"bad tls":                 "redis://:hunter2@a?tls=yes",
		"rediss without tls":      "rediss://:hunter2@a?tls=false",
		"ca without tls":          "redis://:hunter2@a?ca=/ca.pem",
		"absent ca":               "rediss://:hunter2@a?ca=/absent/ca.pem",
		"ca that is none":         "rediss://:hunter2@a?ca=/dev/null",
		"cert without key":        "rediss://:hunter2@a?cert=/absent/cert.pem",
		"password as a user":      "redis://hunter2@redis",
		"user without password":   "redis://hunter2:@redis",
		"bad escape":              "redis://:hunter2%zz@redis",
		"raw slash, short":        "redis://:hunter2/x@redis",
		"raw slash, long":         "redis://:x/hunter2@redis/0",
		"raw slash, number":       "redis://:1/hunter2@redis/0",
		"raw question mark":       "redis://:x?hunter2@redis/0",
		"raw question mark, tls":  "redis://h:1?hunter2=1@redis",
		"raw hash":                "redis://:x#hunter2@redis/0#",
		"raw space and control":   "redis://:hunter2 \n@redis:x",
	} {
		s, err := Open(url, Options{})
		if err == nil {
			s.Close()
			t.Errorf("%s: %q is accepted", name, url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestOpenWaitsForNobody(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, url := range []string{"redis://%s", "rediss://%s", "redis+sentinel://%s?master=m", "redis+cluster://%s"} {
		start := time.Now()
		s, err := Open(fmt.Sprintf(url, silent.Addr()), Options{Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("Open(%s) took %s", url, took)
		}
	}
}

func TestPattern(t *testing.T) {
	for prefix, want := range map[string]string{
		"":        "*",
		"user/":   "user/*",
		"a-b_c.d": "a-b_c.d*",
		"a*b":     "a*",
		"a?":      "a*",
		"[a]":     "*",
		`a\*`:     "a*",
		"a\xff":   "a*",
		"玩家":      "*",
	} {
		if got := pattern(prefix); got != want {
			t.Errorf("pattern(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func TestLifetimeInMilliseconds(t *testing.T) {
	for ttl, want := range map[time.Duration]string{
		0:                                "[]",
		1:                                "[px 1]",
		time.Millisecond:                 "[px 1]",
		time.Millisecond + 1:             "[px 2]",
		1500 * time.Microsecond:          "[px 2]",
		time.Second:                      "[px 1000]",
		time.Duration(1<<63 - 1):         "[px 9223372036855]",
		time.Duration(9223372036854e6):   "[px 9223372036854]",
		365 * 24 * time.Hour:             "[px 31536000000]",
		365*24*time.Hour + 1*time.Second: "[px 31536001000]",
	} {
		if got := fmt.Sprint(withLifetime(ttl)); got != want {
			t.Errorf("withLifetime(%d) = %s, want %s", ttl, got, want)
		}
	}
}
