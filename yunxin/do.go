package yunxin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Call is a request to any interface of Yunxin's, as an app wants it sent.
type Call struct {
	// Method is GET, POST, PUT, PATCH or DELETE. v1 knows POST alone.
	Method string

	// Path is what follows the base address, as it is to appear in the URL:
	// "/user/getUinfos.action" in v1, "/im/v2/accounts/x" in v2. Its segments
	// have letters, digits, _ @ . - ~ : and commas, and percent escapes for what
	// is none of these; none is empty or all dots. So a path has one spelling,
	// and a caller who refuses some cannot be led around that.
	Path string

	// RawQuery is the encoded query without its question mark.
	RawQuery string

	// ContentType is sent unless it is empty. v1 reads only forms, v2 only JSON.
	ContentType string

	// Body is sent unless it is nil. It is never closed, and may still be read
	// for a moment after Do has returned an error.
	Body io.Reader

	// Length is the size of Body in bytes, 0 or -1 if it is not known.
	Length int64
}

// Do signs a call, sends it and returns the answer whatever it is: any code of
// Yunxin's, other HTTP statuses, redirects (which are not followed). Body and
// answer are streamed and may take as long as ctx allows. The caller closes the
// answer's body.
//
// A message that the app sends must not arrive twice. So a call goes out again,
// to the next address, only if nothing of it was sent yet, or if it can be sent
// again whole (bodies of up to 64 KiB are kept for that) and either a gateway
// answered 502, where the vendor's own SDK repeats too, or the method is
// idempotent (GET, PUT, DELETE) and what came was 503, 504 or no answer.
//
// The error is an APIError of KindBadRequest for a Call against the rules above,
// and of KindRate while Yunxin has shut the interface (a 416 is noticed once the
// answer is read to its end); an UnavailableError if there was no answer; or the
// one that reading Call.Body came to.
func (c *Client) Do(ctx context.Context, q Call) (*http.Response, error) {
	if flaw := q.flaw(); flaw != "" {
		return nil, badRequest(apiApp, flaw)
	}
	body, err := newUpload(q.Body, q.Length)
	if err != nil {
		return nil, fmt.Errorf("yunxin %s: body of the call: %w", apiApp, err)
	}
	name := interfaceOf(q.Method, q.Path)
	for attempt := 1; ; attempt++ {
		if err := c.mayCall(apiApp, name); err != nil {
			return nil, err
		}
		at := c.healthy.Load()
		x := &exchange{client: c, call: q, body: body.open(), name: name}
		res, err := x.send(ctx, c.urls[at])
		if err == nil && (res.StatusCode < 502 || res.StatusCode > 504) {
			return res, nil
		}
		if broken := (*bodyError)(nil); errors.As(err, &broken) {
			return nil, fmt.Errorf("yunxin %s: body of the call: %w", apiApp, broken.cause)
		}
		if !errors.Is(ctx.Err(), context.Canceled) {
			c.healthy.CompareAndSwap(at, (at+1)%int64(len(c.urls)))
		}
		again := x.unsent() || body.rest == nil && (idempotent(q.Method) || err == nil && res.StatusCode == http.StatusBadGateway)
		if attempt == 2 || !again || ctx.Err() != nil {
			return res, err
		}
		if err == nil {
			res.Body.Close()
		}
	}
}

func idempotent(method string) bool {
	return method == http.MethodGet || method == http.MethodPut || method == http.MethodDelete
}

const pathAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@.-~:,"

// flaw names the rule that a call breaks, if any.
func (q Call) flaw() string {
	switch q.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return "method is none of GET, POST, PUT, PATCH, DELETE"
	}
	path, ok := strings.CutPrefix(q.Path, "/")
	if !ok {
		return "path does not begin with /"
	}
	for segment := range strings.SplitSeq(path, "/") {
		if strings.Trim(segment, ".") == "" {
			return "path has an empty segment or one of dots"
		}
		if !validSegment(segment) {
			return "path has a character that is not allowed in it"
		}
	}
	printable := func(s string, least rune) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r < least || r > '~' })
	}
	switch {
	case !printable(q.RawQuery, '!') || strings.Contains(q.RawQuery, "#"):
		return "query is not encoded"
	case !printable(q.ContentType, ' '):
		return "content type has a character that is not allowed in it"
	}
	return ""
}

// validSegment takes escapes only for what cannot stand for itself, and not for
// what could mean another path to somebody who decodes it: / \ % and controls.
func validSegment(s string) bool {
	plain, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(plain) || strings.ContainsAny(plain, `/\%`) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			if !strings.Contains(pathAlphabet, s[i:i+1]) {
				return false
			}
			continue
		}
		b, _ := url.PathUnescape(s[i : i+3])
		if b[0] <= ' ' || b[0] == 0x7f || strings.Contains(pathAlphabet, b) {
			return false
		}
		i += 2
	}
	return true
}
