package wechat

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// apiApp stands for the paths of [ServerTokens.Do] in errors and towards
// Config.Observe: the app chooses them, and labels come from closed sets.
const apiApp = "app_api"

// maxPeek bounds the answers that are looked into. One about a token has some 150
// bytes.
const maxPeek = 4 << 10

// Call is a call of the app's to any server interface, see [ServerTokens.Do].
type Call struct {
	// Method is GET, HEAD, POST, PUT, PATCH or DELETE.
	Method string
	// Path is the interface without a first slash, e.g. "cgi-bin/media/upload",
	// as it was written: not decoded, not cleaned.
	Path string
	// RawQuery is the query without the token. It is passed on as it is, less
	// what a server could take for an access_token.
	RawQuery string
	// Header of which Accept and Content-Type are passed on.
	Header http.Header
	// Body may be nil. It is read while it is sent, and not closed; a last Read
	// may still be under way when Do is back.
	Body io.Reader
	// ContentLength of Body, negative if it is not known. 0 means no body.
	ContentLength int64
}

// Do makes a call with the account's token added, for an app that has none. WeChat
// docs: https://developers.weixin.qq.com/doc/oplatform/developers/dev/guide.md
//
// Both bodies stream, of any size, as long as ctx lives; the answer's must be
// closed. When it is WeChat's turn and nothing comes for as long as a call of the
// Client may take, the call ends with [context.DeadlineExceeded]. Redirects are
// not followed. The answer has its status, its body byte by byte and the headers
// about it; its Request is nil, since that knows the token.
//
// An answer that calls the token void (see [Void]) is not returned: the call is
// made once more with the next token. If the body was larger than 1 MiB, or not
// sent to its end, it cannot be: then the answer is returned, and the next call
// has another token.
//
// Errors are [*APIError], about the token alone, [*UnavailableError], and those
// with [ErrCallRefused] in the chain for what is not for an app. A refusal by the
// interface itself is an answer like all others.
func (t *ServerTokens) Do(ctx context.Context, app App, call Call) (*http.Response, error) {
	var err error
	if call, err = admit(call); err != nil {
		return nil, err
	}
	a, err := t.do(ctx, app, apiApp, call)
	if err != nil {
		return nil, err
	}
	return a.res, nil
}

// do is Do for a call that needs no admission.
func (t *ServerTokens) do(ctx context.Context, app App, api string, call Call) (*answer, error) {
	body := newUpload(call)
	for first := true; ; first = false {
		token, err := t.Token(ctx, app)
		if err != nil {
			return nil, err
		}
		a, err := t.client.stream(ctx, api, token, call, body)
		if err != nil {
			return nil, err
		}
		if !first || !Void(a.err) {
			return a, nil
		}
		t.Drop(app, token)
		if !body.rewind() {
			return a, nil
		}
		a.res.Body.Close()
	}
}

// answer is a response of which the header has come.
type answer struct {
	res  *http.Response
	head reply // the whole body, if it is a small JSON object
	// err is what a client that reads answers would make of this one, as far as
	// it was looked into: an *APIError, an *UnavailableError or nil.
	err error
}

// stream makes one call, and observes it when the header of the answer is there.
func (c *Client) stream(ctx context.Context, api, token string, call Call, body *upload) (*answer, error) {
	start := c.now()
	a, err := c.streamAttempt(ctx, api, token, call, body)
	outcome := err
	if err == nil {
		outcome = a.err
	}
	c.observe(api, class(outcome), c.now().Sub(start))
	return a, err
}

