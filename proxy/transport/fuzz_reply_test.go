package transport_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// FuzzReply reads what an upstream may send, in pieces of any size. What ours
// accepts, the standard library's reader accepts and sees the same of; and a
// connection is used again only if that reader has left nothing on it.
func FuzzReply(f *testing.F) {
	for _, reply := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 5\nX: a\n b\n\nhello",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X, Y\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\nZ: 2\r\n 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 2\r\nX: 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes",
		"HTTP/1.1 200 OK\r\nX-Late : v\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX:\r0\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
		"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "ICY 200 OK\r\n\r\n", "\r\n", "",
	} {
		f.Add([]byte(reply), byte(0), byte(0))
		f.Add([]byte(reply), byte(1), byte(1))
	}
	f.Fuzz(func(t *testing.T, reply []byte, method, cuts byte) {
		if len(reply) > 4000 {
			t.Skip("the limits of the two differ: stock's for a trailer is 4 KB")
		}
		if foldedBlanks.Match(reply) {
			t.Skip("stock keeps a blank of such a line, and takes \"chunked \" for another coding")
		}
		name := []string{"GET", "HEAD", "POST", "OPTIONS"}[method%4]
		c := &memConn{reply: bytes.Clone(reply), cuts: int(cuts)}
		next := &memConn{reply: []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}
		rt := overMemory(t, c, next)
		req := plainRequest(t, name)
		got, err := rt.RoundTrip(req)
		if err != nil {
			if got != nil {
				t.Fatalf("both a reply and %v", err)
			}
			if !c.closed {
				t.Fatalf("the connection is kept after %v", err)
			}
			return
		}
		body, bodyErr := io.ReadAll(got.Body)
		got.Body.Close()

		br := bufio.NewReader(bytes.NewReader(reply))
		want, err := readFinal(br, req)
		if err != nil {
			t.Fatalf("accepted %q, where the standard library says %v", reply, err)
		}
		if got.StatusCode != want.StatusCode || got.Status != want.Status || !reflect.DeepEqual(unfolded(got.Header), unfolded(want.Header)) {
			t.Fatalf("%q:\n got %s %v\nwant %s %v", reply, got.Status, got.Header, want.Status, want.Header)
		}
		wantBody, wantErr := io.ReadAll(want.Body)
		if bodyErr == nil && (wantErr != nil || !bytes.Equal(body, wantBody)) || !bytes.HasPrefix(wantBody, body) {
			t.Fatalf("%q:\n got the body %q, %v\nwant %q, %v", reply, body, bodyErr, wantBody, wantErr)
		}
		for _, framing := range []string{"Content-Length", "Transfer-Encoding", "Trailer"} {
			delete(want.Trailer, framing) // ours lets none through, RFC 9110 section 6.5.1
		}
		if bodyErr == nil && len(got.Trailer)+len(want.Trailer) > 0 && !reflect.DeepEqual(unfolded(got.Trailer), unfolded(want.Trailer)) {
			t.Fatalf("%q:\n got the trailer %v\nwant %v", reply, got.Trailer, want.Trailer)
		}

		left, _ := io.Copy(io.Discard, br)
		clean := bodyErr == nil && left == 0 && !want.Close
		if again, err := rt.RoundTrip(plainRequest(t, "GET")); err != nil {
			t.Fatalf("the next request: %v", err)
		} else {
			again.Body.Close()
		}
		if reused := c.writes > 1; reused != clean {
			t.Fatalf("%q: used again: %v, fit for that: %v (%d bytes left, close %v, body %v)", reply, reused, clean, left, want.Close, bodyErr)
		}
	})
}

// readFinal reads the reply behind all interim ones.
func readFinal(br *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(br, req)
		if err != nil || res.StatusCode < 100 || res.StatusCode > 199 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, err
		}
	}
}

var foldedBlanks = regexp.MustCompile("\n[ \t]+\r?\n")

var blanks = regexp.MustCompile("[ \t]+")

// unfolded is a header in which it does not matter how many blanks a folded
// line has become.
func unfolded(h http.Header) http.Header {
	h = sameFields(h)
	for _, values := range h {
		for i, v := range values {
			values[i] = strings.TrimRight(blanks.ReplaceAllString(v, " "), " ")
		}
	}
	return h
}
