package yunxin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	maxBody = 64 << 10 // bytes of a reply; real ones have a few hundred

	// retryPause lets a concurrent operation on the same account, the cause of
	// code 102449, come to its end.
	retryPause = 50 * time.Millisecond

	// Code 416 shuts an interface for ten seconds, and calling it meanwhile
	// only prolongs the outage. The jitter keeps replicas from returning at
	// once. https://doc.yunxin.163.com/messaging/server-apis/zk4Mzg0MjE?platform=server
	shutFor    = 10 * time.Second
	shutJitter = 2 * time.Second
)

// call sends q, once more if no usable reply came or Yunxin asks for it, and
// returns the reply of code 200. Sending twice is safe for every call of this
// package: a create that was done already answers "exists", the others set the
// same values again.
func (c *Client) call(ctx context.Context, q call) (reply, error) {
	for attempt := 1; ; attempt++ {
		if left := c.gate.left(q.api, c.now()); left > 0 {
			return reply{}, &APIError{API: q.api, Code: 416, Desc: "not sent, the interface is shut", RetryAfter: left, kind: KindRate}
		}
		at := c.healthy.Load()
		start := time.Now()
		r, err := c.send(ctx, c.urls[at], q)
		c.observe(q.api, class(ctx, err), time.Since(start))
		if err == nil {
			return r, nil
		}
		var answer *APIError
		switch {
		case !errors.As(err, &answer):
			// A caller that went away says nothing about the address. One that
			// ran out of time does, or a caller more impatient than Timeout
			// would never get past a primary that hangs.
			if !errors.Is(ctx.Err(), context.Canceled) {
				c.healthy.CompareAndSwap(at, (at+1)%int64(len(c.urls)))
			}
		case answer.kind == KindRate:
			answer.RetryAfter = c.gate.shut(q.api, c.now())
			return reply{}, err
		case answer.kind == KindRetry:
			if attempt == 1 {
				pause(ctx, retryPause)
			}
		default:
			return reply{}, err
		}
		if attempt == 2 || ctx.Err() != nil {
			return reply{}, err
		}
	}
}

// send makes one attempt at one address.
func (c *Client) send(ctx context.Context, base string, q call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return reply{}, &UnavailableError{API: q.api, text: "base address is no URL", cause: err}
	}
	req.Header.Set("Content-Type", q.contentType)
	now := c.now()
	sum := c.sign(req.Header, now)
	hide := func(s string) string { return clean(s, c.appSecret, sum, q.secret) }
	unavailable := func(err error) error {
		// Go repeats the whole URL in front of the cause.
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return &UnavailableError{API: q.api, Host: req.URL.Host, text: hide(err.Error()), cause: err}
	}

	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, unavailable(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return reply{}, unavailable(fmt.Errorf("reading the reply: %w", err))
	case res.StatusCode != http.StatusOK:
		return reply{}, unavailable(fmt.Errorf("http status %d", res.StatusCode))
	case len(body) > maxBody:
		return reply{}, unavailable(fmt.Errorf("reply has over %d bytes", maxBody))
	}
	r, err := decodeReply(body)
	if err != nil {
		return reply{}, unavailable(err)
	}
	if r.code == 200 {
		return r, nil
	}
	e := &APIError{API: q.api, Code: r.code, Desc: hide(r.text), kind: classify(r.code, r.text)}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil && e.kind == KindAuth {
		e.Skew = now.Sub(date).Truncate(time.Second)
	}
	return reply{}, e
}

// clean makes a foreign text fit for errors and logs: without the secrets of
// this call, should the other side repeat them, on one line, and short.
func clean(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 200 {
		s = string(runes[:200]) + "…"
	}
	return s
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// gate remembers which interfaces Yunxin has shut.
type gate struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// left returns how long api stays shut, or nothing.
func (g *gate) left(api string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.until[api].Sub(now))
}

// shut closes api and returns for how long.
func (g *gate) shut(api string, now time.Time) time.Duration {
	d := shutFor + rand.N(shutJitter)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.until == nil {
		g.until = make(map[string]time.Time)
	}
	g.until[api] = now.Add(d)
	return d
}
