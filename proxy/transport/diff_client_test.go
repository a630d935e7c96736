package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

const (
	diffMaxHeader = 64 << 10
	diffPatience  = 10 * time.Second
)

// diffExchange is a request, what the upstream does about it each time that it
// comes, and what the client does with the reply.
type diffExchange struct {
	request diffRequest
	replies []diffReply
	reads   int  // bytes of the body; -1: to its end
	held    bool // the body is read when the next exchange is over
}

// diffSequence makes up exchanges that follow one another on one transport.
func diffSequence(seed uint64) []diffExchange {
	g := diffGen{rand.New(rand.NewPCG(seed, 0))}
	seq := make([]diffExchange, 1+g.IntN(9))
	for i := range seq {
		last := i == len(seq)-1
		e := &seq[i]
		e.request, e.reads = g.request(last), -1
		e.replies = []diffReply{g.reply(&e.request, last)}
		switch {
		case last && g.in(8):
			g.upgrade(e)
		case g.in(600):
			g.gate(e)
		case !last && g.in(10) && e.request.body == nil && !e.replies[0].closes && !e.replies[0].surplus:
			e.held = true
		case g.in(12): // what a connection's end in this moment looks like
			gone := diffReply{closes: true}
			if g.in(3) {
				gone.rest = [][]byte{[]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[:1+g.IntN(37)])}
			}
			// With a second idle connection, stock tries that one, ours a fresh one.
			twice := slices.ContainsFunc(seq[:i], func(e diffExchange) bool { return e.held })
			if !twice && e.replies[0].early == nil {
				e.replies = []diffReply{gone, e.replies[0]}
			}
		case last && g.in(6):
			e.reads = g.IntN(400)
		}
	}
	return seq
}

// upgrade makes the exchange one that leaves HTTP.
func (g diffGen) upgrade(e *diffExchange) {
	h := e.request.header
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"echo"}
	delete(h, "Expect")
	e.request.method, e.request.body, e.request.length, e.request.te, e.request.trailer, e.request.broken = "GET", nil, 0, nil, nil, false
	w := &replyWriter{diffGen: g}
	w.interims(1)
	w.line("HTTP/1.1 101 Switching Protocols")
	w.line("Connection: %s", pick(g, "Upgrade", "upgrade", "keep-alive, Upgrade"))
	w.line("Upgrade: echo")
	w.fields()
	w.line("")
	w.WriteString(g.letters(g.IntN(3) * 50))
	e.replies = []diffReply{{rest: g.pieces(w.Bytes()), closes: true, upgrades: true}}
}

// gate makes the exchange one whose reply is there before the client has begun
// with the request's body, and does not wait for it.
func (g diffGen) gate(e *diffExchange) {
	delete(e.request.header, "Expect")
	e.request.method, e.request.close, e.request.te = "POST", false, nil
	e.request.body, e.request.length, e.request.trailer, e.request.broken = &diffUpload{gated: true}, pick[int64](g, -1, 9), nil, false
	e.replies = []diffReply{{early: []byte("HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno"), skipBody: true, closes: true}}
}

// diffSeen is what the client sees of an exchange.
type diffSeen struct {
	Failed         string
	Interim        []string
	Status, Proto  string
	Major, Minor   int
	Code           int
	Header         http.Header
	Length         int64
	Encoding       []string
	Close, Gunzip  bool
	Announced      []string // trailers, before the body is read
	Body           string
	BodyFailed     string
	Trailer        http.Header
	Writable       bool
	Request        bool // is the one that was sent
	ClosedAfterAll error
}

// diffResult is everything that a sequence leads to.
type diffResult struct {
	Seen  []diffSeen
	Conns []diffWire
	Fault []string // broken promises about the request's body
}

// diffWire is what arrived on one connection.
type diffWire struct {
	Requests []diffGot
	Late     string // came after the upstream had closed its side
}

