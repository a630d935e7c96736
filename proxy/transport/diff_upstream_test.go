package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// diffUpstream follows the script of one sequence of exchanges and keeps what
// it was sent. It listens on a unix socket, since what one side of it does is
// seen at once by the other: whether a connection is still alive does not
// depend on the moment of asking.
type diffUpstream struct {
	ln   net.Listener
	wg   sync.WaitGroup
	turn sync.Cond

	mu    sync.Mutex // all of the following
	seq   []diffExchange
	at    int // the exchange that goes on
	tries int // of it
	busy  int // scripts that run
	conns []*diffConn
	lost  bool // patience has run out
}

// diffConn is one connection as the upstream saw it.
type diffConn struct {
	net.Conn
	got     []diffGot
	over    bool // the upstream has closed it or sent too much
	ended   bool
	trailed string // what came after the upstream closed its side
}

// diffGot is one request as it arrived.
type diffGot struct {
	Exchange            int
	Head, Body, Trailer string
	Cut                 bool // the connection ended within it
}

func newDiffUpstream(t testing.TB) *diffUpstream {
	dir, err := os.MkdirTemp("", "diff")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	u := &diffUpstream{ln: ln}
	u.turn.L = &u.mu
	u.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			d := &diffConn{Conn: c}
			u.conns = append(u.conns, d)
			u.turn.Broadcast()
			u.mu.Unlock()
			u.wg.Go(func() { u.serve(d) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		u.abort()
		u.wg.Wait()
		os.RemoveAll(dir)
	})
	return u
}

func (u *diffUpstream) start(seq []diffExchange) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seq, u.conns, u.lost = seq, nil, false
}

// next says which exchange a request belongs to that comes from now on.
func (u *diffUpstream) next(i int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at, u.tries = i, 0
}

// rest waits until no script runs; and, if so told, until the other side has
// seen which connections are of no use any more, and has closed them. The
// stock transport learns that from a goroutine, ours looks when it needs one.
func (u *diffUpstream) rest(noticed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.busy > 0 {
		u.turn.Wait()
	}
	for _, c := range u.conns {
		for noticed && c.over && !c.ended {
			u.turn.Wait()
		}
	}
}

// finish waits until the other side has closed every connection that it made.
func (u *diffUpstream) finish(made int) (conns []*diffConn, lost bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.conns) < made && !u.lost {
		u.turn.Wait()
	}
	for _, c := range u.conns {
		for !c.ended {
			u.turn.Wait()
		}
	}
	return u.conns, u.lost
}

// abort is for when nothing moves any more.
func (u *diffUpstream) abort() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lost = true
	u.turn.Broadcast()
	for _, c := range u.conns {
		c.Close()
	}
}

func (u *diffUpstream) serve(c *diffConn) {
	br := bufio.NewReader(c)
	for u.exchange(c, br) {
	}
	c.Close()
	u.mu.Lock()
	c.ended = true
	u.turn.Broadcast()
	u.mu.Unlock()
}

func (u *diffUpstream) exchange(c *diffConn, br *bufio.Reader) (more bool) {
	head, err := readUntilEmpty(br)
	if head == "" {
		return false
	}
	u.mu.Lock()
	script := u.seq[u.at].replies
	r := script[min(u.tries, len(script)-1)]
	got := diffGot{Exchange: u.at, Head: inOrder(head), Cut: err != nil}
	u.tries++
	u.busy++
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		c.got = append(c.got, got)
		c.over = c.over || r.surplus || !more
		u.busy--
		u.turn.Broadcast()
		u.mu.Unlock()
		if r.closes {
			b, _ := io.ReadAll(br)
			c.trailed = string(b)
		}
	}()
	if err != nil {
		return false
	}
	c.Write(r.early)
	if !r.skipBody {
		if got.Body, got.Trailer, err = readUpload(br, head); err != nil {
			got.Cut = true
			return false
		}
	}
	for _, b := range r.rest {
		c.Write(b) // if nobody listens any more, that shows in what comes next
	}
	if r.upgrades {
		io.Copy(c, br)
	}
	if r.closes {
		c.Conn.(*net.UnixConn).CloseWrite()
	}
	return !r.closes
}

// readUntilEmpty reads lines to the first empty one.
func readUntilEmpty(br *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// readUpload reads a request's body as strictly as one can.
// inOrder sorts the fields of a header by their names: their order across names
// is of no meaning (RFC 9110, section 5.3), and only stock keeps to one.
func inOrder(head string) string {
	lines := strings.SplitAfter(head, "\r\n")
	if len(lines) < 3 {
		return head
	}
	fields := lines[1 : len(lines)-2]
	slices.SortStableFunc(fields, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	return strings.Join(lines, "")
}

func readUpload(br *bufio.Reader, head string) (body, trailer string, err error) {
	var b strings.Builder
	if _, after, ok := strings.Cut(head, "\r\nContent-Length: "); ok {
		digits, _, _ := strings.Cut(after, "\r\n")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil {
			_, err = io.CopyN(&b, br, n)
		}
		return b.String(), "", err
	}
	if !strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n") {
		return "", "", nil
	}
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return b.String(), "", err
		}
		size, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 31)
		if err != nil {
			return b.String(), "", fmt.Errorf("chunk of size %q", line)
		}
		if size == 0 {
			trailer, err = readUntilEmpty(br)
			return b.String(), trailer, err
		}
		if _, err := io.CopyN(&b, br, int64(size)); err != nil {
			return b.String(), "", err
		}
		if end, err := br.ReadString('\n'); err != nil || end != "\r\n" {
			return b.String(), "", errors.Join(err, fmt.Errorf("chunk ended by %q", end))
		}
	}
}

// diffDialer makes the connections of one transport. They read in pieces of
// any size, cut in the same places for every transport.
type diffDialer struct {
	address string
	seed    uint64
	made    atomic.Int64
}

type diffClientConn struct {
	*net.UnixConn
	g    diffGen
	most int // bytes of a read
	left int // bytes until reads are not cut any more
}

func (d *diffDialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", d.address)
	if err != nil {
		return nil, err
	}
	g := diffGen{rand.New(rand.NewPCG(d.seed, uint64(d.made.Add(1))))}
	return &diffClientConn{UnixConn: c.(*net.UnixConn), g: g, most: pick(g, 1, 3, 40, 4096, 1<<20), left: 2500}, nil
}

func (c *diffClientConn) Read(p []byte) (int, error) {
	if c.left > 0 && len(p) > 0 {
		p = p[:min(len(p), 1+c.g.IntN(c.most))]
	}
	n, err := c.UnixConn.Read(p)
	c.left -= n
	return n, err
}
