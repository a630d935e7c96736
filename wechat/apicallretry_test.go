package wechat_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// A void token costs one more call with the next one, which the app does not see.
func TestCallWithVoidToken(t *testing.T) {
	upload, form := mediaForm(1000)
	calls := []struct {
		name, path string
		call       func(*wechattest.Server) wechat.Call
	}{
		{"JSON", wechattest.CustomSendPath, message},
		{"chunked JSON", wechattest.CustomSendPath, func(s *wechattest.Server) wechat.Call {
			call := message(s)
			call.Body, call.ContentLength = io.MultiReader(call.Body), -1
			return call
		}},
		{"file", wechattest.MediaUploadPath, func(*wechattest.Server) wechat.Call {
			return wechat.Call{Method: "POST", Path: "cgi-bin/media/upload", RawQuery: "type=image", Header: form, Body: bytes.NewReader(upload), ContentLength: int64(len(upload))}
		}},
		{"GET that says it has a body", wechattest.MenuDeletePath, func(*wechattest.Server) wechat.Call {
			return wechat.Call{Method: "GET", Path: "cgi-bin/menu/delete", ContentLength: -1}
		}},
		{"GET", wechattest.MenuDeletePath, func(*wechattest.Server) wechat.Call { return get("cgi-bin/menu/delete", "") }},
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			s, tokens := startServer(t)
			if _, err := tokens.Token(t.Context(), app); err != nil {
				t.Fatal(err)
			}
			s.VoidServerToken(appid)
			if _, body := answer(t, tokens, tt.call(s)); strings.Contains(body, "errcode\":4") {
				t.Errorf("got %s", body)
			}
			wantCalls(t, s, tt.path, 2)
			wantCalls(t, s, wechattest.StableTokenPath, 2)
			journal := s.Calls(tt.path)
			if one, two := journal[0].Query.Get("access_token"), journal[1].Query.Get("access_token"); one == "" || one == two {
				t.Error("the same token again")
			}

			for _, code := range []int{40001, 40014, 42001} {
				s.ForgetJournal()
				s.Inject(tt.path, wechattest.Fault{Errcode: code, Times: 2})
				if _, body := answer(t, tokens, tt.call(s)); !strings.HasPrefix(body, fmt.Sprintf(`{"errcode":%d,`, code)) {
					t.Errorf("void for good: %s", body)
				}
				wantCalls(t, s, tt.path, 2)
			}
			for _, fault := range []wechattest.Fault{{Errcode: 45009}, {Errcode: 40003}, wechattest.Busy, wechattest.HTML, {Status: 500}} {
				s.ForgetJournal()
				s.Inject(tt.path, fault)
				answer(t, tokens, tt.call(s))
				wantCalls(t, s, tt.path, 1)
				wantCalls(t, s, wechattest.StableTokenPath, 0)
			}
		})
	}
}

// When the next token cannot be had, that is the error.
func TestVoidTokenAndNoOther(t *testing.T) {
	s, tokens := startServer(t)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	s.VoidServerToken(appid)
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "192.0.2.1" })
	_, err := tokens.Do(t.Context(), app, message(s))
	wantAPIError(t, err, 40164, wechat.KindConfig)
	wantCalls(t, s, wechattest.CustomSendPath, 1)
}

// Of the body it is the second call that counts, and it is the same.
func TestRepeatedBodyIsWhole(t *testing.T) {
	for _, length := range []int{1, 1<<20 - 1, 1 << 20} {
		for _, known := range []bool{true, false} {
			var got [][]byte
			tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got = append(got, body)
				if r.URL.Query().Get("access_token") == "token1" {
					io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential"}`)
				}
			})
			sent := noise(length)
			call := wechat.Call{Method: "POST", Path: "x", Body: &trickle{bytes.NewReader(sent), length/10 + 1}, ContentLength: int64(length)}
			if !known {
				call.ContentLength = -1
			}
			if _, body := answer(t, tokens, call); body != "" {
				t.Errorf("answer %s", body)
			}
			if len(got) != 2 || !bytes.Equal(got[0], sent) || !bytes.Equal(got[1], sent) {
				t.Errorf("%d bytes: %d calls, or other bytes", length, len(got))
			}
		}
	}
}

