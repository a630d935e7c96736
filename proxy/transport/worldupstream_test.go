package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is the app next door, down to its bytes: a script is run for each
// connection, and the connection is closed when the script returns.
type upstream struct {
	network, address string
	dial             func(ctx context.Context, network, address string) (net.Conn, error) // nil: a real socket
	over             chan struct{}                                                        // closed when the test is over

	script    func(*peer)
	stop      func() // no more connections
	finishing sync.Once
	running   sync.WaitGroup
	mu        sync.Mutex
	peers     []*peer
}

func newUpstream(t testing.TB, script func(*peer)) *upstream {
	t.Helper()
	return listen(t, "tcp", "127.0.0.1:0", script)
}

func newUnixUpstream(t testing.TB, script func(*peer)) *upstream {
	t.Helper()
	dir, err := os.MkdirTemp("", "up") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return listen(t, "unix", filepath.Join(dir, "s"), script)
}

// newPipeUpstream is reached through net.Pipe, for use inside of a synctest
// bubble. A pipe holds no bytes: each side's write waits for the other's read.
func newPipeUpstream(t testing.TB, script func(*peer)) *upstream {
	u := &upstream{network: "tcp", address: "pipe:1", over: make(chan struct{}), script: script}
	u.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		u.serve(far)
		return near, ctx.Err()
	}
	u.stop = func() {}
	t.Cleanup(func() { u.finish(t) })
	return u
}

func listen(t testing.TB, network, address string, script func(*peer)) *upstream {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{network: network, address: ln.Addr().String(), over: make(chan struct{}), script: script}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			u.serve(c)
		}
	}()
	u.stop = func() { ln.Close(); <-accepting }
	t.Cleanup(func() { u.finish(t) })
	return u
}

func (u *upstream) serve(c net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := &peer{Conn: c, up: u, n: len(u.peers)}
	p.R = bufio.NewReader(recorder{p})
	u.peers = append(u.peers, p)
	u.running.Go(func() {
		defer c.Close()
		u.script(p)
	})
}

// finish waits until every script has come to its end, and returns all that
// was read, by connection. The transport's idle connections must have been
// closed before.
func (u *upstream) finish(t testing.TB) (got []string) {
	u.finishing.Do(func() {
		u.stop()
		close(u.over)
		done := make(chan struct{})
		go func() { u.running.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("a connection to the upstream was left open, or its script does not end")
			for _, p := range u.peers {
				p.Close()
			}
			<-done
		}
	})
	for n := range u.count() {
		got = append(got, u.got(n))
	}
	return got
}

// count is how many connections have been accepted.
func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.peers)
}

// got is every byte that has been read from connection n; a script that wants
// it to be all that was sent calls drain.
func (u *upstream) got(n int) string {
	u.mu.Lock()
	p := u.peers[n]
	u.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read.String()
}

// peer is one connection as the upstream has it. Its methods are for the
// script's goroutine. Those that read end the script when the connection ends.
type peer struct {
	net.Conn
	R  *bufio.Reader
	up *upstream
	n  int // the connection's number, from 0

	mu   sync.Mutex
	read strings.Builder
}

type recorder struct{ p *peer }

func (r recorder) Read(b []byte) (int, error) {
	n, err := r.p.Conn.Read(b)
	r.p.mu.Lock()
	r.p.read.Write(b[:n])
	r.p.mu.Unlock()
	return n, err
}

// head reads a request's header, with the empty line at its end.
func (p *peer) head() string {
	var b strings.Builder
	for {
		line, err := p.R.ReadString('\n')
		if err != nil {
			runtime.Goexit()
		}
		b.WriteString(line)
		if line == "\r\n" {
			return b.String()
		}
	}
}

// take reads n bytes.
func (p *peer) take(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.R, b); err != nil {
		runtime.Goexit()
	}
	return string(b)
}

// request reads a whole request, with the standard library's reader.
func (p *peer) request() (req *http.Request, body string) {
	req, err := http.ReadRequest(p.R)
	if err != nil {
		runtime.Goexit()
	}
	b, err := io.ReadAll(req.Body)
	if err != nil {
		runtime.Goexit()
	}
	return req, string(b)
}

// say writes, each "\n" as "\r\n". An error is not looked at: that the other
// side is gone shows when the script reads.
func (p *peer) say(s string) { p.raw(strings.ReplaceAll(s, "\n", "\r\n")) }

// raw writes the bytes as they are.
func (p *peer) raw(s string) { io.WriteString(p.Conn, s) }

// drain reads until the other side closes.
func (p *peer) drain() { io.Copy(io.Discard, p.R) }

// hang neither reads nor writes until the test is over.
func (p *peer) hang() { <-p.up.over }

// hangUp sends a FIN and goes on reading until the other side closes.
func (p *peer) hangUp() {
	p.Conn.(interface{ CloseWrite() error }).CloseWrite()
	p.drain()
}

// reset ends the connection with a RST.
func (p *peer) reset() {
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}
