package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"wxgate/proxy/transport"
)

// turns is an upstream whose replies wait until the test calls them, and that
// notes the order in which requests came.
type turns struct {
	*upstream
	order chan string
	reply chan string
}

func newTurns(t *testing.T) *turns {
	w := &turns{order: make(chan string, 100), reply: make(chan string)}
	w.upstream = newPipeUpstream(t, func(p *peer) {
		for {
			_, target, _ := strings.Cut(p.head(), " ")
			target, _, _ = strings.Cut(target, " ")
			w.order <- target
			reply, ok := <-w.reply
			if !ok || reply == "" {
				return
			}
			p.say(reply)
		}
	})
	return w
}

// send sends a request on a goroutine of its own, and reads its reply.
func send(ctx context.Context, t *testing.T, rt http.RoundTripper, target string) <-chan error {
	done := make(chan error, 1)
	req := newRequest(t, "GET", target, nil).WithContext(ctx)
	go func() {
		res, err := rt.RoundTrip(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		done <- err
	}()
	return done
}

// Those who wait for a place get one in the order in which they came; those
// who give up are passed over.
func TestMaxConnsInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		up := newTurns(t)
		rt := k.open(t, up.upstream, transport.Config{MaxConns: 1})
		ctx, cancel := context.WithCancel(t.Context())
		why := errors.New("the visitor left")
		leaving, leave := context.WithCancelCause(t.Context())
		defer cancel()
		var done []<-chan error
		for _, target := range []string{"/0", "/1", "/gone", "/2", "/3"} {
			if target == "/gone" {
				done = append(done, send(leaving, t, rt, target))
			} else {
				done = append(done, send(ctx, t, rt, target))
			}
			synctest.Wait() // it waits in its place now
		}
		leave(why)
		if err := await(t, done[2], "the one who gave up"); !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
		for range 4 {
			up.reply <- own
		}
		for n, d := range done {
			if n != 2 {
				if err := await(t, d, "a reply"); err != nil {
					t.Error(err)
				}
			}
		}
		close(up.order)
		var order []string
		for target := range up.order {
			order = append(order, target)
		}
		if want := []string{"/0", "/1", "/2", "/3"}; !slices.Equal(order, want) || up.count() != 1 {
			t.Errorf("order %q over %d connections", order, up.count())
		}
		rt.CloseIdleConnections()
	})
}

// A place is given on however its connection ends.
func TestMaxConnsAfterAnEnd(t *testing.T) {
	for _, reply := range []string{
		"HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n",
		"garbage\n\n",
		"", // hangs up
	} {
		inBubble(t, func(t *testing.T, k kind) {
			up := newTurns(t)
			rt := k.open(t, up.upstream, transport.Config{MaxConns: 2})
			var done []<-chan error
			for range 6 {
				done = append(done, send(t.Context(), t, rt, "/"))
			}
			synctest.Wait()
			if n := up.count(); n != 2 {
				t.Errorf("%d connections at once", n)
			}
			for range done {
				up.reply <- reply
			}
			for _, d := range done {
				await(t, d, "a reply or an error")
			}
			if n := up.count(); n != 6 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A reply whose body is still read keeps its place; to close it gives the
// place on.
func TestMaxConnsWhileABodyIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		up := newTurns(t)
		rt := k.open(t, up.upstream, transport.Config{MaxConns: 1})
		go func() { up.reply <- "HTTP/1.1 200 OK\nContent-Length: 10\n\nhello" }()
		res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		next := send(t.Context(), t, rt, "/next")
		synctest.Wait()
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
		res.Body.Close()
		close(up.reply) // ends the first script
		synctest.Wait()
		if err := await(t, next, "the next"); err == nil || up.count() != 2 {
			t.Errorf("error %v over %d connections", err, up.count())
		}
	})
}

// Places of connections that could not be made are places again.
func TestMaxConnsAndDialErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		up := newTurns(t)
		refused := errors.New("refused")
		dial := up.dial
		fails := make(chan bool)
		up.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if <-fails {
				return nil, refused
			}
			return dial(ctx, network, address)
		}
		rt := k.open(t, up.upstream, transport.Config{MaxConns: 1})
		var done []<-chan error
		for range 3 {
			done = append(done, send(t.Context(), t, rt, "/"))
			synctest.Wait()
		}
		for n, fail := range []bool{true, true, false} {
			fails <- fail
			if !fail {
				up.reply <- own
			}
			if err := await(t, done[n], "an answer"); errors.Is(err, refused) != fail {
				t.Errorf("request %d: error %v", n, err)
			}
		}
	})
}

// After a peak only so many connections are kept.
func TestMaxIdle(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		up := newTurns(t)
		rt := k.open(t, up.upstream, transport.Config{MaxIdle: 2})
		for peak := range 2 {
			var done []<-chan error
			for range 5 {
				done = append(done, send(t.Context(), t, rt, "/"))
			}
			synctest.Wait()
			for range done {
				up.reply <- own
			}
			for _, d := range done {
				if err := await(t, d, "a reply"); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			if n, want := up.count(), []int{5, 8}[peak]; n != want {
				t.Errorf("%d connections, want %d", n, want)
			}
		}
	})
}

// Only idle connections are closed.
func TestCloseIdleConnections(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		held, goOn, gone := make(chan bool), make(chan bool), make(chan bool)
		up := newUpstream(t, func(p *peer) {
			if strings.Contains(p.head(), "/held") {
				held <- true
				<-goOn
				p.say(own)
				p.drain()
				return
			}
			p.say(own)
			p.drain()
			close(gone)
		})
		rt := k.open(t, up, transport.Config{})
		heldDone := send(newRequest(t, "GET", "/", nil).Context(), t, rt, "/held")
		await(t, held, "the request")
		do(t, rt, newRequest(t, "GET", "/idle", nil))
		rt.CloseIdleConnections()
		await(t, gone, "the end of the idle connection")
		close(goOn)
		if err := await(t, heldDone, "the reply"); err != nil {
			t.Error(err)
		}
	})
}

// A request over a unix socket names the host of its URL, not the socket.
func TestUnixSocket(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUnixUpstream(t, func(p *peer) {
			for {
				if req, body := p.request(); req.Host != "app.test" || body != "hello" {
					t.Errorf("host %q, body %q", req.Host, body)
				}
				p.say(own)
			}
		})
		rt := k.open(t, up, transport.Config{})
		for range 3 {
			if _, body := do(t, rt, newRequest(t, "POST", "/", newUpload(t, strings.NewReader("hello")))); body != "own" {
				t.Errorf("got %q", body)
			}
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}
