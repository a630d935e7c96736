package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session/redisstore"
)

// A command may have been executed although its answer was lost. Sending it again would turn "created" into "not
// created", and lease an id to nobody.
func TestWritesAreSentOnce(t *testing.T) {
	for _, scheme := range []string{"redis", "redis+cluster"} {
		for name, c := range map[string]struct {
			command string
			times   int
			call    func(context.Context, *redisstore.Store) error
		}{
			"Create": {"set", 1, func(ctx context.Context, s *redisstore.Store) error { _, err := s.Create(ctx, "k", nil, 0); return err }},
			"Put":    {"set", 1, func(ctx context.Context, s *redisstore.Store) error { return s.Put(ctx, "k", nil, 0) }},
			"Replace": {"evalsha", 1, func(ctx context.Context, s *redisstore.Store) error {
				_, err := s.Replace(ctx, "k", nil, nil, 0)
				return err
			}},
			"TakeDue": {"evalsha", 1, func(ctx context.Context, s *redisstore.Store) error {
				_, err := s.TakeDue(ctx, "q", time.Now(), time.Second, 1)
				return err
			}},
			"Schedule": {"zadd", 1, func(ctx context.Context, s *redisstore.Store) error { return s.Schedule(ctx, "q", "id", time.Now()) }},
			"a batch's create": {"set", 1, func(ctx context.Context, s *redisstore.Store) error {
				_, _, err := s.Batch(ctx, []redisstore.Write{{Op: "create", Key: "k"}}, "l")
				return err
			}},
			"a batch's replace": {"evalsha", 1, func(ctx context.Context, s *redisstore.Store) error {
				_, _, err := s.Batch(ctx, []redisstore.Write{{Op: "replace", Key: "k"}}, "l")
				return err
			}},
			"Get":      {"get", 2, func(ctx context.Context, s *redisstore.Store) error { _, _, err := s.Get(ctx, "k"); return err }},
			"QueueLen": {"zcard", 2, func(ctx context.Context, s *redisstore.Store) error { _, err := s.QueueLen(ctx, "q"); return err }},
		} {
			t.Run(scheme+"/"+name, func(t *testing.T) {
				var w *wire
				w = startWire(t, clusterOf(&w, func(args []string) string {
					if strings.EqualFold(args[0], "hello") {
						return noHello
					}
					return "" // read, perhaps executed, and never answered
				}))
				s := open(t, scheme+"://"+w.addr, redisstore.Options{})
				if err := c.call(t.Context(), s); err == nil {
					t.Error("no error though no answer came")
				}
				if n := w.count(c.command); n != c.times {
					t.Errorf("%s was sent %d times, want %d", c.command, n, c.times)
				}
			})
		}
	}
}

// A read that meets a dead connection succeeds on the next one.
func TestReadsAreTriedAgain(t *testing.T) {
	var mu sync.Mutex
	dropped := map[string]bool{}
	w := startWire(t, func(args []string) string {
		mu.Lock()
		defer mu.Unlock()
		name := strings.ToLower(args[0])
		if name == "hello" {
			return noHello
		}
		if !dropped[name] {
			dropped[name] = true
			return ""
		}
		switch name {
		case "get":
			return "$1\r\nv\r\n"
		case "zcard":
			return ":7\r\n"
		}
		return "-ERR unexpected\r\n"
	})
	s := open(t, "redis://"+w.addr, redisstore.Options{})
	if value, found, err := s.Get(t.Context(), "k"); string(value) != "v" || !found || err != nil {
		t.Errorf("Get = %q, %t, %v", value, found, err)
	}
	mu.Lock()
	dropped["get"] = false
	mu.Unlock()
	if values, err := s.GetMany(t.Context(), "k", "l"); len(values) != 2 || string(values[0]) != "v" || string(values[1]) != "v" || err != nil {
		t.Errorf("GetMany = %q, %v", values, err)
	}
	if n, err := s.QueueLen(t.Context(), "q"); n != 7 || err != nil {
		t.Errorf("QueueLen = %d, %v", n, err)
	}
}

func TestDeadlineIsObeyed(t *testing.T) {
	for _, scheme := range []string{"redis://%s", "redis+cluster://%s", "redis+sentinel://%s?master=m"} {
		for _, silentFrom := range []string{"hello", "the command"} {
			t.Run(fmt.Sprintf(scheme, "host")+", silent from "+silentFrom, func(t *testing.T) {
				block := make(chan struct{})
				defer close(block)
				w := startWire(t, func(args []string) string {
					if strings.EqualFold(args[0], "hello") && silentFrom != "hello" {
						return noHello
					}
					<-block
					return ""
				})
				s := open(t, fmt.Sprintf(scheme, w.addr), redisstore.Options{Timeout: 8 * time.Second})
				for call, do := range map[string]func(context.Context) error{
					"Get":     func(ctx context.Context) error { _, _, err := s.Get(ctx, "k"); return err },
					"Create":  func(ctx context.Context) error { _, err := s.Create(ctx, "k", nil, 0); return err },
					"Replace": func(ctx context.Context) error { _, err := s.Replace(ctx, "k", nil, nil, 0); return err },
					"List":    func(ctx context.Context) error { return s.List(ctx, "", func(string, []byte) error { return nil }) },
					"Ping":    func(ctx context.Context) error { return s.Ping(ctx) },
				} {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					start := time.Now()
					err := do(ctx)
					cancel()
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("%s: %v", call, err)
					}
					if took := time.Since(start); took > 4*time.Second {
						t.Fatalf("%s came back after %s", call, took)
					}
				}
			})
		}
	}
}

