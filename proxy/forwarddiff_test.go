package proxy

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Generated exchanges go through the gateway, on a public path and without a
// session, and through the standard library's reverse proxy, each with raw
// bytes on both of its sides. The two may differ in what forwarddiffjudge_test.go
// lists, and in nothing else.

const throughOurs, throughStock = 0, 1

var sides = [2]string{"the gateway", "the standard proxy"}

// trials are what the apps and the clients of both sides go by.
type trials struct {
	t    *testing.T
	all  []*trial
	host string    // that every client asks for
	way  [2]string // addresses of the two proxies
	app  [2]string // and of the apps behind them
}

func newTrials(t *testing.T) *trials {
	d := &trials{t: t}
	targets := [2]*url.URL{}
	for side := range targets {
		targets[side] = newHands(t, func(c net.Conn, br *bufio.Reader) { d.serve(side, c, br) })
		d.app[side] = targets[side].Host
	}
	w := newWorld(t, 1, nil, upstreamAt(targets[throughOurs]), rules("public /"))
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, ExpectContinueTimeout: 5 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	other := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(targets[throughStock])
			p.Out.Host = p.In.Host
			p.Out.URL.RawQuery = p.In.URL.RawQuery
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	t.Cleanup(other.Close)
	d.host = w.addr()
	d.way = [2]string{w.addr(), strings.TrimPrefix(other.URL, "http://")}
	return d
}

// serve is the app.
func (d *trials) serve(side int, c net.Conn, br *bufio.Reader) {
	for {
		m, err := readHeadOf(br)
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.Join(m.values("X-Trial"), "?"))
		if err != nil {
			d.t.Errorf("%s lost the number of a request: %q", sides[side], m.fields)
			return
		}
		q := d.all[n]
		if q.expects {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		m.readBody(br, false)
		q.got[side] = append(q.got[side], m)
		for _, text := range append(slices.Clone(q.interim), q.reply...) {
			io.WriteString(c, strings.ReplaceAll(text, "{app}", d.app[side]))
		}
		if q.hangsUp {
			return
		}
	}
}

// outcome is what a client saw of a trial.
type outcome struct {
	*message
	interim []*message
	open    bool // the connection can be used again
}

// client asks all of the questions, as many on each connection as it may.
func (d *trials) client(side int, plan []*trial) (all []outcome, err error) {
	var c net.Conn
	var br *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for _, q := range plan {
		if c == nil {
			if c, err = net.Dial("tcp", d.way[side]); err != nil {
				return all, err
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			br = bufio.NewReader(c)
		}
		var o outcome
		io.WriteString(c, q.head)
		if q.expects {
			if o.message, err = readHeadOf(br); err != nil || o.status() != 100 {
				return all, fmt.Errorf("trial %d, %s: %v instead of a 100", q.n, sides[side], err)
			}
		}
		for _, piece := range q.body {
			io.WriteString(c, piece)
		}
		o.message, o.interim, err = readAnswer(br, q.method)
		if err != nil && q.cut {
			o.message = &message{} // it was never sent
		} else if err != nil {
			return all, fmt.Errorf("trial %d, %s: %w\n%s", q.n, sides[side], err, q.head)
		}
		o.open = o.whole && o.framing != "close" && !o.has("Connection", "close") && (q.minor == 1 || o.has("Connection", "keep-alive"))
		if !o.open {
			if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
				return all, fmt.Errorf("trial %d, %s: behind the answer came %.100q, %v", q.n, sides[side], rest, err)
			}
			c.Close()
			c = nil
		}
		all = append(all, o)
	}
	return all, nil
}

func TestForwardingIsThatOfTheStandardProxy(t *testing.T) {
	const connections, workers = 900, 8
	d := newTrials(t)
	r := rand.New(rand.NewPCG(7, 2026))
	var plans [][]*trial
	for range connections {
		var plan []*trial
		for range 1 + r.IntN(5) {
			q := newTrial(r, len(d.all), d.host)
			d.all, plan = append(d.all, q), append(plan, q)
		}
		plans = append(plans, plan)
	}
	if len(d.all) < 1500 {
		t.Fatalf("only %d exchanges", len(d.all))
	}
	work := make(chan []*trial)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for plan := range work {
				var seen [2][]outcome
				for side := range seen {
					var err error
					if seen[side], err = d.client(side, plan); err != nil {
						t.Error(err)
					}
				}
				for i := range min(len(seen[throughOurs]), len(seen[throughStock])) {
					d.judge(plan[i], seen[throughOurs][i], seen[throughStock][i])
				}
			}
		})
	}
	for _, plan := range plans {
		if t.Failed() {
			break // one difference says as much as hundreds
		}
		work <- plan
	}
	close(work)
	all.Wait()
}

// judge compares one exchange, as the app and as the client saw it.
func (d *trials) judge(q *trial, a, b outcome) {
	differ := func(what string, x, y any) {
		if fx, fy := fmt.Sprintf("%.300q", x), fmt.Sprintf("%.300q", y); fx != fy {
			d.t.Errorf("trial %d, %s\n%s: %s\n%s: %s\nasked: %.1500q\nreply: %.600q", q.n, what, sides[throughOurs], fx, sides[throughStock], fy, q.head, q.reply)
		}
	}
	if len(q.got[throughOurs]) != 1 || len(q.got[throughStock]) != 1 {
		d.t.Errorf("trial %d arrived %d and %d times: %.1500q; answered %q", q.n, len(q.got[throughOurs]), len(q.got[throughStock]), q.head, a.line)
		return
	}
	x, y := q.got[throughOurs][0], q.got[throughStock][0]
	if want := q.method + " " + q.target + " HTTP/1.1"; x.line != want {
		d.t.Errorf("trial %d arrived as %q, not %q", q.n, x.line, want)
	}
	if !x.whole {
		d.t.Errorf("trial %d: its body broke off", q.n)
	}
	differ("header at the app", d.oursAtApp(q, x.fields), stockAtApp(y.fields))
	differ("framing at the app", x.framing, y.framing)
	if x.body != y.body || x.body != q.content {
		d.t.Errorf("trial %d: %d and %d bytes of %d arrived", q.n, len(x.body), len(y.body), len(q.content))
	}
	differ("trailer at the app", x.trailer, trailerWanted(q))

	if q.cut {
		// How much of it comes is a question of buffers. HTTP/1.0 cannot tell.
		if (a.whole || b.whole) && q.minor == 1 || a.open || b.open {
			d.t.Errorf("trial %d: an answer that broke off came to an end", q.n)
		}
		return
	}
	differ("status line", a.line, b.line)
	differ("interim answers", interimOf(q, a, false), interimOf(q, b, true))
	differ("header of the answer", d.answerHeader(q, throughOurs, a), d.answerHeader(q, throughStock, b))
	differ("body of the answer", a.body, b.body)
	differ("trailer of the answer", answerTrailer(q, a, false), answerTrailer(q, b, true))
	if a.framing == b.framing {
		differ("connection afterwards", a.open, b.open)
	}
	differ("framing of the answer", framingOf(q, a), framingOf(q, b))
}

// canonical gives header names the letters that all proxies in Go give them.
func canonical(lines []string) (out []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		out = append(out, textproto.CanonicalMIMEHeaderKey(name)+": "+strings.TrimSpace(value))
	}
	return out
}
