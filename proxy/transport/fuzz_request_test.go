package transport_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fieldLine = regexp.MustCompile("^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+: [^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")

// FuzzRequest sends what a caller may come up with. What arrives is exactly
// that one request, or nothing that is a request at all.
func FuzzRequest(f *testing.F) {
	for _, s := range [][7]string{
		{"GET", "/", "X-A", "v", "", "", ""},
		{"POST", "/a?b", "Content-Length", "3", "body", "X-T", "t"},
		{"POST", "/", "content-length", "0", "GET /evil HTTP/1.1\r\n\r\n", "transfer-encoding", "chunked"},
		{"POST", "/", "transfer-encoding", "chunked", "body", "", ""},
		{"PUT", "/", "Transfer-Encoding", "identity", "body", "X-T", "a\r\nb: c"},
		{"GET", "/ HTTP/1.1\r\nX: y\r\n\r\nGET /", "X", "v", "", "", ""},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "/", "X", "v", "", "", ""},
		{"GET", "/", "X\r\nY", "v", "", "", ""},
		{"GET", "/", "X", "v\r\n\r\nGET /evil HTTP/1.1", "", "", ""},
		{"GET", "/", "X:", "\x00", "x", "Content-Length", "1"},
		{"OPTIONS", "*", "Host", "other", "", "Trailer", "x"},
		{"M-SEARCH", "//a/../%2e?%zz", "Connection", "close, Content-Length", "0\r\n\r\n", "X T", "\x7f"},
		{"", "", "", "", "", "", ""},
	} {
		for _, flags := range []byte{0, 1, 2, 3, 7, 8, 16} {
			f.Add(s[0], s[1], s[2], s[3], []byte(s[4]), s[5], s[6], flags)
		}
	}
	f.Fuzz(func(t *testing.T, method, target, name, value string, body []byte, trailer, sum string, flags byte) {
		req := &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: "app.test", Path: target}, Host: "app.test",
			Header: http.Header{name: {value}}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Close: flags&16 != 0}
		if flags&8 == 0 {
			req.RequestURI = target
		} else {
			target = req.URL.RequestURI()
		}
		if method == "" {
			method = "GET"
		}
		if target == "" {
			target = req.URL.RequestURI()
		}
		known := flags&1 != 0 && len(body) > 0
		if hasBody := flags&2 != 0; !hasBody {
			body = nil
		} else {
			req.Body = io.NopCloser(bytes.NewReader(body))
			req.ContentLength = -1
			if known {
				req.ContentLength = int64(len(body))
			}
			if flags&4 != 0 {
				req.Trailer = http.Header{trailer: {sum}}
			}
		}
		if strings.EqualFold(name, "Expect") {
			t.Skip("its body waits for an answer")
		}
		c := &memConn{reply: []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}
		res, err := overMemory(t, c).RoundTrip(req)
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		c.mu.Lock()
		sent := string(c.sent)
		c.mu.Unlock()
		if err != nil {
			if sent != "" {
				t.Fatalf("%v, and this was sent: %q", err, sent)
			}
			return
		}

		head, rest, ok := strings.Cut(sent, "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		if !ok || lines[0] != method+" "+target+" HTTP/1.1" || strings.ContainsAny(method, " \r\n") || strings.ContainsAny(target, " \r\n") {
			t.Fatalf("%q is not %q %q", sent, method, target)
		}
		count := map[string]int{}
		for _, l := range lines[1:] {
			if !fieldLine.MatchString(l) {
				t.Fatalf("the line %q in %q", l, sent)
			}
			field, _, _ := strings.Cut(l, ":")
			count[strings.ToLower(field)]++
		}
		for _, once := range []string{"host", "content-length", "transfer-encoding", "trailer"} {
			if count[once] > 1 {
				t.Fatalf("%d lines of %s in %q", count[once], once, sent)
			}
		}
		if count["host"] != 1 || count["content-length"] > 0 && count["transfer-encoding"] > 0 {
			t.Fatalf("the framing of %q", sent)
		}
		if body == nil && rest != "" || known && rest != string(body) {
			t.Fatalf("the body %q of %q", rest, sent)
		}
		if _, err := url.ParseRequestURI(target); err != nil && target != "*" || method == "CONNECT" || method == "PRI" {
			return // sent as it came; the standard library would not read it
		}
		br := bufio.NewReader(strings.NewReader(sent))
		read, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("%v: %q", err, sent)
		}
		arrived, err := io.ReadAll(read.Body)
		if err != nil || !bytes.Equal(arrived, body) {
			t.Fatalf("%v: the body %q of %q", err, arrived, sent)
		}
		if left, _ := io.Copy(io.Discard, br); left > 0 {
			t.Fatalf("%d bytes behind the end of %q", left, sent)
		}
		if read.Method != method || read.RequestURI != target || read.Host != "app.test" {
			t.Fatalf("%s %s of %s in %q", read.Method, read.RequestURI, read.Host, sent)
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		switch key {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "User-Agent", "Connection", "Pragma":
		default:
			if !slices.Equal(read.Header[key], []string{textproto.TrimString(value)}) {
				t.Fatalf("%s is %q in %q", name, read.Header[key], sent)
			}
		}
		if req.Trailer != nil && !known && !slices.Equal(read.Trailer[textproto.CanonicalMIMEHeaderKey(trailer)], []string{textproto.TrimString(sum)}) {
			t.Fatalf("the trailer %v of %q", read.Trailer, sent)
		}
	})
}