func TestDeadlineIsObeyedInTheHandshake(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := open(t, "rediss://"+silent.Addr().String(), redisstore.Options{Timeout: 20 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, _, err := s.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get from a server that shakes no hands: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it came back after %s", took)
	}
}

// The store's own limit holds where the context has none.
func TestOwnTimeout(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	w := startWire(t, func([]string) string { <-block; return "" })
	s := open(t, "redis://"+w.addr, redisstore.Options{Timeout: 50 * time.Millisecond})
	if _, _, err := s.Get(context.Background(), "k"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get from a silent server: %v", err)
	}
}

// Servers that do not know a command repeat its arguments, and those of HELLO and AUTH are the password.
func TestServerThatRepeatsThePassword(t *testing.T) {
	for name, answer := range map[string]func([]string) string{
		"whole":    func(args []string) string { return "-ERR what is " + strings.Join(args, " ") + "\r\n" },
		"cut off":  func(args []string) string { return "-ERR unknown command, with args beginning with: '3' 'hunt\r\n" },
		"no reply": func(args []string) string { return strings.Join(args, " ") + "\r\n" },
	} {
		for _, scheme := range []string{
			"redis://:hunter2@%s", "redis://me:hunter2@%s", "redis+cluster://:hunter2@%s",
			"redis+sentinel://:hunter2@%s?master=m", "redis+sentinel://%s?master=m&sentinel_password=hunter2",
		} {
			t.Run(fmt.Sprintf(scheme, "host")+"/"+name, func(t *testing.T) {
				w := startWire(t, answer)
				s := open(t, fmt.Sprintf(scheme, w.addr), redisstore.Options{})
				_, _, getErr := s.Get(t.Context(), "k")
				_, createErr := s.Create(t.Context(), "k", nil, 0)
				for call, err := range map[string]error{
					"Get": getErr, "Create": createErr, "Ping": s.Ping(t.Context()),
					"List": s.List(t.Context(), "", func(string, []byte) error { return nil }),
				} {
					if err == nil {
						t.Errorf("%s: no error", call)
						continue
					}
					for ; err != nil; err = errors.Unwrap(err) {
						if strings.Contains(err.Error(), "hunt") {
							t.Errorf("%s shows the password: %v", call, err)
						}
					}
				}
			})
		}
	}
}

// An answer that happens to contain the password is still understood.
func TestPasswordThatIsAWordOfTheProtocol(t *testing.T) {
	for _, password := range []string{"redis", "nil", "NOSCRIPT", "script", "context"} {
		w := startWire(t, func(args []string) string {
			switch strings.ToLower(args[0]) {
			case "hello":
				return noHello
			case "get", "set":
				return "$-1\r\n"
			case "evalsha":
				return "-NOSCRIPT No matching script. Please use EVAL.\r\n"
			case "eval":
				return ":1\r\n"
			}
			return "+OK\r\n"
		})
		s := open(t, "redis://:"+password+"@"+w.addr, redisstore.Options{})
		if _, found, err := s.Get(t.Context(), "k"); found || err != nil {
			t.Errorf("password %q: Get = %t, %v", password, found, err)
		}
		if created, err := s.Create(t.Context(), "k", nil, 0); created || err != nil {
			t.Errorf("password %q: Create = %t, %v", password, created, err)
		}
		if replaced, err := s.Replace(t.Context(), "k", nil, nil, 0); !replaced || err != nil {
			t.Errorf("password %q: Replace = %t, %v", password, replaced, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("password %q: Get with a cancelled context: %v", password, err)
		}
	}
}

// SCAN may name a key twice, in one answer or in two; and a key may be gone before its value is asked for.
func TestListWithRepetitions(t *testing.T) {
	bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
	page := func(cursor string, keys ...string) string {
		reply := "*2\r\n" + bulk(cursor) + fmt.Sprintf("*%d\r\n", len(keys))
		for _, key := range keys {
			reply += bulk("wxgate:record:" + key)
		}
		return reply
	}
	w := startWire(t, func(args []string) string {
		switch strings.ToLower(args[0]) {
		case "scan":
			switch args[1] {
			case "0":
				return page("7", "a", "b", "b")
			case "7":
				return page("9", "b", "gone", "c", "foreign\xff")
			case "9":
				return page("0", "a", "c", "d")
			}
		case "get":
			key := strings.TrimPrefix(args[1], "wxgate:record:")
			if key == "gone" {
				return "$-1\r\n"
			}
			return bulk("value of " + key)
		}
		return "-ERR unexpected\r\n"
	})
	s := open(t, "redis://"+w.addr, redisstore.Options{})
	var got []string
	err := s.List(t.Context(), "", func(key string, value []byte) error {
		if string(value) != "value of "+key {
			t.Errorf("%q has value %q", key, value)
		}
		got = append(got, key)
		return nil
	})
	if want := []string{"a", "b", "c", "foreign\xff", "d"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("List shows %q, %v; want %q", got, err, want)
	}
}
