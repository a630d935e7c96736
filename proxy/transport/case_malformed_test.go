package transport_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"wxgate/proxy/transport"
)

// secret stands for what a visitor's reply may contain: an error goes into a
// log, and takes no more than a glimpse of it there.
var secret = strings.Repeat("s", 100)

func TestRepliesThatAreNone(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\n"
	for _, c := range []struct {
		name, reply string
		lax         bool // the stock transport lets it through
	}{
		{"another protocol", "SSH-2.0-OpenSSH_9\n\n", false},
		{"a page without header", "<html>" + secret + "</html>\n\n", false},
		{"an empty line", "\n" + ok + "Content-Length: 0\n\n", false},
		{"HTTP/0.9", "hello", false},
		{"only a status line", ok, false},
		{"a status line without end", "HTTP/1.1 200", false},
		{"half a header", ok + "Content-Length: 0\nX-A", false},
		{"header without end", ok + "Content-Length: 0\n", false},
		{"HTTP/2", "HTTP/2.0 200 OK\nContent-Length: 0\n\n", true},
		{"HTTP/1.10", "HTTP/1.10 200 OK\nContent-Length: 0\n\n", false},
		{"http/1.1", "http/1.1 200 OK\nContent-Length: 0\n\n", false},
		{"space before the status line", " HTTP/1.1 200 OK\nContent-Length: 0\n\n", false},
		{"two spaces in the status line", "HTTP/1.1  200 OK\nContent-Length: 0\n\n", true},
		{"tab in the status line", "HTTP/1.1\t200 OK\nContent-Length: 0\n\n", false},
		{"status of two digits", "HTTP/1.1 20 OK\nContent-Length: 0\n\n", false},
		{"status of four digits", "HTTP/1.1 2000 OK\nContent-Length: 0\n\n", false},
		{"status of letters", "HTTP/1.1 abc OK\nContent-Length: 0\n\n", false},
		{"status with a sign", "HTTP/1.1 +20 OK\nContent-Length: 0\n\n", true},
		{"negative status", "HTTP/1.1 -20 OK\nContent-Length: 0\n\n", false},
		{"status 000", "HTTP/1.1 000 OK\nContent-Length: 0\n\n", true},
		{"no status", "HTTP/1.1\nContent-Length: 0\n\n", false},
		{"control byte in the reason", "HTTP/1.1 200 O\x00K\nContent-Length: 0\n\n", true},
		{"CR in the reason", "HTTP/1.1 200 O\rK\nContent-Length: 0\n\n", true},
		{"line without colon", ok + "Content-Length: 0\nX-A " + secret + "\n\n", false},
		{"space before the colon", ok + "Content-Length : 0\n\n", true},
		{"space in a name", ok + "Content-Length: 0\nX A: 1\n\n", true},
		{"empty name", ok + "Content-Length: 0\n: 1\n\n", false},
		{"control byte in a name", ok + "Content-Length: 0\nX\x01: 1\n\n", false},
		{"letters of no token in a name", ok + "Content-Length: 0\nXé: 1\n\n", false},
		{"continuation of nothing", ok + " X-A: 1\nContent-Length: 0\n\n", false},
		{"NUL in a value", ok + "Content-Length: 0\nX-A: " + secret + "\x00\n\n", false},
		{"CR in a value", ok + "Content-Length: 0\nX-A: a\rX-B: b\n\n", true},
		{"escape in a value", ok + "Content-Length: 0\nX-A: \x1b[2J\n\n", true},
		{"DEL in a value", ok + "Content-Length: 0\nX-A: \x7f\n\n", true},
		{"control byte in a folded line", ok + "Content-Length: 0\nX-A: a\n b\x00\n\n", false},
		{"empty length", ok + "Content-Length:\n\n", false},
		{"length with a sign", ok + "Content-Length: +5\n\nhello", false},
		{"negative length", ok + "Content-Length: -5\n\nhello", false},
		{"hex length", ok + "Content-Length: 0x5\n\nhello", false},
		{"length with a fraction", ok + "Content-Length: 5.0\n\nhello", false},
		{"length with an underscore", ok + "Content-Length: 1_0\n\n0123456789", false},
		{"list of lengths", ok + "Content-Length: 5, 5\n\nhello", false},
		{"length beyond 63 bits", ok + "Content-Length: 9223372036854775808\n\nhello", false},
		{"two lengths", ok + "Content-Length: 5\nContent-Length: 6\n\nhello!", false},
		{"two lengths, in chunks", ok + "Content-Length: 5\nContent-Length: 6\nTransfer-Encoding: chunked\n\n0\n\n", true},
		{"unknown coding", ok + "Transfer-Encoding: gzip\n\nhello", false},
		{"identity", ok + "Transfer-Encoding: identity\nContent-Length: 5\n\nhello", false},
		{"codings in a list", ok + "Transfer-Encoding: gzip, chunked\n\n0\n\n", false},
		{"chunked twice", ok + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", false},
		{"xchunked", ok + "Transfer-Encoding: xchunked\n\n0\n\n", false},
		{"empty coding", ok + "Transfer-Encoding:\nContent-Length: 0\n\n", false},
		{"vertical tab before the coding", ok + "Transfer-Encoding: \vchunked\n\n0\n\n", false},
		{"trailer that frames", ok + "Transfer-Encoding: chunked\nTrailer: Content-Length\n\n0\n\n", false},
	} {
		run := func(t *testing.T, k kind) {
			if k.stock && c.lax {
				return
			}
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say(c.reply)
				p.hangUp()
			})
			res, err := k.open(t, up, transport.Config{}).RoundTrip(newRequest(t, "GET", "/", nil))
			if err == nil {
				res.Body.Close()
				t.Fatalf("answered: %q %q", res.Status, res.Header)
			}
			if n := up.count(); n != 1 {
				t.Errorf("%d connections", n)
			}
			var malformed *transport.ReplyError
			if !k.stock && !errors.As(err, &malformed) {
				t.Errorf("error %T: %v", err, err)
			}
			if !k.stock && (len(err.Error()) > 200 || strings.Contains(err.Error(), secret) || strings.ContainsAny(err.Error(), "\x00\x1b\r\n")) {
				t.Errorf("the error says too much: %q", err)
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}

// A header may be long; it may not be endless. The script writes until nobody
// takes it any more.
func TestHeaderBeyondItsLimit(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, c := range []struct{ name, begin, more string }{
		{"status line", "HTTP/1.1 200 ", long},
		{"one line", "HTTP/1.1 200 OK\nX-A: ", long},
		{"many lines", "HTTP/1.1 200 OK\n", "X-A: " + long + "\n"},
		{"many names", "HTTP/1.1 200 OK\n", strings.Repeat("X-A: b\n", 200)},
		{"folded lines", "HTTP/1.1 200 OK\nX-A: b\n", " " + long + "\n"},
		{"no line", "", long},
	} {
		run := func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say(c.begin)
				more := strings.ReplaceAll(c.more, "\n", "\r\n")
				for {
					if _, err := io.WriteString(p.Conn, more); err != nil {
						return
					}
				}
			})
			res, err := k.open(t, up, transport.Config{MaxHeader: 8 << 10}).RoundTrip(newRequest(t, "GET", "/", nil))
			if err == nil {
				res.Body.Close()
				t.Fatalf("answered %.100q", res.Status)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Error("only the test's patience ended it")
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
	t.Run("just below", func(t *testing.T) {
		each(t, func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say("HTTP/1.1 200 OK\nContent-Length: 0\nX-A: " + long + long + long + "\nX-B: b\n\n")
				p.drain()
			})
			res, _ := do(t, k.open(t, up, transport.Config{MaxHeader: 8 << 10}), newRequest(t, "GET", "/", nil))
			if len(res.Header.Get("X-A")) != 6000 || res.Header.Get("X-B") != "b" {
				t.Errorf("%q", res.Header)
			}
		})
	})
}
