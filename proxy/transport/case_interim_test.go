package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wxgate/proxy/transport"
)

// interims delivers the interim replies of a request to a hook.
func interims(req *http.Request, hook func(code int, header textproto.MIMEHeader) error) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: hook}))
}

func TestInterimReplies(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for range 2 {
				p.head()
				p.say("HTTP/1.1 103 Early Hints\nLink: </a>\nLink: </b>\n\n")
				p.say("HTTP/1.1 102 Processing\n\nHTTP/1.1 199 Whatever\nX-A: 1\n\n" + own)
			}
			p.drain()
		})
		rt := k.open(t, up, transport.Config{})
		type interim struct {
			Code   int
			Header textproto.MIMEHeader
		}
		var got []interim
		req := interims(newRequest(t, "GET", "/", nil), func(code int, header textproto.MIMEHeader) error {
			got = append(got, interim{code, header})
			return nil
		})
		if res, body := do(t, rt, req); res.StatusCode != 200 || body != "own" || res.Header.Get("Link") != "" {
			t.Errorf("%s %q %q", res.Status, res.Header, body)
		}
		want := []interim{
			{103, textproto.MIMEHeader{"Link": {"</a>", "</b>"}}},
			{102, textproto.MIMEHeader{}},
			{199, textproto.MIMEHeader{"X-A": {"1"}}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if _, body := do(t, rt, newRequest(t, "GET", "/", nil)); body != "own" || up.count() != 1 {
			t.Errorf("without a hook: %q over %d connections", body, up.count())
		}
	})
}

// Whoever sees each of many interim replies can stop them, whoever does not is
// not kept by them for ever.
func TestManyInterimReplies(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\nLink: " + strings.Repeat("x", 1000) + "\n\n"
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say(strings.Repeat(hint, 40) + own)
			p.drain()
		})
		rt := k.open(t, up, transport.Config{MaxHeader: 8 << 10})
		seen := 0
		do(t, rt, interims(newRequest(t, "GET", "/", nil), func(int, textproto.MIMEHeader) error { seen++; return nil }))
		if seen != 40 {
			t.Errorf("%d interim replies", seen)
		}
	})
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			for {
				if _, err := io.WriteString(p.Conn, strings.ReplaceAll(hint, "\n", "\r\n")); err != nil {
					return
				}
			}
		})
		if _, err := k.open(t, up, transport.Config{MaxHeader: 8 << 10}).RoundTrip(newRequest(t, "GET", "/", nil)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestInterimReplyThatTheHookRefuses(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say("HTTP/1.1 103 Early Hints\n\n" + own)
			p.drain()
		})
		enough := errors.New("enough")
		body := newUpload(t, strings.NewReader("hello"))
		req := interims(newRequest(t, "POST", "/", body), func(int, textproto.MIMEHeader) error { return enough })
		if _, err := k.open(t, up, transport.Config{}).RoundTrip(req); !errors.Is(err, enough) && !k.stock || err == nil {
			t.Errorf("error %v", err) // the stock one may be faster to name the closed connection
		}
		await(t, body.closed, "the body's end")
	})
}

func TestInterimReplyAndNoMore(t *testing.T) {
	for _, rest := range []string{"", "HTTP/1.1 2", "garbage\n\n"} {
		each(t, func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say("HTTP/1.1 103 Early Hints\n\n" + rest)
			})
			rt := k.open(t, up, transport.Config{})
			if _, err := rt.RoundTrip(newRequest(t, "GET", "/", nil)); err == nil {
				t.Error("no error")
			}
			if n := up.count(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// An interim reply has no body, whatever its header says.
func TestInterimReplyHasNoBody(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say("HTTP/1.1 103 Early Hints\nContent-Length: 5\nConnection: close\n\n" + own)
			p.head()
			p.say(own)
			p.drain()
		})
		rt := k.open(t, up, transport.Config{})
		for n := range 2 {
			if _, body := do(t, rt, newRequest(t, "GET", fmt.Sprint("/", n), nil)); body != "own" {
				t.Errorf("got %q", body)
			}
		}
	})
}
