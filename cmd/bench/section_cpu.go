package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wxgate/wechat/wechattest"
)

// appRequest is what a page's script asks, as WeChat's WebView sends it. All
// proxies get the same bytes, but for the Host.
func appRequest(host, cookie string) string {
	return "GET /api/room/7?seat=1 HTTP/1.1\r\nHost: " + host + "\r\nConnection: keep-alive\r\nAccept: application/json\r\n" +
		"User-Agent: " + wechattest.UAIOS + "\r\nAccept-Language: zh-CN,zh-Hans;q=0.9\r\nAccept-Encoding: gzip, deflate\r\n" +
		"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nCookie: theme=dark; " + cookie + "\r\n\r\n"
}

// sample is what one load showed of one proxy.
type sample struct {
	cpu    float64 // µs for each request
	rate   float64 // requests/s
	p50    float64 // µs
	p99    float64
	memory float64 // bytes
}

// measureRequests loads the gateway and its peers in turn.
func measureRequests(s *stage, r *report) error {
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	gate.name = nameGateway
	defer gate.stop()
	peers, err := s.startPeers(r)
	if err != nil {
		return err
	}
	for _, p := range peers {
		defer p.stop()
	}
	all := append([]*process{gate}, peers...)
	samples := map[string][]sample{}
	for round := range s.rounds {
		for i := range all {
			// Each round begins with another one, so that none always follows the same.
			p := all[(i+round)%len(all)]
			one, err := s.loadOnce(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			samples[p.name] = append(samples[p.name], one)
		}
		s.say("  round %d of %d", round+1, s.rounds)
		s.emptyLog()
	}
	for _, p := range all {
		r.peers = append(r.peers, peerRow(p.name, samples))
	}
	s.requestGoals(r, samples)
	return nil
}

// loadOnce loads one proxy once with authenticated requests.
func (s *stage) loadOnce(p *process) (sample, error) {
	if s.load == "" {
		return s.loadWith(p, appRequest(p.addr, s.cookie), 200)
	}
	return s.sampled(p, func(begin, end func()) (loadResult, error) { return s.loadByOther(p.addr, begin, end) })
}

// loadWith loads one proxy once with one request, all of whose replies have to
// have this status.
func (s *stage) loadWith(p *process, request string, status int) (sample, error) {
	return s.sampled(p, func(begin, end func()) (loadResult, error) {
		return s.cleanLoad(job{Addr: p.addr, Request: request, Status: status, Conns: s.conns, Warm: s.warm, Span: s.span}, begin, end)
	})
}

// sampled reads the account of a process around a load.
func (s *stage) sampled(p *process, load func(begin, end func()) (loadResult, error)) (sample, error) {
	var before, after account
	res, err := load(func() { before = accountOf(p.pid) }, func() { after = accountOf(p.pid) })
	if err != nil {
		return sample{}, err
	}
	now, _ := resident(p.pid)
	return sample{
		cpu:  float64(after.since(before).Nanoseconds()) / 1e3 / float64(res.Requests),
		rate: float64(res.Requests) / res.Took.Seconds(),
		p50:  float64(res.P50.Nanoseconds()) / 1e3, p99: float64(res.P99.Nanoseconds()) / 1e3,
		memory: float64(now),
	}, nil
}

// cleanLoad is loadBy where any error spoils the figures.
func (s *stage) cleanLoad(j job, begin, end func()) (loadResult, error) {
	res, err := s.loadBy(j, begin, end)
	switch {
	case err != nil:
	case res.Errors > 0:
		err = fmt.Errorf("%d of the load's requests failed, the first with: %s", res.Errors, res.Why)
	case res.Requests == 0:
		err = errors.New("no request ended while the load was counted; make it longer with -time")
	}
	return res, err
}

// loadBy runs the built-in generator on one processor. begin and end, where
// given, are called when it begins and ends to count.
func (s *stage) loadBy(j job, begin, end func()) (loadResult, error) {
	var res loadResult
	p, err := s.startRole("load", j, "GOMAXPROCS=1")
	if err != nil {
		return res, err
	}
	defer p.stop()
	for {
		text, err := p.line()
		if err != nil {
			return res, err
		}
		switch text {
		case lineBegin:
			if begin != nil {
				begin()
			}
		case lineEnd:
			if end != nil {
				end()
			}
		default:
			if err := json.Unmarshal([]byte(text), &res); err != nil {
				return res, fmt.Errorf("the load generator said %.100q", text)
			}
			return res, nil
		}
	}
}

func cpu(x sample) float64    { return x.cpu }
func rate(x sample) float64   { return x.rate }
func p50(x sample) float64    { return x.p50 }
func p99(x sample) float64    { return x.p99 }
func memory(x sample) float64 { return x.memory }

// compare is the ratio of one figure of two proxies, 0 if one was not there.
func compare(samples map[string][]sample, a, b string, figure func(sample) float64) float64 {
	return ratio(column(samples[a], figure), column(samples[b], figure))
}

func peerRow(name string, samples map[string][]sample) []string {
	mid := func(figure func(sample) float64) float64 { return median(column(samples[name], figure)) }
	return []string{
		name, micros(mid(cpu)),
		times(compare(samples, name, nameNginx, cpu)),
		times(compare(samples, name, nameTuned, cpu)),
		times(compare(samples, name, nameStock, cpu)),
		fmt.Sprintf("%.0f", mid(rate)),
		times(compare(samples, name, nameTuned, rate)),
		micros(mid(p50)), micros(mid(p99)), megabytes(mid(memory)),
	}
}

// requestGoals says of the ratios which of them are goals.
func (s *stage) requestGoals(r *report, samples map[string][]sample) {
	if accounted {
		what := "CPU of an authenticated request, of "
		r.goal(what+"the tuned ReverseProxy's", times(compare(samples, nameGateway, nameTuned, cpu)), "0.50 ×")
		if len(samples[nameNginx]) > 0 {
			r.goal(what+"nginx's", times(compare(samples, nameGateway, nameNginx, cpu)), "2.50 × (stretch 2.00 ×)")
		}
		r.goal(what+"the default ReverseProxy's", times(compare(samples, nameGateway, nameStock, cpu)), "0.30 ×")
	} else {
		r.note("This system does not tell what other processes used: there are no figures of CPU and memory.")
	}
	r.goal(fmt.Sprintf("requests/s at %d connections and one client core, of the tuned ReverseProxy's", s.conns),
		times(compare(samples, nameGateway, nameTuned, rate)), "at least 2.00 ×")
	var without []string
	for _, name := range []string{nameNginx, nameHAProxy} {
		if _, there := samples[name]; there {
			without = append(without, name)
		}
	}
	settings := "Each proxy was loaded %d × %s through %d keep-alive connections, in turn; figures are medians, ratios are medians of the rounds' ratios. " +
		"wxgate wrote one log record for each request; the others have no login and no log."
	if len(without) > 0 {
		settings += " " + strings.Join(slices.Clip(without), " and ") + ": one worker, keep-alive to the app, no access log."
	}
	r.note(settings, s.rounds, s.span.Round(time.Millisecond), s.conns)
}
