package wechattest_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

const (
	pushToken = "tokenOfThePush"
	aesKey    = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
)

// inbox is a site that pushes come to.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []*http.Request
	bodies []string
}

// receive answers pushes by answer, which gets the body.
func receive(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body string)) *inbox {
	t.Helper()
	i := &inbox{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i.mu.Lock()
		i.seen, i.bodies = append(i.seen, r), append(i.bodies, string(body))
		i.mu.Unlock()
		answer(w, r, string(body))
	}))
	t.Cleanup(i.Close)
	return i
}

// count is for after a request that was cut, which orders nothing.
func (i *inbox) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.seen)
}

func word(text string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) { io.WriteString(w, text) }
}

func pushTo(s *wechattest.Server, link string, mode wechattest.PushMode) {
	s.AddApp(wechattest.App{ID: appid, Secret: secret, Bound: true, Push: wechattest.PushSettings{URL: link, Token: pushToken, AESKey: aesKey, Mode: mode}})
}

func TestVerifyPush(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request, _ string) {
		io.WriteString(w, r.URL.Query().Get("echostr"))
	}
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, string)
		want   string
	}{
		{"right", echo, ""},
		{"success", word("success"), "not the echostr"},
		{"with a line break", func(w http.ResponseWriter, r *http.Request, b string) { echo(w, r, b); io.WriteString(w, "\n") }, "not the echostr"},
		{"refused", func(w http.ResponseWriter, r *http.Request, b string) { w.WriteHeader(403); echo(w, r, b) }, "status 403"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/other?"+r.URL.RawQuery, http.StatusFound)
		}, "status 302"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, i := start(t), receive(t, tt.answer)
			settings := wechattest.PushSettings{URL: i.URL + "/push?x=1", Token: pushToken}
			err := s.VerifyPush(t.Context(), appid, settings)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			want := map[bool]string{true: "verified", false: "not verified"}[err == nil]
			if e := last(t, s); e.Result != want || e.Path != "/push" || e.Method != "GET" || e.Query.Get("echostr") == "" {
				t.Errorf("journal %+v", e)
			}
			r := i.seen[0]
			if len(i.seen) != 1 || r.Method != "GET" || !regexp.MustCompile(`^x=1&signature=[0-9a-f]{40}&echostr=\d+&timestamp=\d{10}&nonce=\d{1,10}$`).MatchString(r.URL.RawQuery) {
				t.Errorf("%d requests, the first %s %s", len(i.seen), r.Method, r.URL)
			}
			if p := s.PushText(t.Context(), appid, "xiaomei", "你好"); (len(p.Attempts) != 0) != (err == nil) {
				t.Errorf("after it: %+v", p)
			}
		})
	}
	s := start(t)
	for name, settings := range map[string]wechattest.PushSettings{
		"no URL":        {Token: pushToken},
		"no http":       {URL: "ftp://play.example.com", Token: pushToken},
		"no host":       {URL: "http:///push", Token: pushToken},
		"fragment":      {URL: "http://127.0.0.1:1/#x", Token: pushToken},
		"port":          {URL: "https://play.example.com:8443/", Token: pushToken},
		"short token":   {URL: "https://play.example.com/", Token: "ab"},
		"odd token":     {URL: "https://play.example.com/", Token: "a-b-c"},
		"short key":     {URL: "https://play.example.com/", Token: pushToken, AESKey: aesKey[1:]},
		"no key":        {URL: "https://play.example.com/", Token: pushToken, Mode: wechattest.PushSafe},
		"no key either": {URL: "https://play.example.com/", Token: pushToken, Mode: wechattest.PushCompatible},
		"odd mode":      {URL: "https://play.example.com/", Token: pushToken, Mode: "aes"},
	} {
		if s.VerifyPush(t.Context(), appid, settings) == nil {
			t.Errorf("%s: verified", name)
		}
		wantPanic(t, name, func() { s.AddApp(wechattest.App{ID: appid, Secret: secret, Push: settings}) })
	}
	if len(s.Journal()) != 0 {
		t.Error("wrong settings were tried")
	}
	if err := s.VerifyPush(t.Context(), "wx9999999999999999", wechattest.PushSettings{URL: receive(t, echo).URL, Token: pushToken}); err == nil {
		t.Error("an unknown app got a push URL")
	}
}

