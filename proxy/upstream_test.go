package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) *url.URL {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

func upstreamTimeout(d time.Duration) option { return func(c *Config) { c.UpstreamTimeout = d } }

func TestAppsThatDoNotAnswer(t *testing.T) {
	answering := func(text string) func(rawRequest, net.Conn) {
		return func(_ rawRequest, c net.Conn) {
			io.WriteString(c, crlf(text))
			c.Close()
		}
	}
	silent := func(_ rawRequest, c net.Conn) { io.Copy(io.Discard, c) } // until the gateway gives up
	for _, c := range []struct {
		name   string
		reply  func(rawRequest, net.Conn)
		status int
		code   string
	}{
		{"down", nil, 502, "upstream_unavailable"},
		{"closes", answering(""), 502, "upstream_unavailable"},
		{"garbage", answering("SSH-2.0-OpenSSH_9.6\n"), 502, "upstream_unavailable"},
		{"half a header", answering("HTTP/1.1 200 OK\nContent-Le"), 502, "upstream_unavailable"},
		{"two lengths", answering("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\nab"), 502, "upstream_unavailable"},
		{"huge header", answering("HTTP/1.1 200 OK\nX: " + strings.Repeat("a", maxAnswerHeader+1) + "\n\n"), 502, "upstream_unavailable"},
		{"slow", silent, 504, "upstream_timeout"},
		{"slow after a hint", func(q rawRequest, c net.Conn) {
			io.WriteString(c, crlf("HTTP/1.1 103 Early Hints\nLink: </x>\nCache-Control: public\n\n"))
			silent(q, c)
		}, 504, "upstream_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := closedPort(t)
			if c.reply != nil {
				at = newRawApp(t, c.reply).url
			}
			w := newWorld(t, 1, nil, upstreamAt(at), rules("public /"), upstreamTimeout(100*time.Millisecond))
			script := w.browser(desktop).fetch("/x?secret=1")
			if e := script.jsonError(t); script.StatusCode != c.status || e.Error != c.code || script.Header.Get("Cache-Control") != "no-store" || script.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("script: %d %+v %v", script.StatusCode, e, script.Header)
			}
			page := w.browser(desktop).open("/x?secret=1")
			id := page.Header.Get("X-Request-Id")
			if page.StatusCode != c.status || id == "" || !strings.Contains(page.body, id) || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || page.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("page: %d %v", page.StatusCode, page.Header)
			}
			if strings.Contains(page.body+script.body, at.Host) || strings.Contains(page.body+script.body, "malformed") {
				t.Error("an internal error text is shown")
			}
			eventually(t, "the log tells of it", func() bool { return strings.Contains(w.log.String(), id) })
			if strings.Contains(w.log.String(), "secret=1") {
				t.Error("the query is in the log")
			}
		})
	}
}

// A truncated answer must look truncated: a complete one would be kept.
func TestTruncatedAnswers(t *testing.T) {
	app := newRawApp(t, func(q rawRequest, c net.Conn) {
		if q.target() == "/length" {
			io.WriteString(c, crlf("HTTP/1.1 200 OK\nContent-Length: 100\n\nabc"))
		} else {
			io.WriteString(c, crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n"))
		}
		c.Close()
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for _, path := range []string{"/length", "/chunked"} {
		res, err := direct.Get(w.front.URL + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the client takes it for complete", path)
		}
		if _, got := w.ask("GET "+path, ""); strings.HasSuffix(got, "0\r\n\r\n") {
			t.Errorf("%s: ended as if complete: %q", path, got)
		}
	}
}

// A client that breaks off its own body is not an outage of the app.
func TestClientsThatBreakOff(t *testing.T) {
	started := make(chan struct{}, 8)
	gone := make(chan error, 8)
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		_, err := io.ReadAll(r.Body)
		gone <- err
	}, rules("public /"))
	got := w.talk(crlf("POST /bad HTTP/1.1\nHost: {host}\nTransfer-Encoding: chunked\n\n3\nabc\nzz\n"))
	if statusOf(got) != 400 {
		t.Errorf("a bad chunk: %s", got)
	}
	c := w.dial()
	io.WriteString(c, crlf("POST /left HTTP/1.1\nHost: "+w.addr()+"\nContent-Length: 100\n\nabc"))
	<-started
	<-started
	c.Close()
	for range 2 {
		if err := <-gone; err == nil {
			t.Error("the app took the rest for complete")
		}
	}
	eventually(t, "both are in the log", func() bool { return strings.Count(w.log.String(), "broke off its body") == 2 })
	if strings.Contains(w.log.String(), `"status":502`) || strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Errorf("blamed on the app: %s", w.log)
	}
}

