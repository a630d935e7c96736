package wechat_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	return wechat.NewServerTokens(wechat.New(cfg), nil)
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
	return wechat.NewServerTokens(wechat.New(cfg), nil)
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
		"access_token%00y=x":                       "",
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

func TestCallsAreObserved(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	s, c := start(t, wechat.Config{Observe: func(api, class string, _ time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, api+" "+class)
	}})
	tokens := wechat.NewServerTokens(c, nil)
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