func TestPlainPush(t *testing.T) {
	s, i := start(t), receive(t, word("success"))
	pushTo(s, i.URL+"/push", wechattest.PushPlain)
	s.Advance(time.Until(time.Unix(1760000000, 0)))
	if p := s.PushText(t.Context(), appid, "xiaomei", "你好 ]]> <b>"); p.Err != nil || p.Reply != "" || len(p.Attempts) != 1 || p.Attempts[0].Took <= 0 {
		t.Fatalf("%+v", p)
	}
	r := i.seen[0]
	if r.Method != "POST" || r.Header.Get("Content-Type") != "text/xml" ||
		!regexp.MustCompile(`^/push\?signature=[0-9a-f]{40}&timestamp=17600000\d\d&nonce=\d{1,10}&openid=o[\w-]{27}$`).MatchString(r.URL.String()) {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	var m struct {
		XMLName                                           xml.Name `xml:"xml"`
		ToUserName, FromUserName, MsgType, Content, MsgId string
		CreateTime                                        int64
	}
	if err := xml.Unmarshal([]byte(i.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	if m.ToUserName != s.OriginalID(appid) || m.FromUserName != s.OpenID("xiaomei", appid) || m.MsgType != "text" || m.Content != "你好 ]]> <b>" ||
		len(m.MsgId) != 17 || m.CreateTime/100 != 17600000 {
		t.Errorf("%+v", m)
	}
	if r.URL.Query().Get("openid") != m.FromUserName || !regexp.MustCompile(`^gh_[0-9a-f]{12}$`).MatchString(m.ToUserName) {
		t.Errorf("openid %s, account %s", r.URL.Query().Get("openid"), m.ToUserName)
	}
	if e := last(t, s); e.Result != "accepted" || e.Path != "/push" || e.Method != "POST" || e.Player != "xiaomei" || e.Query.Get("nonce") == "" {
		t.Errorf("journal %+v", e)
	}
	if p := s.PushText(t.Context(), appid, "nobody", "x"); p.Err == nil || len(i.seen) != 1 {
		t.Error("a message of an unknown player")
	}
	if p := s.PushText(t.Context(), website, "xiaomei", "x"); p.Err == nil || len(i.seen) != 1 {
		t.Error("a message to an app without push settings")
	}
}

func TestPushEvents(t *testing.T) {
	s, i := start(t), receive(t, word(""))
	pushTo(s, i.URL, wechattest.PushPlain)
	openid, unionid := s.OpenID("aqiang", appid), s.UnionID("aqiang", appid)
	for _, tt := range []struct {
		event   string
		more    []string
		want    []string
		wantNot []string
	}{
		{wechattest.EventSubscribe, nil, []string{"<FromUserName><![CDATA[" + openid, "<EventKey><![CDATA[]]></EventKey>"}, []string{"OpenID"}},
		{wechattest.EventSubscribe, []string{"EventKey", "qrscene_7", "Ticket", "T"}, []string{"<EventKey><![CDATA[qrscene_7]]></EventKey>\n<Ticket><![CDATA[T"}, []string{"<EventKey><![CDATA[]]>"}},
		{wechattest.EventUnsubscribe, nil, []string{"<FromUserName><![CDATA[" + openid}, nil},
		{wechattest.EventUserInfoModified, nil, []string{"<OpenID><![CDATA[" + openid, "<UnionID><![CDATA[" + unionid, "<AppID><![CDATA[" + appid}, []string{"<FromUserName><![CDATA[" + openid, "RevokeInfo"}},
		{wechattest.EventRevoke, nil, []string{"<OpenID><![CDATA[" + openid, "<RevokeInfo><![CDATA[205]]>"}, []string{"<FromUserName><![CDATA[" + openid}},
		{wechattest.EventRevoke, []string{"RevokeInfo", "206"}, []string{"<RevokeInfo><![CDATA[206]]>"}, []string{"205"}},
		{wechattest.EventCancellation, nil, []string{"<OpenID><![CDATA[" + openid}, []string{"<FromUserName><![CDATA[" + openid, "RevokeInfo"}},
		{"CLICK", []string{"EventKey", "k"}, []string{"<FromUserName><![CDATA[" + openid, "<EventKey><![CDATA[k]]>"}, nil},
	} {
		t.Run(tt.event+fmt.Sprint(tt.more), func(t *testing.T) {
			if p := s.PushEvent(t.Context(), appid, "aqiang", tt.event, tt.more...); p.Err != nil {
				t.Fatal(p.Err)
			}
			body := i.bodies[len(i.bodies)-1]
			for _, want := range append(tt.want, "<Event><![CDATA["+tt.event+"]]></Event>", "<MsgType><![CDATA[event]]></MsgType>") {
				if !strings.Contains(body, want) {
					t.Errorf("no %s in %s", want, body)
				}
			}
			for _, not := range tt.wantNot {
				if strings.Contains(body, not) {
					t.Errorf("%s in %s", not, body)
				}
			}
			if e := last(t, s); e.Player != "aqiang" {
				t.Errorf("journal %+v", e)
			}
			for _, p := range s.Players() {
				want := p.ID == "xiaomei" || p.ID == "aqiang" && tt.event == wechattest.EventSubscribe
				if p.Follower != want {
					t.Errorf("follower %s: %v", p.ID, p.Follower)
				}
			}
		})
	}
	if p := s.PushEvent(t.Context(), appid, "nobody", wechattest.EventSubscribe); p.Err == nil {
		t.Error("an event of an unknown player")
	}
}

// What WeChat makes of answers in plain mode.
func TestPushAnswers(t *testing.T) {
	s := start(t)
	openid, account := s.OpenID("xiaomei", appid), s.OriginalID(appid)
	reply := "<xml><ToUserName>" + openid + "</ToUserName><FromUserName>" + account + "</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType></xml>"
	status := func(code int) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(code) }
	}
	for _, tt := range []struct {
		name     string
		answer   func(http.ResponseWriter, *http.Request, string)
		reply    string
		want     string
		attempts int
	}{
		{"empty", word(""), "", "", 1},
		{"success", word("success"), "", "", 1},
		{"reply", word(reply), reply, "", 1},
		{"success in JSON", word(`"success"`), "", "not XML", 1},
		{"success and a line break", word("success\n"), "", "not XML", 1},
		{"a page", word("<html></html>"), "", "not XML", 1},
		{"to somebody else", word(strings.ReplaceAll(reply, openid, account)), "", "to the person", 1},
		{"from somebody else", word(strings.ReplaceAll(reply, account, openid)), "", "to the person", 1},
		{"without time", word(strings.ReplaceAll(reply, "<CreateTime>1<", "<CreateTime><")), "", "CreateTime", 1},
		{"without type", word(strings.ReplaceAll(reply, ">text<", "><")), "", "MsgType", 1},
		{"status 500", status(500), "", "status 500", 3},
		{"status 204", status(204), "", "status 204", 3},
		{"redirect", func(w http.ResponseWriter, r *http.Request, _ string) { http.Redirect(w, r, "/x", http.StatusFound) }, "", "status 302", 3},
		{"cut", func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, "", "EOF", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := receive(t, tt.answer)
			pushTo(s, i.URL, wechattest.PushPlain)
			p := s.PushText(t.Context(), appid, "xiaomei", "x")
			if (p.Err == nil) != (tt.want == "") || p.Err != nil && !strings.Contains(p.Err.Error(), tt.want) {
				t.Errorf("got %v, want %q", p.Err, tt.want)
			}
			if tt.want == "" && p.Reply != tt.reply {
				t.Errorf("reply %q", p.Reply)
			}
			if len(p.Attempts) != tt.attempts || i.count() != tt.attempts {
				t.Errorf("%d attempts, %d seen", len(p.Attempts), i.count())
			}
			want := map[bool]string{true: "accepted", false: "not accepted"}[p.Err == nil]
			if e := last(t, s); e.Result != want {
				t.Errorf("journal %+v", e)
			}
		})
	}
}