func (c *Client) streamAttempt(ctx context.Context, api, token string, call Call, body *upload) (*answer, error) {
	query := url.Values{"access_token": {token}}
	sent := query.Encode()
	if call.RawQuery != "" {
		sent += "&" + call.RawQuery
	}
	query.Set("query", sent) // for the scrubber: the whole of it before its parts
	s := newScrubber(request{query: query, hide: []string{"query", "access_token"}})

	ctx, cancel := context.WithCancelCause(ctx)
	wait := startPatience(c.http.Timeout, cancel)
	fail := func(status int, err error) error {
		wait.end()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return &UnavailableError{API: api, Status: status, Err: s.error(err)}
	}

	out, err := http.NewRequestWithContext(ctx, call.Method, c.apiURL+"/"+call.Path, body.reader(ctx, wait))
	if err != nil {
		return nil, fail(0, err)
	}
	out.URL.RawQuery = sent
	out.ContentLength = body.length
	out.Header.Set("User-Agent", "wxgate")
	// Otherwise net/http would ask for gzip, unpack it and forget the length.
	out.Header.Set("Accept-Encoding", "identity")
	for _, name := range []string{"Accept", "Content-Type"} {
		if value := call.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	unhurried := *c.http
	unhurried.Timeout = 0 // it would cut the bodies
	in, err := unhurried.Do(out)
	if err != nil {
		return nil, fail(0, err)
	}
	if in.StatusCode < 200 {
		in.Body.Close()
		return nil, fail(in.StatusCode, fmt.Errorf("answered with HTTP status %d", in.StatusCode))
	}
	content, head, err := peek(in)
	if err != nil {
		in.Body.Close()
		return nil, fail(in.StatusCode, fmt.Errorf("reading the answer: %w", err))
	}
	wait.end()
	a := &answer{head: head, err: judge(api, in.StatusCode, head, s)}
	a.res = &http.Response{
		Status:     fmt.Sprintf("%d %s", in.StatusCode, http.StatusText(in.StatusCode)),
		StatusCode: in.StatusCode,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        keepHeader(in.Header, s),
		ContentLength: in.ContentLength,
		Body:          &download{content: content, body: in.Body, done: cancel, s: s},
	}
	return a, nil
}

// peek looks into an answer that may be one about the token: a small object in
// JSON, whatever WeChat calls it. All others are left alone. content is the whole
// body in any case.
func peek(in *http.Response) (content io.Reader, head reply, err error) {
	kind, _, _ := mime.ParseMediaType(in.Header.Get("Content-Type"))
	textual := kind == "" || kind == "application/json" || strings.HasPrefix(kind, "text/")
	if !textual || in.ContentLength > maxPeek {
		return in.Body, nil, nil
	}
	b := bufio.NewReaderSize(in.Body, maxPeek+1)
	if start, _ := b.Peek(1); len(start) == 1 && strings.IndexByte("{ \t\r\n\xef", start[0]) < 0 {
		return b, nil, nil
	}
	small, err := b.Peek(maxPeek + 1)
	switch {
	case err == io.EOF:
		head, _ = parse(small) // nil for anything else
		return b, head, nil
	case err != nil:
		return nil, nil, err
	}
	return b, nil, nil
}

func judge(api string, status int, head reply, s scrubber) error {
	code, err := head.errcode()
	switch {
	case err != nil:
		return &UnavailableError{API: api, Status: status, Err: err}
	case code != 0:
		return newAPIError(api, code, head.text("errmsg"), s)
	case status > 299:
		return &UnavailableError{API: api, Status: status, Err: fmt.Errorf("answered with HTTP status %d", status)}
	}
	return nil
}

// keepHeader returns the headers about the body. Others may repeat the query, as
// Location does, or are about the connection.
func keepHeader(in http.Header, s scrubber) http.Header {
	out := http.Header{}
	for _, name := range []string{
		"Content-Type", "Content-Length", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Cache-Control", "Expires", "Last-Modified", "Etag", "Date", "Retry-After",
	} {
		for _, value := range in[name] {
			if s.text(value) == value {
				out.Add(name, value)
			}
		}
	}
	return out
}

// download is the body of an answer.
type download struct {
	content io.Reader // body, or what buffers it
	body    io.Closer
	done    context.CancelCauseFunc
	s       scrubber
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.content.Read(p)
	if err != nil && err != io.EOF {
		err = d.s.error(err)
	}
	return n, err
}

func (d *download) Close() error {
	defer d.done(nil)
	if err := d.body.Close(); err != nil {
		return d.s.error(err)
	}
	return nil
}

// ErrCallRefused is in the chain of the errors about calls that Do does not make.
// The text around it says why, and repeats nothing of the call: it is for the app.
var ErrCallRefused = errors.New("call refused")

func refuseCall(why string) error { return fmt.Errorf("wechat: %w: %s", ErrCallRefused, why) }
