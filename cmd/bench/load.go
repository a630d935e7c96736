package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// job is what a load generator has to do: the same request again and again, on
// connections that stay open, each with one request at a time.
type job struct {
	Addr    string
	Request string // the whole request
	Status  int    // of the only right reply
	Conns   int
	Warm    time.Duration // not counted
	Span    time.Duration
	// PerSecond spreads so many requests evenly; 0 sends as fast as replies come.
	PerSecond int
	// Cookies is a file with a Cookie header's value on each line. One of them,
	// at random, takes the place of cookieHole in each request.
	Cookies string
	// Once sends one request on each connection, all at the same moment.
	Once bool
}

const cookieHole = "{cookie}"

// loadResult is what came of a job. Latencies are of the counted requests.
type loadResult struct {
	Requests int // finished while it was counted
	Errors   int // at any time
	Why      string
	Took     time.Duration // that was counted
	P50, P99 time.Duration
}

// The lines that a generator prints before its result: the caller reads the
// accounts of the processes in between.
const (
	lineBegin = "begin"
	lineEnd   = "end"
)

// playLoad is a generator. It has a process of its own so that it can be held to
// one processor, and so that nothing else of the run disturbs it.
func playLoad(settings []byte, _ <-chan struct{}) error {
	var j job
	if err := json.Unmarshal(settings, &j); err != nil {
		return err
	}
	g := &generator{job: j, gate: make(chan struct{})}
	if j.Cookies != "" {
		text, err := os.ReadFile(j.Cookies)
		if err != nil {
			return err
		}
		g.cookies = strings.Fields(string(text))
	}
	result := g.run()
	return json.NewEncoder(os.Stdout).Encode(result)
}

// generator makes one load.
type generator struct {
	job
	cookies  []string
	gate     chan struct{} // closed when all are connected
	counting atomic.Bool
	over     atomic.Bool

	mu        sync.Mutex
	latencies []time.Duration
	errors    int
	why       string
}

func (g *generator) run() loadResult {
	var connected, done sync.WaitGroup
	for i := range g.Conns {
		connected.Add(1)
		done.Go(func() { g.client(i, connected.Done) })
	}
	connected.Wait()
	if g.Once {
		g.counting.Store(true)
	}
	began := time.Now()
	close(g.gate)
	if !g.Once {
		time.Sleep(g.Warm)
		g.counting.Store(true)
		began = time.Now()
		fmt.Println(lineBegin)
		time.Sleep(g.Span)
		g.over.Store(true)
		fmt.Println(lineEnd)
	}
	took := time.Since(began)
	done.Wait()
	if g.Once {
		took = time.Since(began)
	}
	return loadResult{
		Requests: len(g.latencies), Errors: g.errors, Why: g.why, Took: took,
		P50: percentile(g.latencies, 50), P99: percentile(g.latencies, 99),
	}
}

// mostErrors is how many errors a connection may have before it gives up: the
// run is worth nothing by then.
const mostErrors = 10

// client is one connection, which is made again after an error.
func (g *generator) client(i int, connected func()) {
	own := make([]time.Duration, 0, 1<<12)
	failures := 0
	c, err := g.dial()
	connected()
	<-g.gate
	pace := g.pace(i)
	for !g.over.Load() && failures < mostErrors {
		if err == nil {
			from := pace()
			if g.over.Load() {
				break
			}
			counted := g.counting.Load() && !g.over.Load()
			if err = c.exchange(g.fill(c), g.Status); err == nil && counted && !g.over.Load() {
				own = append(own, time.Since(from))
			}
		}
		if err != nil {
			failures++
			g.failed(err)
			if c != nil {
				c.conn.Close()
			}
			if !g.Once {
				c, err = g.dial()
			}
		}
		if g.Once {
			break
		}
	}
	if c != nil {
		c.conn.Close()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latencies = append(g.latencies, own...)
}

// pace returns what waits for the moment of the next request, and tells it. A
// request that is late because the one before it was slow counts from when it
// should have been sent.
func (g *generator) pace(i int) func() time.Time {
	if g.PerSecond == 0 || g.Once {
		return time.Now
	}
	every := time.Duration(g.Conns) * time.Second / time.Duration(g.PerSecond)
	next := time.Now().Add(every * time.Duration(i) / time.Duration(g.Conns))
	return func() time.Time {
		from := next
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait)
			from = time.Now() // that the sleep was too long is not the proxy's fault
		}
		next = next.Add(every)
		return from
	}
}

func (g *generator) failed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errors++
	if g.why == "" {
		g.why = err.Error()
	}
}

func (g *generator) dial() (*client, error) {
	conn, err := net.DialTimeout("tcp", g.Addr, patience)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: make([]byte, 16<<10)}
	c.head, c.rest, c.varies = strings.Cut(g.Request, cookieHole)
	c.out = []byte(g.Request)
	return c, nil
}
