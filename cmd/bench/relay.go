package main

import (
	"net"
	"sync"
)

// relay stands between a gateway and Redis and counts round trips. MONITOR
// cannot: it shows commands, and does not tell those that went as one pipeline,
// and so waited once, from those that each waited for the one before.
type relay struct {
	addr     string // for the gateway
	redis    string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	ended bool
	conns []net.Conn
	trips []*trip // in the order in which they began
	err   error
}

// trip is what a client sent over one connection between two replies.
type trip struct {
	calls []redisCall
}

// exchange is the state of one connection.
type exchange struct {
	requests
	open *trip // nil once Redis has said something
}

// relayRedis begins to listen. Stop it.
func (s *stage) relayRedis() (*relay, error) {
	if s.redis == nil {
		return nil, errNeedsRedis
	}
	return newRelay(s.redis.addr)
}

func newRelay(redis string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	y := &relay{addr: l.Addr().String(), redis: redis, listener: l}
	y.running.Go(y.accept)
	return y, nil
}

// stop ends all connections and waits for them.
func (y *relay) stop() {
	y.listener.Close()
	y.mu.Lock()
	y.ended = true
	for _, c := range y.conns {
		c.Close()
	}
	y.mu.Unlock()
	y.running.Wait()
}

func (y *relay) accept() {
	for {
		client, err := y.listener.Accept()
		if err != nil {
			return
		}
		y.running.Go(func() { y.serve(client) })
	}
}

func (y *relay) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", y.redis, patience)
	if err != nil {
		client.Close()
		return
	}
	y.mu.Lock()
	y.conns = append(y.conns, client, server)
	if y.ended {
		client.Close()
		server.Close()
	}
	y.mu.Unlock()
	var x exchange
	y.running.Go(func() { carry(client, server, func([]byte) { y.replied(&x) }) })
	carry(server, client, func(piece []byte) { y.asked(&x, piece) })
}

// carry copies until one side ends, and then ends both. What comes is noted
// before it is passed on: whoever answers it cannot be noted earlier.
func carry(to, from net.Conn, note func([]byte)) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			note(buf[:n])
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// asked notes what the client sent. The first of it after a reply begins a trip;
// more before the next reply, and the rest of a command, belong to the same.
func (y *relay) asked(x *exchange, piece []byte) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if x.open == nil {
		x.open = &trip{}
		y.trips = append(y.trips, x.open)
	}
	calls, err := x.feed(piece)
	if err != nil && y.err == nil {
		y.err = err
	}
	x.open.calls = append(x.open.calls, calls...)
}

// replied notes that Redis has said something. A command that has not come in
// full keeps its trip open: Redis then answers the beginning of a long pipeline,
// and the client has not waited for that.
func (y *relay) replied(x *exchange) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !x.within() {
		x.open = nil
	}
}

// take returns the trips since the last time that were for requests, in the
// order in which they began.
func (y *relay) take() ([][]redisCall, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	var all [][]redisCall
	for _, t := range y.trips {
		// Setting up a connection and looking at queues are trips of their own.
		if calls := ofRequests(t.calls); len(calls) > 0 {
			all = append(all, calls)
		}
	}
	y.trips = nil
	return all, y.err
}
