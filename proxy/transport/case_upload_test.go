package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"wxgate/proxy/transport"
)

// What was announced and not sent must not be filled up by the next request,
// and an upload that broke off must not look complete.
func TestUploadThatBreaksOff(t *testing.T) {
	broken := errors.New("the client is gone")
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int64
		want   error
	}{
		{"shorter than its length", strings.NewReader("abc"), 10, nil},
		{"nothing of its length", strings.NewReader(""), 10, nil},
		{"error within its length", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 10, broken},
		{"error in chunks", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), -1, broken},
		{"error at once", iotest.ErrReader(broken), -1, broken},
		{"end that is none", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, io.ErrUnexpectedEOF},
	} {
		run := func(t *testing.T, k kind) {
			up := newUpstream(t, func(p *peer) {
				if strings.HasPrefix(p.head(), "GET") {
					p.say("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
				}
				p.drain()
			})
			rt := k.open(t, up, transport.Config{})
			body, _ := io.ReadAll(c.body) // once for each transport
			var end io.Reader = strings.NewReader("")
			if c.want != nil {
				end = iotest.ErrReader(c.want)
			}
			defer func() { c.body = io.MultiReader(bytes.NewReader(body), end) }()
			req := newRequest(t, "POST", "/", newUpload(t, io.MultiReader(bytes.NewReader(body), end)))
			req.ContentLength = c.length
			res, err := rt.RoundTrip(req)
			if err == nil {
				t.Fatalf("answered %s", res.Status)
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
			if _, got := do(t, rt, newRequest(t, "GET", "/", nil)); got != "ok" {
				t.Errorf("the next request got %q", got)
			}
			rt.CloseIdleConnections()
			for _, got := range up.finish(t) {
				head, body, _ := strings.Cut(got, "\r\n\r\n")
				if strings.HasPrefix(head, "POST") && (strings.Contains(body, "GET ") || strings.Contains(body, "0\r\n\r\n")) {
					t.Errorf("sent %q", got)
				}
			}
		}
		t.Run(c.name, func(t *testing.T) { each(t, run) })
	}
}

// Bytes behind the announced length would be the next request of whoever sent
// them.
func TestUploadLongerThanItsLength(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				if strings.HasPrefix(p.head(), "POST") {
					p.take(3)
				}
				p.say("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			}
		})
		rt := k.open(t, up, transport.Config{})
		req := newRequest(t, "POST", "/", newUpload(t, strings.NewReader("abcGET /evil HTTP/1.1\r\nHost: x\r\n\r\n")))
		req.ContentLength = 3
		if res, err := rt.RoundTrip(req); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		do(t, rt, newRequest(t, "GET", "/next", nil))
		rt.CloseIdleConnections()
		if got := strings.Join(up.finish(t), ""); strings.Contains(got, "evil") {
			t.Errorf("sent %q", got)
		}
	})
}

func TestLargeUpload(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				req, body := p.request()
				if body != string(content) {
					t.Errorf("%s: %d bytes arrived", req.URL, len(body))
				}
				p.say("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
			}
		})
		rt := k.open(t, up, transport.Config{})
		for _, length := range []int64{-1, int64(len(content))} {
			for _, shape := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.DataErrReader} {
				req := newRequest(t, "PUT", "/", newUpload(t, shape(bytes.NewReader(content))))
				req.ContentLength = length
				do(t, rt, req)
				if !k.stock {
					req.Body.(*upload).atRest(t)
				}
			}
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// What the client sends piece by piece arrives piece by piece.
func TestUploadIsNotHeldBack(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		arrived := make(chan string)
		up := newUpstream(t, func(p *peer) {
			p.head()
			for range 3 {
				size, _ := p.R.ReadString('\n')
				arrived <- strings.TrimSpace(size) + p.take(4)
			}
			p.take(len("0\r\n\r\n"))
			p.say("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
			p.drain()
		})
		r, w := io.Pipe()
		req := newRequest(t, "POST", "/", newUpload(t, r))
		answered := make(chan error)
		go func() {
			res, err := k.open(t, up, transport.Config{}).RoundTrip(req)
			if err == nil {
				res.Body.Close()
			}
			answered <- err
		}()
		for _, piece := range []string{"ab", "cd", "ef"} {
			io.WriteString(w, piece)
			if got := await(t, arrived, "a piece of the upload"); got != "2"+piece+"\r\n" {
				t.Errorf("arrived: %q", got)
			}
		}
		w.Close()
		if err := await(t, answered, "the reply"); err != nil {
			t.Error(err)
		}
	})
}

func TestBodyOfLengthZeroThatIsEmpty(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				if req, body := p.request(); body != "" {
					t.Errorf("%s brought %q", req.Method, body)
				}
				p.say("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
			}
		})
		rt := k.open(t, up, transport.Config{})
		for _, method := range []string{"GET", "POST", "DELETE"} {
			req := newRequest(t, method, "/", newUpload(t, strings.NewReader("")))
			req.ContentLength = 0
			if res, _ := do(t, rt, req); res.StatusCode != http.StatusOK {
				t.Error(res.Status)
			}
		}
	})
}
