package transport_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

// patience bounds what must happen by itself: it is a net under the tests, and
// none of them waits for it to run out.
const patience = 10 * time.Second

type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// kind is one of the transports that a case is run against. The stock one
// shows that a case expects what the world is used to; where ours differs on
// purpose, the case says so.
type kind struct {
	name  string
	stock bool
	build func(transport.Config) roundTripper
}

var (
	ours  = kind{"ours", false, func(c transport.Config) roundTripper { return transport.New(c) }}
	stock = kind{"stock", true, func(c transport.Config) roundTripper {
		dial := c.Dial
		if dial == nil {
			dial = (&net.Dialer{Timeout: c.DialTimeout}).DialContext
		}
		return &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, c.Network, c.Address)
			},
			DisableCompression:     true,
			ResponseHeaderTimeout:  c.HeaderTimeout,
			ExpectContinueTimeout:  c.ContinueTimeout,
			IdleConnTimeout:        c.IdleTimeout,
			MaxIdleConnsPerHost:    c.MaxIdle,
			MaxConnsPerHost:        c.MaxConns,
			MaxResponseHeaderBytes: int64(c.MaxHeader),
		}
	}}
)

// each runs a case against both transports, and looks afterwards for what was
// left behind.
func each(t *testing.T, run func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range []kind{ours, stock} {
		t.Run(k.name, func(t *testing.T) {
			nothingLeft(t)
			run(t, k)
		})
	}
}

// open builds the transport for an upstream. Limits that c does not give are
// wide ones; its idle connections are closed at the end of the test.
func (k kind) open(t testing.TB, up *upstream, c transport.Config) roundTripper {
	t.Helper()
	c.Network, c.Address = up.network, up.address
	if c.Dial == nil {
		c.Dial = up.dial
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = 8
	}
	if c.MaxHeader == 0 {
		c.MaxHeader = 64 << 10
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = patience
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = patience
	}
	if c.ContinueTimeout == 0 {
		c.ContinueTimeout = patience
	}
	rt := k.build(c)
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

// upload is a request body that keeps account of what is done to it.
type upload struct {
	r      io.Reader
	closed chan struct{} // closed by the first Close

	closes, inside, late atomic.Int32
	resting              atomic.Bool
}

// newUpload checks at the end of the test that the body was closed exactly
// once. Close closes r too, if it can be.
func newUpload(t testing.TB, r io.Reader) *upload {
	u := &upload{r: r, closed: make(chan struct{})}
	t.Cleanup(func() {
		select {
		case <-u.closed: // the stock transport may do so later
		case <-time.After(patience):
		}
		if n := u.closes.Load(); n != 1 {
			t.Errorf("the request body was closed %d times", n)
		}
		if u.late.Load() > 0 {
			t.Error("the request body was read when its request was over")
		}
	})
	return u
}

func (u *upload) Read(b []byte) (int, error) {
	u.inside.Add(1)
	defer u.inside.Add(-1)
	if u.resting.Load() {
		u.late.Add(1)
	}
	return u.r.Read(b)
}

func (u *upload) Close() error {
	if c, ok := u.r.(io.Closer); ok {
		c.Close()
	}
	if u.closes.Add(1) == 1 {
		close(u.closed)
	}
	return nil
}

// atRest fails unless the body is closed and nobody is inside of Read, and
// forbids every further Read.
func (u *upload) atRest(t testing.TB) {
	t.Helper()
	u.resting.Store(true)
	if u.inside.Load() > 0 || u.closes.Load() == 0 {
		t.Error("the request body is still in use")
	}
}

// newRequest is a request to the upstream that gives up when the test's
// patience is over. An upload's length is -1, unknown, until it is set.
func newRequest(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "http://app.test"+target, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := body.(*upload); ok {
		req.ContentLength = -1
	}
	req.Header["User-Agent"] = nil // the stock transport would name itself
	return req
}

// do sends a request that must be answered, and reads the reply to its end.
func do(t testing.TB, rt http.RoundTripper, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the body of %s: %v", res.Status, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// await waits for something that must happen.
func await[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("still waiting: %s", what)
	}
	return v
}

// nothingLeft checks at the end of the test, behind all other clean-up, that
// neither goroutines nor sockets are left. Tests that use it are not parallel.
func nothingLeft(t testing.TB) {
	before, known := sockets(), strays(nil)
	t.Cleanup(func() {
		for start := time.Now(); ; runtime.Gosched() {
			g, n := strays(known), sockets()-before
			if len(g) == 0 && n <= 0 {
				return
			}
			if time.Since(start) > patience/4 {
				t.Errorf("%d sockets and these goroutines are left:\n%s", n, strings.Join(slices.Collect(maps.Values(g)), "\n\n"))
				return
			}
		}
	})
}

func sockets() (n int) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// strays are the goroutines of transports and upstreams, by their numbers, but
// for those that are known.
func strays(known map[string]string) map[string]string {
	b := make([]byte, 1<<20)
	b = b[:runtime.Stack(b, true)]
	left := map[string]string{}
	for g := range strings.SplitSeq(string(b), "\n\n") {
		if strings.Contains(g, "transport_test.strays") {
			continue
		}
		for _, of := range []string{"wxgate/proxy/transport.", "net/http.(*Transport)", "net/http.(*persistConn)", "transport_test.(*upstream)"} {
			number, _, _ := strings.Cut(g, " [")
			if _, ok := known[number]; !ok && strings.Contains(g, of) {
				left[number] = g
			}
		}
	}
	return left
}