// A large body is not kept, so the answer is passed on, and the next call is well.
func TestLargeBodyIsNotRepeated(t *testing.T) {
	for _, known := range []bool{true, false} {
		s, tokens := startServer(t)
		if _, err := tokens.Token(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		s.VoidServerToken(appid)
		body, form := mediaForm(1 << 20)
		upload := func() wechat.Call {
			call := wechat.Call{Method: "POST", Path: "cgi-bin/media/upload", RawQuery: "type=video", Header: form, Body: bytes.NewReader(body), ContentLength: -1}
			if known {
				call.ContentLength = int64(len(body))
			}
			return call
		}
		if _, text := answer(t, tokens, upload()); !strings.HasPrefix(text, `{"errcode":40001,`) {
			t.Errorf("got %s", text)
		}
		wantCalls(t, s, wechattest.MediaUploadPath, 1)
		if _, text := answer(t, tokens, upload()); !strings.Contains(text, `"media_id":"`) {
			t.Errorf("got %s", text)
		}
		wantCalls(t, s, wechattest.MediaUploadPath, 2)
		wantCalls(t, s, wechattest.StableTokenPath, 2)
	}
}

// Nor is one of which the rest is still to come when the answer does.
func TestUnfinishedBodyIsNotRepeated(t *testing.T) {
	calls := 0
	tokens := overTransport(wechat.Config{}, func(r *http.Request) (*http.Response, error) {
		calls++
		if b := make([]byte, 5); calls == 1 {
			if _, err := io.ReadFull(r.Body, b); err != nil || string(b) != "first" {
				t.Errorf("sent %q, %v", b, err)
			}
		}
		return respond(`{"errcode":40001,"errmsg":"invalid credential"}`), nil
	})
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("first"))
	_, body := answer(t, tokens, wechat.Call{Method: "POST", Path: "x", Body: r, ContentLength: 10})
	if calls != 1 || !strings.Contains(body, "40001") {
		t.Errorf("%d calls, %s", calls, body)
	}
	if token, err := tokens.Token(t.Context(), app); err != nil || token != "token2" {
		t.Errorf("token %q, %v", token, err)
	}
}

// Only what can be an answer about a token is taken for one.
func TestAnswersThatAreLeftAlone(t *testing.T) {
	const void = `{"errcode":40001,"errmsg":"invalid credential"}`
	for _, tt := range []struct {
		name, kind, body string
		repeated         bool
	}{
		{"JSON", "application/json; encoding=utf-8", void, true},
		{"JSON called text", "text/plain", void, true},
		{"JSON called nothing", "", void, true},
		{"JSON called nonsense", ";;", void, true},
		{"JSON with a byte order mark", "text/plain", "\xef\xbb\xbf" + void, true},
		{"JSON after spaces", "text/plain", " \r\n\t" + void, true},
		{"as a string", "text/plain", `{"errcode":"40001"}`, true},
		{"JSON called a picture, badly", "image/jpeg; x", void, false},
		{"JSON called a picture", "image/jpeg", void, false},
		{"JSON called a file", "application/octet-stream", void, false},
		{"within a text", "text/plain", "x" + void, false},
		{"within an array", "text/plain", "[" + void + "]", false},
		{"large", "application/json", `{"x":"` + strings.Repeat("x", 4096) + `",` + void[1:], false},
		{"large text", "text/plain", strings.Repeat(void, 1000), false},
		{"empty", "text/plain", "", false},
	} {
		for _, chunked := range []bool{false, true} {
			calls := 0
			tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
				calls++
				w.Header()["Content-Type"] = []string{tt.kind}
				if tt.kind == "" {
					w.Header()["Content-Type"] = nil
				}
				if chunked {
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, tt.body)
			})
			_, body := answer(t, tokens, get("x", ""))
			if body != tt.body {
				t.Errorf("%s: other bytes", tt.name)
			}
			if repeated := calls == 2; repeated != tt.repeated {
				t.Errorf("%s: %d calls", tt.name, calls)
			}
		}
	}
}

// Many at once meet a void token, and each is repeated at most once.
func TestManyCallsWithVoidToken(t *testing.T) {
	s, tokens := startServer(t)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	s.VoidServerToken(appid)
	const n = 32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			res, err := tokens.Do(t.Context(), app, message(s))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != `{"errcode":0,"errmsg":"ok"}` {
				t.Errorf("got %s, %v", body, err)
			}
		})
	}
	wg.Wait()
	if sent := len(s.CustomMessages()); sent != n {
		t.Errorf("%d messages", sent)
	}
	if calls := len(s.Calls(wechattest.CustomSendPath)); calls > 2*n {
		t.Errorf("%d calls", calls)
	}
}

// noise is binary, and different everywhere.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
}

// trickle reads a little at a time.
type trickle struct {
	r io.Reader
	n int
}

func (t *trickle) Read(p []byte) (int, error) { return t.r.Read(p[:min(len(p), t.n)]) }
