package yunxin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is one attempt at a Call.
type exchange struct {
	client    *Client
	call      Call
	body      io.Reader
	name      string // of the interface
	connected atomic.Bool
}

// send returns when the answer has begun. It waits for a connection, and then
// for the answer to a request that is sent, for Client.timeout each.
func (x *exchange) send(ctx context.Context, base string) (*http.Response, error) {
	c, start := x.client, time.Now()
	own, cancel := context.WithCancelCause(ctx)
	wait := &wait{limit: c.timeout, expire: func() {
		cancel(fmt.Errorf("nothing came for %v: %w", c.timeout, context.DeadlineExceeded))
	}}
	traced := httptrace.WithClientTrace(own, &httptrace.ClientTrace{
		GetConn: func(string) { wait.begin() },
		GotConn: func(httptrace.GotConnInfo) {
			x.connected.Store(true)
			wait.pause()
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { wait.begin() },
	})
	req, err := http.NewRequestWithContext(traced, x.call.Method, base+x.call.Path, x.body)
	if err != nil {
		cancel(nil)
		return nil, &UnavailableError{API: apiApp, text: "base address is no URL", cause: err}
	}
	req.URL.RawQuery = x.call.RawQuery
	if s, ok := x.body.(*streamed); ok {
		req.ContentLength = s.length
	}
	if x.call.ContentType != "" {
		req.Header.Set("Content-Type", x.call.ContentType)
	}
	secrets := []string{c.appSecret, c.sign(req.Header, c.now())}

	h := *c.http
	h.Timeout = 0 // it would cut long bodies
	res, err := h.Do(req)
	wait.end()
	if cause := context.Cause(own); cause != nil {
		if err == nil {
			res.Body.Close()
		}
		err = cause
	}
	if err != nil {
		cancel(nil)
		result := class(ctx, err)
		if broken := (*bodyError)(nil); errors.As(err, &broken) {
			result = "canceled"
		}
		c.observe(apiApp, result, time.Since(start))
		return nil, noReply(apiApp, req.URL.Host, err, secrets)
	}
	res.Request = nil // it has the signature
	res.Body = &answer{ReadCloser: res.Body, status: res.StatusCode, done: func(reply []byte, err error) {
		cancel(nil)
		c.observe(apiApp, x.judge(ctx, reply, err), time.Since(start))
	}}
	return res, nil
}

// unsent reports that nothing has been sent, so that the call can go elsewhere.
func (x *exchange) unsent() bool {
	if x.connected.Load() {
		return false
	}
	s, ok := x.body.(*streamed)
	return !ok || s.leave()
}

// judge tells what an answer came to, and shuts the interface if it says so.
func (x *exchange) judge(ctx context.Context, reply []byte, err error) string {
	if err != nil && err != errUnread {
		return class(ctx, err)
	}
	if len(reply) > maxBody {
		return "ok" // no refusal is that long
	}
	r, bad := decodeReply(reply)
	switch {
	case bad != nil && err == errUnread:
		return "canceled"
	case bad != nil || r.code == 200:
		return class(ctx, bad)
	}
	kind := classify(r.code, r.text)
	if kind == KindRate {
		x.client.gate.shut(x.name, x.client.now())
	}
	return string(kind)
}

// answer is the body of an answer, which is looked at while it passes.
type answer struct {
	io.ReadCloser
	status int
	done   func(reply []byte, err error)

	mu    sync.Mutex // guards all below: a body may be closed while it is read
	reply []byte     // its beginning
	ended bool
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reply = append(a.reply, p[:min(n, maxBody+1-len(a.reply))]...)
	switch {
	case err == io.EOF:
		a.end(nil)
	case err != nil:
		a.end(err)
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end(errUnread)
	return err
}

// errUnread stands for an answer that was closed before its end was seen. As
// much of it as was read may be the whole.
var errUnread = errors.New("not read to its end")

// end reports, once.
func (a *answer) end(err error) {
	if a.ended {
		return
	}
	a.ended = true
	if (err == nil || err == errUnread) && a.status != http.StatusOK {
		err = fmt.Errorf("http status %d", a.status)
	}
	a.done(a.reply, err)
}

// wait ends an attempt in which nothing happens for too long.
type wait struct {
	limit  time.Duration
	expire func()

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (w *wait) begin() { w.set(true) }
func (w *wait) pause() { w.set(false) }

func (w *wait) set(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	// The transport may report that the request is written when the answer has
	// come already, and its body must not be cut then.
	if on && !w.over {
		w.timer = time.AfterFunc(w.limit, w.expire)
	}
}

// end is for good.
func (w *wait) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.pause()
}