// runDiff runs a sequence through one transport.
func runDiff(t *testing.T, up *diffUpstream, k kind, seq []diffExchange, seed uint64) *diffResult {
	ctx, cancel := context.WithTimeout(t.Context(), diffPatience)
	defer cancel()
	defer context.AfterFunc(ctx, up.abort)()
	up.start(seq)
	d := &diffDialer{address: up.ln.Addr().String(), seed: seed}
	rt := k.build(transport.Config{Network: "unix", Address: d.address, DialTimeout: patience, ContinueTimeout: time.Hour, IdleTimeout: time.Hour, MaxIdle: 8, MaxHeader: diffMaxHeader, Dial: d.dial})
	res := &diffResult{Seen: make([]diffSeen, len(seq))}
	var held []func()
	for i := range seq {
		e, seen := &seq[i], &res.Seen[i]
		up.next(i)
		req, body := e.request.build(traced(ctx, seen))
		reply, err := rt.RoundTrip(req)
		seen.of(reply, err)
		read := func() {
			if err == nil {
				seen.Request = reply.Request == req
				seen.read(reply, e.reads)
			}
			res.judge(i, k, body)
		}
		if e.held {
			held = append(held, read)
			continue
		}
		read()
		for _, read := range held {
			read()
		}
		held = nil
		up.rest(k.stock)
	}
	rt.CloseIdleConnections()
	conns, lost := up.finish(int(d.made.Load()))
	if lost {
		res.Fault = append(res.Fault, "did not come to an end")
	}
	for _, c := range conns {
		if len(c.got) > 0 { // a connection may be made for nothing
			res.Conns = append(res.Conns, diffWire{c.got, c.trailed})
		}
	}
	return res
}

func traced(ctx context.Context, seen *diffSeen) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		seen.Interim = append(seen.Interim, fmt.Sprint(code, sameFields(http.Header(h))))
		return nil
	}})
}

func (s *diffSeen) of(reply *http.Response, err error) {
	switch {
	case errors.Is(err, errUpload):
		s.Failed = "upload"
	case errors.Is(err, context.DeadlineExceeded):
		s.Failed = "hangs"
	case err != nil:
		s.Failed = "failed"
	default:
		s.Status, s.Proto, s.Major, s.Minor, s.Code = reply.Status, reply.Proto, reply.ProtoMajor, reply.ProtoMinor, reply.StatusCode
		s.Header, s.Length, s.Encoding, s.Close, s.Gunzip = sameFields(reply.Header), reply.ContentLength, reply.TransferEncoding, reply.Close, reply.Uncompressed
		for k, v := range reply.Trailer {
			s.Announced = append(s.Announced, fmt.Sprint(k, v))
		}
		slices.Sort(s.Announced)
	}
}

func (s *diffSeen) read(reply *http.Response, n int) {
	w, ok := reply.Body.(io.ReadWriter)
	if s.Writable = ok; ok {
		io.WriteString(w, "over to you")
		w.(interface{ CloseWrite() error }).CloseWrite()
	}
	var b []byte
	var err error
	if n >= 0 {
		b, err = io.ReadAll(io.LimitReader(reply.Body, int64(n)))
	} else {
		b, err = io.ReadAll(reply.Body)
	}
	s.Body = string(b)
	switch {
	case err != nil && strings.Contains(err.Error(), "unexpected EOF"):
		s.BodyFailed = "short"
	case errors.Is(err, context.DeadlineExceeded):
		s.BodyFailed = "hangs"
	case err != nil:
		s.BodyFailed = "failed"
	}
	s.ClosedAfterAll = reply.Body.Close()
	s.Trailer = reply.Trailer.Clone()
}

// judge looks at what was done to the body of request i when its exchange is
// over.
func (r *diffResult) judge(i int, k kind, b *diffBody) {
	if b == nil {
		return
	}
	if k.stock && b.spec.gated {
		b.Close() // it would wait for ever
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.stock {
		return
	}
	if b.inside > 0 || b.closes != 1 {
		r.Fault = append(r.Fault, fmt.Sprintf("%d: the body of the request: closed %d times, read now: %v", i, b.closes, b.inside > 0))
	}
}
