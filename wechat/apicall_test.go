package wechat_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// post is a call with a JSON body.
func post(path, body string) wechat.Call {
	return wechat.Call{
		Method: http.MethodPost, Path: path, Header: http.Header{"Content-Type": {"application/json"}},
		Body: strings.NewReader(body), ContentLength: int64(len(body)),
	}
}

func get(path, query string) wechat.Call {
	return wechat.Call{Method: http.MethodGet, Path: path, RawQuery: query}
}

// answer makes a call and reads what comes back.
func answer(t *testing.T, tokens *wechat.ServerTokens, call wechat.Call) (*http.Response, string) {
	t.Helper()
	res, err := tokens.Do(t.Context(), app, call)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// message is a customer-service message to a follower.
func message(s *wechattest.Server) wechat.Call {
	return post("cgi-bin/message/custom/send", fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"你好 <&>"}}`, s.OpenID("xiaomei", appid)))
}

// upstream is a server of the test's own that hands out the tokens token1, token2
// and so on, and serves all else with h.
func upstream(t *testing.T, cfg wechat.Config, h http.HandlerFunc) *wechat.ServerTokens {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wechattest.StableTokenPath {
			mu.Lock()
			defer mu.Unlock()
			n++
			fmt.Fprintf(w, `{"access_token":"token%d","expires_in":7200}`, n)
			return
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	if cfg.APIURL == "" {
		cfg.APIURL = s.URL
	}
	if cfg.HTTP == nil {
		cfg.HTTP = s.Client()
	}
	return wechat.NewServerTokens(wechat.New(cfg))
}

// overTransport hands out the tokens token1, token2 and so on, and passes all else
// to other.
func overTransport(cfg wechat.Config, other transport) *wechat.ServerTokens {
	var n atomic.Int32
	timeout := time.Duration(0)
	if cfg.HTTP != nil {
		timeout = cfg.HTTP.Timeout
	}
	cfg.HTTP = &http.Client{Timeout: timeout, Transport: transport(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == wechattest.StableTokenPath {
			return respond(fmt.Sprintf(`{"access_token":"token%d","expires_in":7200}`, n.Add(1))), nil
		}
		return other(r)
	})}
	return wechat.NewServerTokens(wechat.New(cfg))
}

func respond(body string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
}

func TestDo(t *testing.T) {
	s, tokens := startServer(t)
	res, body := answer(t, tokens, message(s))
	if res.StatusCode != 200 || res.Status != "200 OK" || body != `{"errcode":0,"errmsg":"ok"}` || res.Header.Get("Content-Type") != "text/plain" || res.ContentLength != int64(len(body)) {
		t.Errorf("got %s, %d bytes, %v, %s", res.Status, res.ContentLength, res.Header, body)
	}
	if sent := s.CustomMessages(); len(sent) != 1 || sent[0].OpenID != s.OpenID("xiaomei", appid) || !strings.Contains(string(sent[0].Body), "你好 <&>") {
		t.Errorf("sent %+v", sent)
	}
	// A refusal by the interface is an answer.
	if _, body := answer(t, tokens, post("cgi-bin/message/custom/send", `{"touser":"oNobody","msgtype":"text"}`)); !strings.HasPrefix(body, `{"errcode":40003,`) {
		t.Errorf("got %s", body)
	}
	if res, _ := answer(t, tokens, get("cgi-bin/no/such", "")); res.StatusCode != 404 {
		t.Errorf("status %d", res.StatusCode)
	}
	wantCalls(t, s, wechattest.StableTokenPath, 1)
	wantCalls(t, s, wechattest.CustomSendPath, 2)

	// Without a token there is no call.
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "192.0.2.1" })
	s.Advance(2 * time.Hour)
	_, err := tokens.Do(t.Context(), app, message(s))
	wantAPIError(t, err, 40164, wechat.KindConfig)
	wantCalls(t, s, wechattest.CustomSendPath, 2)
}

// What reaches WeChat of a call, and the app of an answer.
func TestWhatIsPassedOn(t *testing.T) {
	var got *http.Request
	var gotBody string
	tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, gotBody = r, string(body)
		h := w.Header()
		h.Set("Content-Type", "image/png")
		h.Set("Content-Disposition", `attachment; filename="x.png"`)
		h.Set("Retry-After", "7")
		h.Set("Set-Cookie", "a=b")
		h.Set("X-Query", r.URL.RawQuery)
		h.Set("Location", r.URL.String())
		h.Add("Cache-Control", "no-cache")
		h.Add("Cache-Control", r.URL.Query().Get("access_token"))
		h.Set("Trailer", "X-Late")
		w.WriteHeader(418)
		io.WriteString(w, "\x00\xffnot text")
		h.Set("X-Late", r.URL.RawQuery)
	})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		call := wechat.Call{
			Method: method, Path: "wxa/Some_thing-2/x.y", RawQuery: "a=1&b=%2f+%E4%BD%A0&&c;d=\xe4\xbd\xa0",
			Header: http.Header{
				"Content-Type": {"text/x; a=b", "second"}, "Accept": {"image/*"}, "Cookie": {"a=b"}, "Authorization": {"Bearer x"},
				"Accept-Encoding": {"gzip"}, "X-Forwarded-For": {"192.0.2.1"}, "Host": {"evil.example"}, "Range": {"bytes=0-1"},
			},
		}
		wantLength := int64(0)
		if method == "POST" || method == "PUT" {
			call.Body, call.ContentLength, wantLength = strings.NewReader("four"), 4, 4
		}
		if method == "PATCH" {
			call.Body, call.ContentLength, wantLength = strings.NewReader("four"), -1, -1
		}
		res, body := answer(t, tokens, call)
		if got.Method != method || got.URL.Path != "/wxa/Some_thing-2/x.y" || got.URL.RawQuery != "access_token=token1&"+call.RawQuery {
			t.Errorf("%s %s?%s", got.Method, got.URL.Path, got.URL.RawQuery)
		}
		if got.ContentLength != wantLength || gotBody != map[bool]string{false: "", true: "four"}[wantLength != 0] {
			t.Errorf("%s: %d bytes: %q", method, got.ContentLength, gotBody)
		}
		want := http.Header{"Content-Type": {"text/x; a=b"}, "Accept": {"image/*"}, "Accept-Encoding": {"identity"}, "User-Agent": {"wxgate"}}
		got.Header.Del("Content-Length")
		for name, values := range got.Header {
			if !slices.Equal(values, want[name]) {
				t.Errorf("%s: sent %s: %q", method, name, values)
			}
		}
		if len(got.Header) != len(want) {
			t.Errorf("%s: sent %v", method, got.Header)
		}

		if method == "HEAD" {
			continue
		}
		if res.StatusCode != 418 || res.Status != "418 I'm a teapot" || body != "\x00\xffnot text" || res.Request != nil || len(res.Trailer) != 0 {
			t.Errorf("%s: %s, %q", method, res.Status, body)
		}
		res.Header.Del("Date")
		wantHeader := http.Header{
			"Content-Type": {"image/png"}, "Content-Disposition": {`attachment; filename="x.png"`}, "Retry-After": {"7"}, "Cache-Control": {"no-cache"},
		}
		for name, values := range res.Header {
			if !slices.Equal(values, wantHeader[name]) {
				t.Errorf("%s: answered %s: %q", method, name, values)
			}
		}
		if len(res.Header) != len(wantHeader) {
			t.Errorf("%s: answered %v", method, res.Header)
		}
	}
}

// An app that has a token, or thinks so, does not get it through.
func TestQueryCarriesOneToken(t *testing.T) {
	var got string
	tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) { got = r.URL.RawQuery })
	for query, want := range map[string]string{
		"":                                         "",
		"a=1":                                      "&a=1",
		"access_token=x":                           "",
		"access_token":                             "",
		"access_token=x&a=1":                       "&a=1",
		"a=1&access_token=x":                       "&a=1",
		"a=1&access_token=x&b=2":                   "&a=1&b=2",
		"a=1;access_token=x;b=2&c":                 "&a=1;b=2&c",
		"ACCESS_TOKEN=x&Access_Token=y":            "",
		"access%5Ftoken=x&a=1":                     "&a=1",
		"%61ccess_toke%6E=x":                       "",
		"%2561ccess%255ftoken=x":                   "",
		"%252561ccess_token=x":                     "",
		"access.token=x&access-token=y":            "",
		"access_token[]=x&+access_token=":          "",
		"access_token%00=x&%zz":                    "&%zz",
		"access_token%5B0%5D=x":                    "",
		"a=access_token=x":                         "&a=access_token=x",
		"x_access_token=1&access_tokens=":          "&x_access_token=1&access_tokens=",
		"type=image&media_id=a%26access_token%3Dx": "&type=image&media_id=a%26access_token%3Dx",
		"&&": "&&",
	} {
		if _, err := tokens.Do(t.Context(), app, get("cgi-bin/x", query)); err != nil {
			t.Fatal(err)
		}
		if got != "access_token=token1"+want {
			t.Errorf("%q became %q", query, got)
		}
	}
}

func TestRefusedCalls(t *testing.T) {
	s, tokens := startServer(t)
	wantRefused := func(call wechat.Call) {
		t.Helper()
		_, err := tokens.Do(t.Context(), app, call)
		if !errors.Is(err, wechat.ErrCallRefused) {
			t.Errorf("%q: got %v", call.Path, err)
		}
		if err != nil && len(call.Path) > 8 && strings.Contains(err.Error(), call.Path) {
			t.Errorf("%q repeated in %v", call.Path, err)
		}
	}
	for _, path := range []string{
		"cgi-bin/token", "cgi-bin/stable_token", "CGI-BIN/Token", "cgi-bin/token/x", "cgi-bin/component/api_component_token",
		"cgi-bin/component/api_query_auth", "cgi-bin/Component/clear_quota/v2", "cgi-bin/component", "wxa/component/fastregisterpersonalweapp",
		"componenttcb/describeenvs", "sns/oauth2/access_token", "sns/oauth2/refresh_token", "sns/oauth2/component/access_token",
		"sns/component/jscode2session", "sns/jscode2session", "sns/userinfo", "sns/auth", "SNS/userinfo", "sns",
		"cgi-bin/clear_quota/v2", "cgi-bin/Clear_Quota/V2", "cgi-bin/clear_quota/v2/x", "donut/code2verifyinfo", "tcb/getqcloudtoken",
		"cgi-bin/service/get_provider_token", "cgi-bin/x/reset_secret",

		"", "/", ".", "..", "/cgi-bin/menu/get", "cgi-bin/menu/get/", "cgi-bin//menu/get", "cgi-bin/./menu/get", "cgi-bin/../cgi-bin/menu/get",
		"cgi-bin/menu/..", "cgi-bin/.menu/get", "cgi-bin/menu./get", "cgi-bin/menu..x/get", "cgi-bin/menu/get.", "cgi-bin%2fmenu/get", "cgi-bin/%74oken",
		"cgi-bin/menu/get?x", "cgi-bin/menu/get#x", "cgi-bin/menu;x/get", "cgi-bin\\token", "cgi-bin/menu/get ", "cgi-bin/menu/get\n", "cgi-bin/menu\x00",
		"@evil.example/x", "x:y@evil.example/x", "//evil.example/x", "http://evil.example/x", "cgi-bin/菜单", "cgi-bin/tok\u212an", "cgi-bin/x=y", "cgi-bin/x~y",
		strings.Repeat("x", 257),
	} {
		wantRefused(get(path, ""))
	}
	for _, query := range []string{"a b", "a=1#b", "a\nb", "a\x00", "a\x7f", "a=1 HTTP/1.1\r\nX: y"} {
		wantRefused(get("cgi-bin/menu/get", query))
	}
	for _, method := range []string{"", "get", "CONNECT", "TRACE", "OPTIONS", "GET /x", "PRI"} {
		wantRefused(wechat.Call{Method: method, Path: "cgi-bin/menu/get"})
	}
	if n := len(s.Journal()); n != 0 {
		t.Errorf("%d calls", n)
	}
	for _, path := range []string{strings.Repeat("x", 256), "cgi-bin/clear_quota", "cgi-bin/clear_quota/v20", "wxa/business/getuserphonenumber", "snsx/y", "cgi-bin/ticket/getticket", "a", "A-_9.z/0"} {
		if _, err := tokens.Do(t.Context(), app, get(path, "")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

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

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := 0
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		tokens := upstream(t, wechat.Config{}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+"/?"+r.URL.RawQuery, status)
		})
		res, _ := answer(t, tokens, get("x", ""))
		if res.StatusCode != status || res.Header.Get("Location") != "" {
			t.Errorf("status %d, %v", res.StatusCode, res.Header)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
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

func TestCallsAreObserved(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	s, c := start(t, wechat.Config{Observe: func(api, class string, _ time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, api+" "+class)
	}})
	tokens := wechat.NewServerTokens(c)
	answer(t, tokens, message(s))
	for _, fault := range []wechattest.Fault{wechattest.Busy, {Errcode: 48001}, {Errcode: 99999}, {Errcode: 40001}, {Status: 502}, {Body: func([]byte) []byte { return []byte(`{"errcode":{}}`) }}, wechattest.HTML, wechattest.Drop} {
		s.Inject(wechattest.CustomSendPath, fault)
		if res, err := tokens.Do(t.Context(), app, message(s)); err == nil {
			res.Body.Close()
		}
	}
	tokens.Do(t.Context(), app, get("sns/userinfo", "")) // not a call
	want := []string{
		"cgi-bin/stable_token ok", "app_api ok", "app_api busy", "app_api config", "app_api unknown", "app_api token",
		"cgi-bin/stable_token ok", "app_api ok", "app_api unavailable", "app_api unavailable", "app_api ok", "app_api unavailable",
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
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

// noise is binary, and different everywhere.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
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

// trickle reads a little at a time.
type trickle struct {
	r io.Reader
	n int
}

func (t *trickle) Read(p []byte) (int, error) { return t.r.Read(p[:min(len(p), t.n)]) }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
