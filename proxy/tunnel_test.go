package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// socketPair returns two joined connections: near is for the gateway. Those of
// "tls" speak TLS over TCP, as an app at https does.
func socketPair(t testing.TB, network string) (near, far net.Conn) {
	t.Helper()
	if network == "pipe" {
		near, far = net.Pipe()
	} else {
		address, kind := "127.0.0.1:0", "tcp"
		if network == "unix" {
			address, kind = filepath.Join(t.TempDir(), "app"), "unix"
		}
		ln, err := net.Listen(kind, address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if near, err = net.Dial(kind, ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if far, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	if network == "tls" {
		server := tls.Server(far, &tls.Config{Certificates: testCertificates()})
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
		shaken := make(chan error)
		go func() { shaken <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		near, far = client, server
	}
	return near, far
}

var testCertificates = sync.OnceValue(func() []tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates
})

// joint is a tunnel, seen from both of its far ends.
type joint struct {
	t           *testing.T
	client, app net.Conn
	tunnel      stream
	over        chan [2]int64
}

// join makes a tunnel of the registry's; its end is told once.
func (b *board) join(key, clients, apps, early, first string) *joint {
	b.t.Helper()
	j := &joint{t: b.t, over: make(chan [2]int64, 1)}
	var nearClient, nearApp net.Conn
	nearClient, j.client = socketPair(b.t, clients)
	nearApp, j.app = socketPair(b.t, apps)
	b.tunnel(key, nearClient, []byte(early), nearApp, []byte(first), func(in, out int64) {
		b.ended.Add(1)
		j.over <- [2]int64{in, out}
	})
	b.begun++
	b.mu.Lock()
	j.tunnel = b.by[key].stream
	b.mu.Unlock()
	return j
}

// board is a registry of streams that is checked for leftovers in the end.
type board struct {
	*streams
	t     *testing.T
	begun int
	ended atomic.Int64
}

func newBoard(t *testing.T) *board {
	testCertificates()
	b := &board{newStreams(NewMetrics("test", "go")), t, 0, atomic.Int64{}}
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		eventually(t, "all pumps end", func() bool { return runtime.NumGoroutine() <= before && int(b.ended.Load()) >= b.begun })
		if n, open := len(b.keys()), b.gauge(); n != 0 || open != 0 || int(b.ended.Load()) != b.begun {
			t.Errorf("%d sessions are left, %v WebSockets counted, %d of %d told their end", n, open, b.ended.Load(), b.begun)
		}
	})
	return b
}

func (b *board) gauge() float64 {
	b.t.Helper()
	families, err := b.metrics.Registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "wxgate_websockets_open" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	b.t.Fatal("no gauge")
	return 0
}

// wantOver waits for the end and compares what was counted; -1 is anything.
func (j *joint) wantOver(in, out int64) {
	j.t.Helper()
	if got := <-j.over; in >= 0 && got[0] != in || out >= 0 && got[1] != out {
		j.t.Errorf("%d bytes in, %d out were counted, not %d and %d", got[0], got[1], in, out)
	}
}

// carries sends a text through and reads it at the other end.
func (j *joint) carries(from, to net.Conn, text string) {
	j.t.Helper()
	sent := make(chan error)
	go func() {
		_, err := io.WriteString(from, text)
		sent <- err
	}()
	got := make([]byte, len(text))
	n, err := io.ReadFull(to, got)
	if err = errors.Join(err, <-sent); err != nil || string(got) != text {
		j.t.Fatalf("%q of %q: %v", got[:n], text, err)
	}
}

// rest is what still comes until the peer has nothing more to say.
func (j *joint) rest(c net.Conn, want string) {
	j.t.Helper()
	if got, err := io.ReadAll(c); err != nil || string(got) != want {
		j.t.Errorf("at the end %q, %v", got, err)
	}
}

func halfClose(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// sendInPieces writes in sizes from one byte to more than a buffer.
func sendInPieces(c net.Conn, b []byte, rnd *rand.Rand) error {
	for len(b) > 0 {
		n := min(len(b), 1+rnd.IntN(1<<(1+rnd.IntN(17))))
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Both directions at once, from the early bytes to the last ones.
func TestTunnelCarriesAll(t *testing.T) {
	for _, c := range [][2]string{{"tcp", "tcp"}, {"tcp", "unix"}, {"unix", "unix"}, {"tcp", "tls"}, {"tls", "tcp"}, {"tcp", "pipe"}, {"pipe", "tcp"}} {
		t.Run(c[0]+" "+c[1], func(t *testing.T) {
			b := newBoard(t)
			rnd := rand.New(rand.NewPCG(1, 2))
			up, down := randomBytes(rnd, 2<<20), randomBytes(rnd, 3<<20)
			j := b.join("a", c[0], c[1], string(up[:5000]), string(down[:70000]))
			if b.gauge() != 1 {
				t.Error("it is not counted")
			}
			var both sync.WaitGroup
			way := func(from, to net.Conn, all []byte, had int, seed uint64) {
				both.Go(func() {
					if err := sendInPieces(from, all[had:], rand.New(rand.NewPCG(seed, 0))); err != nil {
						t.Error(err)
					}
				})
				both.Go(func() {
					got := make([]byte, len(all))
					if n, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, all) {
						t.Errorf("%d of %d bytes, or others: %v", n, len(all), err)
					}
				})
			}
			way(j.client, j.app, up, 5000, 1)
			way(j.app, j.client, down, 70000, 2)
			both.Wait()
			j.client.Close()
			j.rest(j.app, "")
			j.app.Close()
			j.wantOver(int64(len(up)), int64(len(down)))
		})
	}
}

// Who has nothing more to say may still listen.
func TestTunnelHalfClose(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		for _, clientFirst := range []bool{true, false} {
			b := newBoard(t)
			j := b.join("a", network, network, "", "")
			quiet, talker := j.client, j.app
			if !clientFirst {
				quiet, talker = j.app, j.client
			}
			j.carries(quiet, talker, "the last word")
			halfClose(t, quiet)
			j.rest(talker, "")
			for _, text := range []string{"not mine", "nor that"} {
				j.carries(talker, quiet, text)
			}
			if b.gauge() != 1 {
				t.Error("half an end counts as one")
			}
			halfClose(t, talker)
			j.rest(quiet, "")
			if clientFirst {
				j.wantOver(13, 16)
			} else {
				j.wantOver(16, 13)
			}
		}
	}
}

// Where the end of one direction cannot be passed on, it is the end of both.
func TestTunnelWithoutHalfClose(t *testing.T) {
	b := newBoard(t)
	j := b.join("a", "tcp", "pipe", "", "")
	j.carries(j.client, j.app, "hello")
	halfClose(t, j.client)
	j.rest(j.app, "")
	j.rest(j.client, "")
	j.wantOver(5, 0)
}

// A side that breaks off takes the other one along, even if that one is silent.
func TestTunnelReset(t *testing.T) {
	for _, clientBreaks := range []bool{true, false} {
		b := newBoard(t)
		j := b.join("a", "tcp", "tcp", "", "")
		broken, other := j.client, j.app
		if !clientBreaks {
			broken, other = j.app, j.client
		}
		j.carries(other, broken, "hello")
		broken.(*net.TCPConn).SetLinger(0)
		broken.Close()
		j.rest(other, "")
		j.wantOver(-1, -1)
	}
}
