package main

import (
	"fmt"
	"strings"
	"time"

	"wxgate/wechat/wechattest"
)

// settle is how long a process is left alone before its memory is read.
const settle = 500 * time.Millisecond

// quiet is how long, where memory as such is the figure, nothing happens before
// it is read. The gateway collects its garbage in a quiet moment, which it knows
// of within about two seconds; read earlier, the figure would hold what starting
// or opening connections threw away.
const quiet = 3 * time.Second

// pause waits, but not longer than the run lasts.
func (s *stage) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// measureStart starts gateways that nobody visits.
func measureStart(s *stage, r *report) error {
	var until, memory, anonymous []float64
	for range s.rounds {
		p, err := s.startGateway()
		if err != nil {
			return err
		}
		until = append(until, float64(time.Since(p.started).Microseconds()))
		err = s.pause(quiet)
		now, _ := resident(p.pid)
		memory, anonymous = append(memory, float64(now)), append(anonymous, float64(ownMemory(p.pid)))
		p.stop()
		if err != nil {
			return err
		}
	}
	r.goal("resident memory of an idle gateway", megabytes(median(memory)), "20 MB")
	r.goal("… of it not pages of the program's file", megabytes(median(anonymous)), "")
	r.goal("from the start of the process to ready", micros(median(until)), "100 ms")
	return nil
}

// pageRequest is a page visit by somebody who is not logged in.
func pageRequest(host string) string {
	return "GET /room/7?seat=1 HTTP/1.1\r\nHost: " + host + "\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: " + wechattest.UAIOS + "\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n" +
		"Accept-Language: zh-CN,zh-Hans;q=0.9\r\nAccept-Encoding: gzip, deflate\r\nCookie: theme=dark\r\n\r\n"
}

// measureRedirect sends page visits without a session, and in turn requests
// that are forwarded.
func measureRedirect(s *stage, r *report) error {
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	defer gate.stop()
	const visits, forwarded = "visits", "forwarded"
	samples := map[string][]sample{}
	var stored []redisCall
	for range min(s.rounds, 3) {
		one, err := s.loadWith(gate, appRequest(gate.addr, s.cookie), 200)
		if err != nil {
			return err
		}
		samples[forwarded] = append(samples[forwarded], one)
		// What the end of that load left under way may still read its session.
		if err := s.pause(settle); err != nil {
			return err
		}
		calls, err := s.callsDuring(func() error {
			one, err = s.loadWith(gate, pageRequest(gate.addr), 302)
			return err
		})
		if err != nil {
			return err
		}
		samples[visits] = append(samples[visits], one)
		stored = append(stored, calls...)
		s.emptyLog()
	}
	if accounted {
		r.goal("CPU of a page visit without a session (302), of a forwarded request's",
			fmt.Sprintf("%s (%s)", times(compare(samples, visits, forwarded, cpu)), micros(median(column(samples[visits], cpu)))), "1.00 ×")
	}
	if s.redis != nil {
		r.goal("store commands of all these page visits", counted(stored), "0")
	}
	return nil
}

// callsDuring returns what the gateway asked of Redis for its visitors while do
// ran; nothing where there is no Redis.
func (s *stage) callsDuring(do func() error) ([]redisCall, error) {
	if s.redis == nil {
		return nil, do()
	}
	w, err := s.watchRedis()
	if err != nil {
		return nil, err
	}
	defer w.stop()
	if err := do(); err != nil {
		return nil, err
	}
	calls, err := w.take(s.ctx)
	return ofRequests(calls), err
}

// counted is how many calls there were, and which if they are few.
func counted(calls []redisCall) string {
	if len(calls) == 0 || len(calls) > 20 {
		return fmt.Sprint(len(calls))
	}
	return fmt.Sprintf("%d (%s)", len(calls), verbs(calls))
}

// verbs names calls in their order.
func verbs(calls []redisCall) string {
	var all []string
	for _, c := range calls {
		all = append(all, c.verb)
	}
	return strings.Join(all, " ")
}