func TestPushIsRepeated(t *testing.T) {
	s := start(t)
	n := 0
	i := receive(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		if n++; n < 3 {
			w.WriteHeader(500)
		}
	})
	pushTo(s, i.URL, wechattest.PushSafe)
	p := s.PushText(t.Context(), appid, "xiaomei", "x")
	if p.Err != nil || len(p.Attempts) != 3 || p.Attempts[0].Err == nil || p.Attempts[0].Status != 500 || p.Attempts[2].Status != 200 {
		t.Fatalf("%+v", p)
	}
	if i.bodies[0] == i.bodies[1] || i.seen[0].URL.Query().Get("nonce") == i.seen[1].URL.Query().Get("nonce") {
		t.Error("a second attempt with the same bytes")
	}

	first := p.Attempts[0]
	if a := s.Redeliver(t.Context(), first); a.Err != nil || a.Status != 200 || i.bodies[3] != i.bodies[0] || i.seen[3].URL.String() != i.seen[0].URL.String() {
		t.Errorf("again: %+v", a)
	}
	if first.Status != 500 {
		t.Error("the recorded attempt was changed")
	}

	n = 0
	if p := s.Deliver(t.Context(), wechattest.Delivery{AppID: appid, Message: "<xml></xml>", Attempts: 1}); p.Err == nil || len(p.Attempts) != 1 {
		t.Errorf("once: %+v", p)
	}
}

