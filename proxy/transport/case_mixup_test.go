package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"wxgate/proxy/transport"
)

// However connections end and whoever gives up, nobody is ever handed the reply
// to somebody else's request, and no request that must not be repeated arrives
// twice.
func TestNobodyGetsAnothersReply(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		var arrived sync.Map // identity of a POST, to how often it came
		up := newUpstream(t, func(p *peer) {
			for {
				req, body := p.request()
				id := req.Header.Get("X-Id")
				if req.Method == http.MethodPost {
					if body != id {
						t.Errorf("request %s brought %q", id, body)
					}
					if _, again := arrived.LoadOrStore(id, true); again {
						t.Errorf("request %s came twice", id)
					}
				}
				answer(p, id)
			}
		})
		rt := k.open(t, up, transport.Config{MaxConns: 40, MaxIdle: 20})
		var answered atomic.Int32
		var all sync.WaitGroup
		for visitor := range 64 {
			all.Go(func() {
				for n := range 40 {
					if ask(t, rt, fmt.Sprintf("%d-%d", visitor, n)) {
						answered.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := answered.Load(); n < 1000 {
			t.Errorf("only %d requests were answered", n)
		}
	})
}

// answer gives one of the many kinds of replies that apps give, most of them
// good.
func answer(p *peer, id string) {
	status := "HTTP/1.1 200 OK\nX-Id: " + id + "\n"
	switch rand.IntN(14) {
	case 0: // hangs up instead
		runtime.Goexit()
	case 1: // breaks off
		p.say(status + "Content-Length: 1000\n\n" + id)
		runtime.Goexit()
	case 2:
		p.say(status + "Connection: close\n\n" + id)
		runtime.Goexit()
	case 3: // hangs up behind it
		p.say(status + fmt.Sprintf("Content-Length: %d\n\n", len(id)) + id)
		runtime.Goexit()
	case 4:
		p.reset()
		runtime.Goexit()
	case 5: // in pieces
		p.say(status + "Transfer-Encoding: chunked\n")
		p.say(fmt.Sprintf("\n%x\n", len(id)))
		p.say(id)
		p.say("\n0\n\n")
	case 6:
		p.say("HTTP/1.1 103 Early Hints\nX-Id: no\n\n" + status + "Transfer-Encoding: chunked\n\n" + fmt.Sprintf("%x\n%s\n0\nX-Sum: 1\n\n", len(id), id))
	case 7: // more than a caller may want
		long := id + strings.Repeat(" ", 100_000)
		p.say(status + fmt.Sprintf("Content-Length: %d\n\n", len(long)) + long)
	default:
		p.say(status + fmt.Sprintf("Content-Length: %d\n\n", len(id)) + id)
	}
}

// ask sends a request of one of many kinds, and reports that it was answered.
func ask(t *testing.T, rt http.RoundTripper, id string) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if rand.IntN(2) == 0 {
		method, body = http.MethodPost, struct{ io.Reader }{strings.NewReader(id)}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://app.test/"+id, body)
	if err != nil {
		t.Error(err)
		return false
	}
	if body != nil && rand.IntN(2) == 0 {
		req.ContentLength = int64(len(id))
	}
	req.Header.Set("X-Id", id)
	leaves := rand.IntN(10)
	if leaves == 0 {
		go cancel()
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	if got := res.Header.Get("X-Id"); got != id {
		t.Errorf("request %s got the reply to %q", id, got)
	}
	if leaves == 1 {
		return true // with the body unread
	}
	got, err := io.ReadAll(res.Body)
	if whole := strings.TrimRight(string(got), " "); whole != id && (err == nil || !strings.HasPrefix(id, whole)) {
		t.Errorf("request %s got %.100q, %v", id, whole, err)
	}
	return err == nil
}
