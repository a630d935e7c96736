package yunxin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What takes how long, tested in a bubble of synctest with connections in memory.

// memory is a network of servers by host name. A host without one refuses, one
// with a nil handler lets its callers wait for a connection for ever.
func memory(t *testing.T, hosts map[string]http.HandlerFunc) *http.Client {
	t.Helper()
	listeners := make(map[string]listener)
	var running sync.WaitGroup
	for host, handler := range hosts {
		if handler == nil {
			continue
		}
		l := listener{make(chan net.Conn), make(chan struct{})}
		srv := &http.Server{Handler: handler}
		running.Go(func() { srv.Serve(l) })
		t.Cleanup(func() { srv.Close() })
		listeners[host] = l
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, _, _ := strings.Cut(addr, ":")
		l, up := listeners[host]
		if _, known := hosts[host]; known && !up {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if !up {
			return nil, errors.New("connection refused")
		}
		near, far := net.Pipe()
		l.conns <- far
		return near, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	close(l.closed)
	return nil
}

func (l listener) Addr() net.Addr { return &net.TCPAddr{} }

// slow is a body that comes a byte a second.
type slow struct{ left int }

func (s *slow) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	s.left--
	p[0] = 'x'
	return 1, nil
}

func drain(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, `{"code":200}`)
}

// Bodies take as long as they take, in both directions, whatever limits the
// client has for other things.
func TestDoHasNoTotalTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memory(t, map[string]http.HandlerFunc{"primary": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			for range 60 {
				io.WriteString(w, " ")
				http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
			io.WriteString(w, `{"code":200}`)
		}})
		h.Timeout = 2 * time.Second
		c := New(Config{URLs: []string{"http://primary"}, HTTP: h})
		start := time.Now()
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", maxKept)), &slow{60})
		res, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: body, Length: maxKept + 60})
		if _, code, _ := read(t, res, err); code != 200 || time.Since(start) != 2*time.Minute {
			t.Errorf("code %d after %v", code, time.Since(start))
		}
	})
}

// An answer that begins before the body was sent is not cut when that is done.
func TestDoEarlyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memory(t, map[string]http.HandlerFunc{"primary": func(w http.ResponseWriter, r *http.Request) {
			ctl := http.NewResponseController(w)
			ctl.EnableFullDuplex()
			io.WriteString(w, `{"code":`)
			ctl.Flush()
			io.Copy(io.Discard, r.Body)
			time.Sleep(time.Minute)
			io.WriteString(w, `200}`)
		}})
		c := New(Config{URLs: []string{"http://primary"}, HTTP: h})
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", maxKept)), &slow{60})
		res, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: body, Length: maxKept + 60})
		if _, code, _ := read(t, res, err); code != 200 {
			t.Errorf("code %d", code)
		}
	})
}

// A primary to which no connection comes about costs one Timeout, and any call,
// with any body, goes on to the backup.
func TestDoConnectTimeout(t *testing.T) {
	for _, body := range []io.Reader{nil, strings.NewReader("x"), strings.NewReader(strings.Repeat("x", maxKept+1))} {
		synctest.Test(t, func(t *testing.T) {
			h := memory(t, map[string]http.HandlerFunc{"primary": nil, "backup": drain})
			var classes []string
			c := New(Config{URLs: []string{"http://primary", "http://backup"}, HTTP: h, Observe: func(_, class string, _ time.Duration) { classes = append(classes, class) }})
			start := time.Now()
			res, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: body})
			if _, code, _ := read(t, res, err); code != 200 || time.Since(start) != 5*time.Second {
				t.Errorf("code %d after %v", code, time.Since(start))
			}
			if d := cmp.Diff([]string{"unavailable", "ok"}, classes); d != "" {
				t.Error(d)
			}
		})
	}
}

// A primary that takes a call and says nothing costs one Timeout too. What may
// have had its effect is not repeated, but the next call goes to the backup.
func TestDoAnswerTimeout(t *testing.T) {
	for method, again := range map[string]bool{"POST": false, "PATCH": false, "GET": true, "PUT": true, "DELETE": true} {
		synctest.Test(t, func(t *testing.T) {
			h := memory(t, map[string]http.HandlerFunc{"primary": func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}, "backup": drain})
			c := New(Config{URLs: []string{"http://primary", "http://backup"}, HTTP: h})
			start := time.Now()
			res, err := c.Do(t.Context(), Call{Method: method, Path: "/a", Body: strings.NewReader("x")})
			if !again {
				if e := unavailable(t, err); !errors.Is(err, context.DeadlineExceeded) || e.Host != "primary" {
					t.Errorf("%s: %v", method, err)
				}
				res, err = c.Do(t.Context(), Call{Method: method, Path: "/a"})
			}
			if _, code, _ := read(t, res, err); code != 200 || time.Since(start) != 5*time.Second {
				t.Errorf("%s: code %d after %v", method, code, time.Since(start))
			}
		})
	}
}

// carrier is a transport that says that it has sent a request, and then nothing
// for a minute. It may not even listen to its context.
type carrier struct{ deaf bool }

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	trace := httptrace.ContextClientTrace(r.Context())
	trace.GotConn(httptrace.GotConnInfo{})
	trace.WroteRequest(httptrace.WroteRequestInfo{})
	time.Sleep(time.Minute)
	if !c.deaf {
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"code":200}`))}, nil
}

// An answer that came too late is none, however the transport says so.
func TestDoLateAnswer(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var classes []string
			c := New(Config{HTTP: &http.Client{Transport: carrier{deaf}}, Observe: func(_, class string, _ time.Duration) { classes = append(classes, class) }})
			_, err := c.Do(t.Context(), Call{Method: "POST", Path: "/a", Body: strings.NewReader("x")})
			if unavailable(t, err); !errors.Is(err, context.DeadlineExceeded) || cmp.Diff([]string{"unavailable"}, classes) != "" {
				t.Errorf("deaf %v: %v, classes %v", deaf, err, classes)
			}
		})
	}
}

// The caller's own end comes first, while waiting and while an answer passes.
func TestDoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var classes []string
		h := memory(t, map[string]http.HandlerFunc{"primary": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"code":`)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
		c := New(Config{URLs: []string{"http://primary"}, HTTP: h, Observe: func(_, class string, _ time.Duration) { classes = append(classes, class) }})
		ctx, cancel := context.WithCancel(t.Context())
		res, err := c.Do(ctx, Call{Method: "GET", Path: "/a"})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, cancel)
		if _, err := io.ReadAll(res.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("while the answer passes: %v", err)
		}
		res.Body.Close()

		c.urls = []string{"http://silent", "http://primary"}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = c.Do(ctx, Call{Method: "GET", Path: "/a"})
		if !errors.Is(err, context.Canceled) || c.healthy.Load() != 0 {
			t.Errorf("a caller who left: %v, address %d", err, c.healthy.Load())
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Do(ctx, Call{Method: "GET", Path: "/a"})
		if unavailable(t, err); !errors.Is(err, context.DeadlineExceeded) || c.healthy.Load() != 1 {
			t.Errorf("a caller out of time: %v, address %d", err, c.healthy.Load())
		}
		if d := cmp.Diff([]string{"canceled", "canceled", "unavailable"}, classes); d != "" {
			t.Error(d)
		}
	})
}