func TestPushTimeout(t *testing.T) {
	s := start(t)
	i := receive(t, func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() })
	pushTo(s, i.URL, wechattest.PushPlain)
	message := s.TextMessage(appid, "xiaomei", "x")
	p := s.Deliver(t.Context(), wechattest.Delivery{AppID: appid, Message: message, Timeout: 20 * time.Millisecond})
	if p.Err == nil || !strings.Contains(p.Err.Error(), "no answer within 20ms") || len(p.Attempts) != 3 || p.Attempts[0].Took < 20*time.Millisecond {
		t.Errorf("%+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p := s.Deliver(ctx, wechattest.Delivery{AppID: appid, Message: message}); p.Err == nil || len(p.Attempts) != 1 || strings.Contains(p.Err.Error(), "within") {
		t.Errorf("cancelled: %+v", p)
	}
}

func TestPushModes(t *testing.T) {
	s, i := start(t), receive(t, word("success"))
	for _, mode := range []wechattest.PushMode{wechattest.PushPlain, wechattest.PushCompatible, wechattest.PushSafe} {
		pushTo(s, i.URL, mode)
		if p := s.PushText(t.Context(), appid, "xiaomei", "你好"); p.Err != nil {
			t.Fatal(p.Err)
		}
		body, q := i.bodies[len(i.bodies)-1], i.seen[len(i.seen)-1].URL.Query()
		var m struct {
			XMLName                      xml.Name `xml:"xml"`
			ToUserName, Content, Encrypt string
		}
		if err := xml.Unmarshal([]byte(body), &m); err != nil {
			t.Fatal(err)
		}
		sealed := mode != wechattest.PushPlain
		if m.ToUserName != s.OriginalID(appid) || (m.Content != "") != (mode != wechattest.PushSafe) || (m.Encrypt != "") != sealed ||
			(q.Get("encrypt_type") == "aes") != sealed || q.Has("msg_signature") != sealed || !q.Has("signature") {
			t.Errorf("%s: query %v, body %s", mode, q, body)
		}
	}
}

func TestPushControl(t *testing.T) {
	s := start(t)
	i := receive(t, func(w http.ResponseWriter, r *http.Request, body string) {
		switch {
		case r.Method == "GET":
			io.WriteString(w, r.URL.Query().Get("echostr"))
		case strings.Contains(body, "subscribe"):
			io.WriteString(w, "oh")
		}
	})
	b := newBrowser(t, "")
	if got := b.post(s.URL+"/sim/pushurl", "appid", appid, "url", i.URL, "token", pushToken, "aeskey", aesKey, "mode", "compatible"); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if got := b.post(s.URL+"/sim/pushurl", "appid", appid, "url", i.URL, "token", "x"); got.StatusCode != 400 {
		t.Errorf("short token: %d %s", got.StatusCode, got.body)
	}
	if got := b.post(s.URL+"/sim/push", "appid", appid, "player", "xiaomei", "text", "喂"); got.StatusCode != 200 || got.body != "accepted\n" || !strings.Contains(i.bodies[1], "喂") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := b.post(s.URL+"/sim/push", "appid", appid, "player", "aqiang", "event", "subscribe", "Ticket", "T", "EventKey", "K"); got.StatusCode != 400 ||
		!strings.HasPrefix(got.body, "not accepted, 1 attempts") || !strings.Contains(i.bodies[2], "<EventKey><![CDATA[K]]></EventKey>\n<Ticket><![CDATA[T]]>") {
		t.Errorf("%d %s %s", got.StatusCode, got.body, i.bodies[2])
	}
	if got := b.get(s.URL + "/sim/"); !strings.Contains(got.body, `action="/sim/push"`) || !strings.Contains(got.body, "not accepted") {
		t.Errorf("control page: %s", got.body)
	}
	if got := b.get(s.URL + "/sim/journal"); !strings.Contains(got.body, url.QueryEscape("echostr")) {
		t.Errorf("journal: %s", got.body)
	}
}
