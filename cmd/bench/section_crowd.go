package main

import (
	"fmt"
	"strconv"
)

// perSecond is the traffic beside idle WebSockets.
const perSecond = 1000

// measureCrowd asks a thousand times a second, first alone, then beside idle
// WebSockets.
func measureCrowd(s *stage, r *report) error {
	n := min(s.crowd, s.socketsAllowed())
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	defer gate.stop()
	alone, failed, err := s.steady(gate)
	if err != nil {
		return err
	}
	holder, err := s.openSockets(gate, n)
	if err != nil {
		return err
	}
	defer holder.stop()
	if err := s.pause(settle); err != nil {
		return err
	}
	beside, more, err := s.steady(gate)
	if err != nil {
		return err
	}
	now, _ := resident(gate.pid)
	holder.stdin.Close()
	text, err := holder.line()
	if err != nil {
		return err
	}
	lost, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("the holder of WebSockets said %q", text)
	}
	what := fmt.Sprintf("%d idle WebSockets and %d requests/s: ", n, perSecond)
	r.goal(what+"failed requests and lost WebSockets", fmt.Sprint(failed+more+lost), "0")
	r.goal(what+"p99, of that without WebSockets", fmt.Sprintf("%s (%s, %s)", times(ratio(beside, alone)), micros(median(beside)), micros(median(alone))), "2.00 ×")
	r.goal(what+"resident memory", megabytes(float64(now)), "")
	if n < s.crowd {
		r.note("crowd: the limit of open files allowed %d WebSockets instead of %d; raise it with ulimit -n.", n, s.crowd)
	}
	return nil
}

// steady returns the p99 in µs of loads at a fixed rate, and how many requests
// failed.
func (s *stage) steady(p *process) (p99s []float64, failed int, err error) {
	for range min(s.rounds, 3) {
		res, err := s.loadBy(job{
			Addr: p.addr, Request: appRequest(p.addr, s.cookie), Status: 200,
			Conns: s.conns, Warm: s.warm, Span: s.span, PerSecond: perSecond,
		}, nil, nil)
		if err != nil {
			return nil, 0, err
		}
		p99s = append(p99s, float64(res.P99.Nanoseconds())/1e3)
		failed += res.Errors
	}
	return p99s, failed, nil
}
