package yunxin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	maxBody = 64 << 10 // bytes of a reply; real ones have a few hundred

	// retryPause lets a concurrent operation on the same account, the cause of
	// code 102449, come to its end.
	retryPause = 50 * time.Millisecond
)

// call sends q, once more if no usable reply came or Yunxin asks for it, and
// returns the reply of code 200. Sending twice is safe for every call of ours: a
// create that was done already answers "exists", the others set the same values
// or end the same connections again.
func (c *Client) call(ctx context.Context, q call) (reply, error) {
	name := interfaceOf(q.method, q.path)
	for attempt := 1; ; attempt++ {
		if err := c.mayCall(q.api, name); err != nil {
			return reply{}, err
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
			answer.RetryAfter = c.gate.shut(name, c.now())
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
	secrets := []string{c.appSecret, sum, q.secret}
	unavailable := func(err error) error { return noReply(q.api, req.URL.Host, err, secrets) }

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
	if code, text, failed := r.failedKick(); r.code == 200 && failed {
		return reply{}, &APIError{API: q.api, Code: code, Desc: clean(cmp.Or(text, "a connection was not ended"), secrets), kind: KindRetry}
	}
	if r.code == 200 {
		return r, nil
	}
	e := &APIError{API: q.api, Code: r.code, Desc: clean(r.text, secrets), kind: classify(r.code, r.text)}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil && e.kind == KindAuth {
		e.Skew = now.Sub(date).Truncate(time.Second)
	}
	return reply{}, e
}

// noReply reports that an attempt got no usable reply.
func noReply(api, host string, err error, secrets []string) error {
	// Go repeats the whole URL in front of the cause.
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return &UnavailableError{API: api, Host: host, text: clean(err.Error(), secrets), cause: err}
}

// clean makes a foreign text fit for errors and logs: without the secrets of
// this call, should the other side repeat them, on one line, and short.
func clean(s string, secrets []string) string {
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
