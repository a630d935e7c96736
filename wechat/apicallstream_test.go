package wechat_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// WeChat sees the first bytes before the app has sent the last, and the other way
// round.
func TestBodiesStream(t *testing.T) {
	arrived, answered := make(chan string), make(chan struct{})
	tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		for range 2 {
			if _, err := io.ReadFull(r.Body, b); err != nil {
				t.Error(err)
			}
			arrived <- string(b)
		}
		w.Header().Set("Content-Type", "video/mp4")
		io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		<-answered
		io.WriteString(w, "endof")
	})
	for _, length := range []int64{10, -1} {
		r, w := io.Pipe()
		done := make(chan *http.Response)
		go func() {
			res, err := tokens.Do(t.Context(), app, wechat.Call{Method: "POST", Path: "x", Body: r, ContentLength: length})
			if err != nil {
				t.Error(err)
			}
			done <- res
		}()
		for _, part := range []string{"first", "later"} {
			io.WriteString(w, part)
			if got := <-arrived; got != part {
				t.Errorf("arrived %q", got)
			}
		}
		w.Close()
		res := <-done
		b := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "begin" {
			t.Errorf("got %q, %v", b, err)
		}
		answered <- struct{}{}
		if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "endof" {
			t.Errorf("got %q, %v", rest, err)
		}
		res.Body.Close()
	}
}

// Nobody waits for the rest of an answer to look into it, if it cannot be one about
// the token.
func TestAnswersThatAreNotWaitedFor(t *testing.T) {
	for _, tt := range []struct{ kind, length, begin string }{
		{"video/mp4", "", "{"},
		{"text/plain", "", "x"},
		{"application/json", "5000", "{"},
	} {
		seen := make(chan struct{})
		tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", tt.kind)
			if tt.length != "" {
				w.Header().Set("Content-Length", tt.length)
			}
			io.WriteString(w, tt.begin)
			w.(http.Flusher).Flush()
			<-seen
		})
		res, err := tokens.Do(t.Context(), app, get("x", ""))
		close(seen)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
}

// tracked is a body that knows whether it was closed.
type tracked struct {
	io.Reader
	closed *int
}

func (t tracked) Close() error { *t.closed++; return nil }

// Whatever becomes of an answer, its connection is given back.
func TestAnswersAreClosed(t *testing.T) {
	const void = `{"errcode":40001}`
	for _, tt := range []struct {
		name   string
		bodies []io.Reader // of the first answer, and so on
	}{
		{"read by the app", []io.Reader{strings.NewReader("{}")}},
		{"repeated", []io.Reader{strings.NewReader(void), strings.NewReader("{}")}},
		{"repeated in vain", []io.Reader{strings.NewReader(void), strings.NewReader(void)}},
		{"broken where it is looked into", []io.Reader{io.MultiReader(strings.NewReader("{"), failing{io.ErrUnexpectedEOF})}},
	} {
		opened, closed := 0, 0
		var ctxs []context.Context
		tokens := overTransport(wechat.Config{}, func(r *http.Request) (*http.Response, error) {
			res := respond("")
			res.Body = tracked{tt.bodies[opened], &closed}
			opened++
			ctxs = append(ctxs, r.Context())
			return res, nil
		})
		res, err := tokens.Do(t.Context(), app, get("x", ""))
		if err == nil {
			if closed != opened-1 {
				t.Errorf("%s: %d of %d are closed already", tt.name, closed, opened)
			}
			res.Body.Close()
		}
		if opened != len(tt.bodies) || closed != opened {
			t.Errorf("%s: %d of %d closed", tt.name, closed, opened)
		}
		for _, ctx := range ctxs {
			if ctx.Err() == nil {
				t.Errorf("%s: the call goes on", tt.name)
			}
		}
	}
}

// Files of any size go both ways without being kept.
func TestLargeFiles(t *testing.T) {
	const size = 64 << 20
	s, tokens := startServer(t)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	head, tail, form := mediaFrame()
	length := int64(len(head)+len(tail)) + size
	sum := sha256.New()
	res, text := answer(t, tokens, wechat.Call{
		Method: "POST", Path: "cgi-bin/media/upload", RawQuery: "type=video", Header: form, ContentLength: length,
		Body: io.MultiReader(strings.NewReader(head), io.TeeReader(pattern(size), sum), strings.NewReader(tail)),
	})
	_, id, _ := strings.Cut(text, `"media_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	if m, found := s.Medium(id); res.StatusCode != 200 || !found || m.Size != size || m.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("uploaded: %s, %+v", text, m)
	}

	for _, told := range []int64{size, -1} {
		id = s.AddMedium(wechattest.Medium{AppID: appid, ContentType: "video/mp4", Name: "x.mp4", Size: told, Open: func() io.Reader { return pattern(size) }})
		res, err := tokens.Do(t.Context(), app, get("cgi-bin/media/get", "media_id="+id))
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.New()
		n, err := io.Copy(got, res.Body)
		res.Body.Close()
		if err != nil || n != size || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
			t.Errorf("got %d bytes, %v, or others", n, err)
		}
		if res.ContentLength != told || res.Header.Get("Content-Type") != "video/mp4" || res.Header.Get("Content-Disposition") != `attachment; filename="x.mp4"` {
			t.Errorf("%d bytes told, headers %v", res.ContentLength, res.Header)
		}
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 24 {
		t.Errorf("%d MiB allocated on the way", used)
	}
}

func TestCancelledCalls(t *testing.T) {
	reached, hang := make(chan struct{}), make(chan struct{})
	tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
			io.WriteString(w, "{")
			w.(http.Flusher).Flush()
		}
		if r.Method == "PUT" {
			io.Copy(io.Discard, r.Body)
		}
		reached <- struct{}{}
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	stuck, w := io.Pipe()
	defer w.Close()
	for name, call := range map[string]wechat.Call{
		"waiting for the answer": {Method: "PUT", Path: "x"},
		"waiting for the app":    {Method: "POST", Path: "x", Body: stuck, ContentLength: -1},
		"looking into it":        {Method: "GET", Path: "x", RawQuery: "type=text/plain"},
		"reading the answer":     {Method: "GET", Path: "x", RawQuery: "type=image/png"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-reached
			if name != "reading the answer" {
				cancel()
			}
		}()
		res, err := tokens.Do(ctx, app, call)
		if name == "reading the answer" {
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		} else if _, ok := errors.AsType[*wechat.UnavailableError](err); !ok {
			t.Errorf("%s: got %v", name, err)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
		cancel()
	}
}

// A call that the app breaks off does not blame WeChat.
func TestBrokenAppBody(t *testing.T) {
	tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	broken := errors.New("the app hung up")
	for _, length := range []int64{10, -1} {
		_, err := tokens.Do(t.Context(), app, wechat.Call{Method: "POST", Path: "x", Body: io.MultiReader(strings.NewReader("first"), failing{broken}), ContentLength: length})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

// mediaFrame is what stands around a file in a form.
func mediaFrame() (head, tail string, form http.Header) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.CreateFormFile("media", "x.bin")
	head = b.String()
	b.Reset()
	w.Close()
	return head, b.String(), http.Header{"Content-Type": {w.FormDataContentType()}}
}

func mediaForm(size int) (body []byte, form http.Header) {
	head, tail, form := mediaFrame()
	return slices.Concat([]byte(head), noise(size), []byte(tail)), form
}

// pattern is n bytes that need no memory.
func pattern(n int64) io.Reader { return io.LimitReader(&counting{}, n) }

type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.n
		c.n += 7
	}
	return len(p), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
