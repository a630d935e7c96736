package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// redisCall is one command that a client sent. What a script does inside Redis
// is no round trip and is not here.
type redisCall struct {
	at   time.Time
	verb string // lower-case
	key  string // the first argument that is a key, as redisstore writes it; empty if there is none
}

// watch follows what is asked of Redis, call by call: the counters of INFO
// commandstats cannot tell a session's read from a queue's, nor one session's
// from another's.
type watch struct {
	addr string
	conn net.Conn

	mu    sync.Mutex
	calls []redisCall
	marks map[string]chan struct{}
	err   error
}

// watchRedis begins to follow. Stop it.
func (s *stage) watchRedis() (*watch, error) {
	if s.redis == nil {
		return nil, errNeedsRedis
	}
	conn, err := net.DialTimeout("tcp", s.redis.addr, patience)
	if err != nil {
		return nil, err
	}
	w := &watch{addr: s.redis.addr, conn: conn, marks: map[string]chan struct{}{}}
	in := bufio.NewReaderSize(conn, 64<<10)
	fmt.Fprint(conn, "MONITOR\r\n")
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		conn.Close()
		return nil, fmt.Errorf("redis does not let itself be watched: %v %s", err, line)
	}
	go w.follow(in)
	return w, nil
}

func (w *watch) stop() { w.conn.Close() }

func (w *watch) follow(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		w.mu.Lock()
		if err != nil {
			w.err = err
			for _, mark := range w.marks {
				close(mark)
			}
			w.marks = nil
			w.mu.Unlock()
			return
		}
		if call, ok := parseMonitor(line); ok {
			if mark := w.marks[call.key]; call.verb == "echo" && mark != nil {
				close(mark)
				delete(w.marks, call.key)
			} else {
				w.calls = append(w.calls, call)
			}
		}
		w.mu.Unlock()
	}
}

// take returns what was called since the last time. A mark of our own goes
// through Redis first, behind which nothing older can follow.
func (w *watch) take(ctx context.Context) ([]redisCall, error) {
	name, mark := "mark-"+rand.Text(), make(chan struct{})
	w.mu.Lock()
	if w.err != nil {
		w.mu.Unlock()
		return nil, w.err
	}
	w.marks[name] = mark
	w.mu.Unlock()
	conn, err := net.DialTimeout("tcp", w.addr, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "ECHO %s\r\n", name)
	select {
	case <-mark:
	case <-time.After(patience):
		return nil, fmt.Errorf("redis did not show a command within %s", patience)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls, w.err
}

// parseMonitor reads a line such as
//
//	+1700000000.123456 [0 127.0.0.1:5000] "get" "wxgate:record:s:1"
func parseMonitor(line string) (c redisCall, ok bool) {
	stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "+"), " [")
	client, rest, found := strings.Cut(rest, `] "`)
	seconds, micros, dotted := strings.Cut(stamp, ".")
	if !found || !dotted || strings.HasSuffix(client, " lua") {
		return c, false
	}
	sec, err1 := strconv.ParseInt(seconds, 10, 64)
	us, err2 := strconv.ParseInt(micros, 10, 64)
	if err1 != nil || err2 != nil {
		return c, false
	}
	call := callOf(strings.Split(strings.TrimRight(rest, "\"\r\n"), `" "`))
	call.at = time.Unix(sec, us*1000)
	return call, true
}

// callOf reads the words of a command; there is at least one.
func callOf(words []string) (c redisCall) {
	c.verb = strings.ToLower(words[0])
	if c.verb == "evalsha" || c.verb == "eval" {
		words = words[min(2, len(words)-1):] // the script, and the number of its keys
	}
	if len(words) > 1 {
		c.key = words[1]
	}
	return c
}

// Keys of redisstore: records, and queues that the gateway looks at on its own.
const (
	anyKey     = "wxgate:"
	recordKey  = anyKey + "record:"
	sessionKey = recordKey + "s:"
	userKey    = recordKey + "u:"
	queueKey   = anyKey + "queue:"
)

// ofRequests leaves out what the gateway asks whether or not there are visitors:
// whether its queues have work, whether Redis is there, and what a new
// connection begins with.
func ofRequests(calls []redisCall) (kept []redisCall) {
	for _, c := range calls {
		looking := strings.HasPrefix(c.key, queueKey) && (strings.HasPrefix(c.verb, "eval") || c.verb == "zcard")
		if strings.HasPrefix(c.key, anyKey) && !looking {
			kept = append(kept, c)
		}
	}
	return kept
}