// The app hears that its client has left, whatever it was doing.
func TestCancellationReachesTheApp(t *testing.T) {
	const chunk = 64 << 10
	at := make(chan struct{}, 1)
	over := make(chan error, 1)
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/upload":
			io.ReadFull(r.Body, make([]byte, 3))
			at <- struct{}{}
			_, err := io.Copy(io.Discard, r.Body)
			over <- err
			return
		case "/stream":
			rw.Write(make([]byte, 10))
			http.NewResponseController(rw).Flush()
		case "/known":
			rw.Header().Set("Content-Length", "1000000000")
			rw.Write(make([]byte, chunk))
		}
		at <- struct{}{}
		<-r.Context().Done()
		over <- r.Context().Err()
	}, rules("public /"))
	for _, path := range []string{"/wait", "/stream", "/known", "/upload"} {
		ctx, cancel := context.WithCancel(t.Context())
		body, send := io.Pipe()
		method, upload := "GET", io.Reader(http.NoBody)
		if path == "/upload" {
			method, upload = "POST", body
			go io.WriteString(send, "abc")
		}
		r, _ := http.NewRequestWithContext(ctx, method, w.front.URL+path, upload)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if res, err := direct.Do(r); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}()
		<-at
		cancel()
		send.CloseWithError(context.Canceled)
		select {
		case err := <-over:
			if err == nil {
				t.Errorf("%s: the app saw a proper end", path)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the app never heard of it", path)
		}
		<-done
	}
}

// An app may answer while the body is still coming, and may not want the rest.
func TestEarlyAnswers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var apps sync.WaitGroup
	apps.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			apps.Go(func() {
				defer c.Close()
				c.Read(make([]byte, 1024)) // the header, at least
				io.WriteString(c, crlf("HTTP/1.1 413 Too Large\nContent-Length: 2\n\nno"))
				io.Copy(io.Discard, c)
			})
		}
	})
	defer apps.Wait()
	defer ln.Close()
	w := newWorld(t, 1, nil, upstreamAt(&url.URL{Scheme: "http", Host: ln.Addr().String()}), rules("public /"))
	for range 5 {
		body, send := io.Pipe()
		r, _ := http.NewRequest("POST", w.front.URL+"/", body)
		go func() {
			for {
				if _, err := send.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}()
		res, err := direct.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		body.CloseWithError(errors.New("over"))
		if res.StatusCode != 413 || string(got) != "no" || err != nil {
			t.Fatalf("%d %q %v", res.StatusCode, got, err)
		}
	}
}

// A connection that the app has closed between two requests is not an error of
// the next one.
func TestDeadIdleConnections(t *testing.T) {
	app := newRawApp(t, func(q rawRequest, c net.Conn) {
		io.WriteString(c, rawOK)
		c.Close() // without having said so
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	for range 20 {
		if status, got := w.ask("GET /x", ""); status != 200 {
			t.Fatal(got)
		}
	}
}

func TestVerificationFiles(t *testing.T) {
	app := newRawApp(t, nil)
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("deny /"), func(c *Config) {
		c.VerifyFiles = map[string]string{"MP_verify_AbC.txt": "the proof", "empty.txt": ""}
		c.AllowedHosts = []string{"play.example.com"}
	})
	for _, host := range []string{w.addr(), "play.example.com"} {
		for path, body := range map[string]string{"/MP_verify_AbC.txt": "the proof", "/MP_verify_AbC.txt?x=1": "the proof", "/empty.txt": ""} {
			got := w.talk("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
			if statusOf(got) != 200 || !strings.HasSuffix(got, "\r\n\r\n"+body) || !strings.Contains(got, "Content-Type: text/plain; charset=utf-8\r\n") {
				t.Errorf("%s%s: %q", host, path, got)
			}
		}
	}
	if _, got := w.ask("HEAD /MP_verify_AbC.txt", ""); statusOf(got) != 200 || !strings.Contains(got, "Content-Length: 9\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD: %q", got)
	}
	if status, got := w.ask("POST /MP_verify_AbC.txt", ""); status != 405 || !strings.Contains(got, "Allow: GET, HEAD\r\n") {
		t.Errorf("POST: %s", got)
	}
	for _, path := range []string{"/mp_verify_abc.txt", "/MP_verify_AbC.txt/", "//MP_verify_AbC.txt", "/x/MP_verify_AbC.txt", "/MP_verify_AbC%2etxt"} {
		if status, _ := w.ask("GET "+path, ""); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if app.count() != 0 {
		t.Error("the app was asked")
	}
}
