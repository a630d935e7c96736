package transport

import (
	"container/list"
	"context"
	"net"
	"sync"
	"time"
)

// pool holds the connections of a transport. The one that was used last is
// used next, so that after a peak those at the bottom get old and are closed.
type pool struct {
	t *Transport

	mu      sync.Mutex
	idle    []*conn
	open    int       // connections that count, those being made included
	waiting list.List // of chan *conn, in the order of their arrival
	sweeper *time.Timer
}

// sweepParts is how often in an idle life connections are looked at that
// nobody asks for: many apps hang up long before we would, and a socket that
// only one side has closed is kept by the kernel.
const sweepParts = 8

// get returns a connection that nobody else uses: one that waits and is alive,
// or a new one. A fresh one was never used before.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	for {
		p.mu.Lock()
		if n := len(p.idle); n > 0 && (!fresh || p.full()) {
			c := p.idle[n-1]
			p.idle[n-1] = nil
			p.idle = p.idle[:n-1]
			p.mu.Unlock()
			if !fresh && time.Since(c.since) < p.t.cfg.IdleTimeout && c.quiet() {
				return c, nil
			}
			c.close()
			continue
		}
		if !p.full() {
			p.open++
			p.mu.Unlock()
			return p.dial(ctx)
		}
		turn := make(chan *conn, 1)
		place := p.waiting.PushBack(turn)
		p.mu.Unlock()
		c, err := p.wait(ctx, turn, place)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p.dial(ctx) // the place is ours, the connection is gone
		}
		if !fresh && c.quiet() {
			return c, nil
		}
		c.close()
	}
}

func (p *pool) full() bool { return p.t.cfg.MaxConns > 0 && p.open >= p.t.cfg.MaxConns }

// wait waits for a connection, or for a place to make one (nil).
func (p *pool) wait(ctx context.Context, turn chan *conn, place *list.Element) (*conn, error) {
	select {
	case c := <-turn:
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	select {
	case c := <-turn: // too late for us, not for the next one
		if c == nil {
			p.leave()
		} else {
			defer p.put(c)
		}
	default:
		p.waiting.Remove(place)
	}
	p.mu.Unlock()
	return nil, context.Cause(ctx)
}

// dial makes a connection in a place that is taken already.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	cfg := &p.t.cfg
	nc, err := cfg.Dial(ctx, cfg.Network, cfg.Address)
	if err != nil {
		p.free()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if _, ok := err.(*net.OpError); !ok {
			err = &net.OpError{Op: "dial", Net: cfg.Network, Err: err}
		}
		return nil, err
	}
	return newConn(p, nc), nil
}

// put takes back a connection that is ready for another request.
func (p *pool) put(c *conn) {
	c.since = time.Now()
	p.mu.Lock()
	kept := p.offer(c)
	p.mu.Unlock()
	if !kept {
		c.close()
	}
}

// offer hands a connection to whoever waits longest, or keeps it. The caller
// holds the lock.
func (p *pool) offer(c *conn) (kept bool) {
	if first := p.waiting.Front(); first != nil {
		p.waiting.Remove(first).(chan *conn) <- c
		return true
	}
	if len(p.idle) >= p.t.cfg.MaxIdle || p.t.cfg.IdleTimeout <= 0 {
		return false
	}
	p.idle = append(p.idle, c)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.t.cfg.IdleTimeout/sweepParts, p.sweep)
	}
	return true
}

// free gives up a place.
func (p *pool) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
}

// leave is free for a caller that holds the lock.
func (p *pool) leave() {
	if first := p.waiting.Front(); first != nil {
		p.waiting.Remove(first).(chan *conn) <- nil
		return
	}
	p.open--
}

// sweep closes what waited for too long or was closed by the app.
func (p *pool) sweep() {
	p.mu.Lock()
	var gone []*conn
	kept := p.idle[:0]
	for _, c := range p.idle {
		if time.Since(c.since) < p.t.cfg.IdleTimeout && c.quiet() {
			kept = append(kept, c)
		} else {
			gone = append(gone, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	if len(kept) > 0 {
		p.sweeper.Reset(p.t.cfg.IdleTimeout / sweepParts)
	} else {
		p.sweeper = nil
	}
	p.mu.Unlock()
	for _, c := range gone {
		c.close()
	}
}

func (p *pool) drain() {
	p.mu.Lock()
	gone := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range gone {
		c.close()
	}
}
