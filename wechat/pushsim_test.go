package wechat_test

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

const (
	pushToken   = "tokenOfThePush"
	newestKey   = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
	previousKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// receiver is a site with a push URL, which tests use one push at a time.
type receiver struct {
	url      string
	push     *wechat.Push
	reply    func(wechat.Envelope, wechat.Message) string
	unsealed bool // replies go out as they are
	opened   []wechat.Envelope
	messages []wechat.Message
	refused  []error
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	answer, err := rc.serve(r, body)
	if err != nil {
		rc.refused = append(rc.refused, err)
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	w.Write(answer)
}

func (rc *receiver) serve(r *http.Request, body []byte) ([]byte, error) {
	if r.Method == http.MethodGet {
		echo, err := rc.push.Echo(r.URL.RawQuery)
		return []byte(echo), err
	}
	e, err := rc.push.Open(r.URL.RawQuery, body)
	if err != nil {
		return nil, err
	}
	m, err := wechat.ParsePush(e.XML)
	if err != nil {
		return nil, err
	}
	rc.opened, rc.messages = append(rc.opened, e), append(rc.messages, m)
	if rc.unsealed {
		return []byte(rc.reply(e, m)), nil
	}
	return rc.push.Seal(e, []byte(rc.reply(e, m)))
}

// greeting answers a text, and nothing else.
func greeting(_ wechat.Envelope, m wechat.Message) string {
	if m.MsgType != "text" {
		return "success"
	}
	return "<xml><ToUserName><![CDATA[" + m.FromUserName + "]]></ToUserName><FromUserName><![CDATA[" + m.ToUserName +
		"]]></FromUserName><CreateTime>1760000000</CreateTime><MsgType><![CDATA[text]]></MsgType><Content>" +
		html.EscapeString("回："+m.Field("Content")) + "</Content></xml>"
}

// receive makes a receiver and enters it in the console.
func receive(t *testing.T, s *wechattest.Server, mode wechattest.PushMode, keys ...string) *receiver {
	t.Helper()
	push, err := wechat.NewPush(wechat.PushConfig{Token: pushToken, AppID: appid, AESKeys: keys, Now: s.Now})
	if err != nil {
		t.Fatal(err)
	}
	rc := &receiver{push: push, reply: greeting}
	site := httptest.NewServer(rc)
	t.Cleanup(site.Close)
	rc.url = site.URL + "/.wxgate/messages"
	if err := s.VerifyPush(t.Context(), appid, wechattest.PushSettings{URL: rc.url, Token: pushToken, AESKey: newestKey, Mode: mode}); err != nil {
		t.Fatal(err)
	}
	return rc
}

func TestPushInEveryMode(t *testing.T) {
	for _, tt := range []struct {
		mode   wechattest.PushMode
		keys   []string
		sealed bool
	}{
		{wechattest.PushPlain, nil, false},
		{wechattest.PushCompatible, nil, false},
		{wechattest.PushCompatible, []string{newestKey}, true},
		{wechattest.PushSafe, []string{newestKey}, true},
		{wechattest.PushSafe, []string{previousKey, newestKey}, true},
	} {
		t.Run(string(tt.mode), func(t *testing.T) {
			s, _ := start(t, wechat.Config{})
			rc := receive(t, s, tt.mode, tt.keys...)
			for _, text := range []string{"你好", "", "]]> <b>&amp;", "a\x14\xff", strings.Repeat("长", 700)} {
				p := s.PushText(t.Context(), appid, "aqiang", text)
				if p.Err != nil {
					t.Fatal(p.Err, rc.refused)
				}
				m := rc.messages[len(rc.messages)-1]
				want := strings.NewReplacer("\x14", "\ufffd", "\xff", "\ufffd").Replace(text)
				if m.Field("Content") != want || m.OpenID() != s.OpenID("aqiang", appid) || m.ToUserName != s.OriginalID(appid) || m.MsgID == "" {
					t.Errorf("got %+v", m)
				}
				if !strings.Contains(p.Reply, html.EscapeString("回："+want)) {
					t.Errorf("reply %q", p.Reply)
				}
				if e := rc.opened[len(rc.opened)-1]; e.Encrypted() != tt.sealed || strings.Contains(p.Attempts[0].Answer, "Encrypt") != tt.sealed {
					t.Errorf("encrypted %v, answer %q", e.Encrypted(), p.Attempts[0].Answer)
				}
			}
			if p := s.PushEvent(t.Context(), appid, "aqiang", wechattest.EventSubscribe); p.Err != nil || p.Attempts[0].Answer != "success" {
				t.Errorf("event: %+v", p)
			}
			if m := rc.messages[len(rc.messages)-1]; m.Event != wechat.EventSubscribe || m.OpenID() != s.OpenID("aqiang", appid) || time.Since(m.CreateTime).Abs() > time.Minute {
				t.Errorf("event %+v", m)
			}
		})
	}
}

// The person of an authorization event is not its sender.
func TestPushedAuthorizationEvents(t *testing.T) {
	s, _ := start(t, wechat.Config{})
	rc := receive(t, s, wechattest.PushSafe, newestKey)
	keys := map[string]bool{}
	for _, event := range []string{wechat.EventUserInfoModified, wechat.EventRevoke, wechat.EventCancellation} {
		for _, player := range []string{"xiaomei", "aqiang"} {
			if p := s.PushEvent(t.Context(), appid, player, event); p.Err != nil {
				t.Fatal(p.Err)
			}
			m := rc.messages[len(rc.messages)-1]
			if m.Event != event || m.OpenID() != s.OpenID(player, appid) || m.FromUserName == m.OpenID() || m.Field("AppID") != appid ||
				m.Field("UnionID") != s.UnionID(player, appid) || (m.Field("RevokeInfo") == "205") != (event == wechat.EventRevoke) {
				t.Errorf("%s: %+v", event, m)
			}
			keys[m.Key()] = true
		}
	}
	if len(keys) != 6 {
		t.Errorf("%d keys for six events within one second", len(keys))
	}
}

// A delivery is known again by its message, and a copy of it by its bytes too.
func TestPushRepeated(t *testing.T) {
	s, _ := start(t, wechat.Config{})
	rc := receive(t, s, wechattest.PushSafe, newestKey)
	for _, message := range []string{s.TextMessage(appid, "xiaomei", "你好"), s.EventMessage(appid, "xiaomei", wechattest.EventRevoke)} {
		rc.opened, rc.messages = nil, nil
		send := func() wechattest.Pushed {
			return s.Deliver(t.Context(), wechattest.Delivery{AppID: appid, Message: message, Attempts: 1})
		}
		first := send()
		send()
		s.Redeliver(t.Context(), first.Attempts[0])
		if len(rc.opened) != 3 {
			t.Fatal(rc.refused)
		}
		if k := rc.messages[0].Key(); k != rc.messages[1].Key() || k != rc.messages[2].Key() {
			t.Error("one message, several keys")
		}
		if r := rc.opened[0].Replay; r == rc.opened[1].Replay || r != rc.opened[2].Replay {
			t.Error("Replay does not tell a copy from a repetition")
		}
		s.Advance(11 * time.Minute)
		if a := s.Redeliver(t.Context(), first.Attempts[0]); a.Err == nil {
			t.Error("a copy was taken eleven minutes later")
		}
	}
}

func TestPushForged(t *testing.T) {
	s, _ := start(t, wechat.Config{})
	rc := receive(t, s, wechattest.PushSafe, newestKey, previousKey)
	message := s.TextMessage(appid, "xiaomei", "你好")
	replace := func(pattern, with string) func(*wechattest.Attempt) {
		return func(a *wechattest.Attempt) {
			before := a.URL + a.Body
			a.URL, a.Body = strings.Replace(a.URL, pattern, with, 1), strings.Replace(a.Body, pattern, with, 1)
			if a.URL+a.Body == before {
				t.Errorf("no %s", pattern)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		d     wechattest.Delivery
		taken bool
	}{
		{"genuine", wechattest.Delivery{}, true},
		{"previous key", wechattest.Delivery{AESKey: previousKey}, true},
		{"unknown key", wechattest.Delivery{AESKey: strings.Repeat("x", 43)}, false},
		{"another account's", wechattest.Delivery{Tail: "wxdeadbeef01234567"}, false},
		{"no signature", wechattest.Delivery{Change: replace("msg_signature=", "x=")}, false},
		{"empty signature", wechattest.Delivery{Change: replace("msg_signature=", "msg_signature=&x=")}, false},
		{"not marked as encrypted", wechattest.Delivery{Change: replace("encrypt_type=aes&msg_signature=", "x=")}, false},
		{"another nonce", wechattest.Delivery{Change: replace("nonce=", "nonce=1")}, false},
		{"ciphertext changed", wechattest.Delivery{Change: func(a *wechattest.Attempt) { a.Body = strings.Replace(a.Body, "A", "B", 1) }}, false},
		{"plain instead", wechattest.Delivery{Change: func(a *wechattest.Attempt) { a.Body = message }}, false},
		{"nothing", wechattest.Delivery{Change: func(a *wechattest.Attempt) { a.Body = "" }}, false},
		{"document type", wechattest.Delivery{Change: func(a *wechattest.Attempt) { a.Body = "<!DOCTYPE xml>" + a.Body }}, false},
		{"inner document type", wechattest.Delivery{Message: "<!DOCTYPE xml>" + message}, false},
		{"inner message twice", wechattest.Delivery{Message: message + message}, false},
		{"inner nonsense", wechattest.Delivery{Message: "nonsense"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rc.refused, rc.messages = nil, nil
			tt.d.AppID, tt.d.Attempts = appid, 1
			if tt.d.Message == "" {
				tt.d.Message = message
			}
			p := s.Deliver(t.Context(), tt.d)
			if tt.taken {
				if p.Err != nil || !strings.Contains(p.Reply, "回：你好") {
					t.Errorf("%v, reply %q, refused %v", p.Err, p.Reply, rc.refused)
				}
				return
			}
			if p.Err == nil || len(rc.messages) != 0 || len(rc.refused) != 1 || !errors.Is(rc.refused[0], wechat.ErrPush) {
				t.Errorf("%+v, refused %v", p, rc.refused)
			}
		})
	}
}

// A receiver with a key takes nothing from a console in plain mode.
func TestPushModeMismatch(t *testing.T) {
	s, _ := start(t, wechat.Config{})
	rc := receive(t, s, wechattest.PushPlain, newestKey)
	if p := s.PushText(t.Context(), appid, "xiaomei", "你好"); p.Err == nil || len(p.Attempts) != 3 || !strings.Contains(rc.refused[0].Error(), "安全模式") {
		t.Errorf("plain: %+v, %v", p, rc.refused)
	}
	rc = receive(t, s, wechattest.PushSafe)
	if p := s.PushText(t.Context(), appid, "xiaomei", "你好"); p.Err == nil || !strings.Contains(rc.refused[0].Error(), "no EncodingAESKey") {
		t.Errorf("encrypted: %+v, %v", p, rc.refused)
	}
}

// The simulator takes no reply that is not sealed as it should be.
func TestSimulatorChecksSealedReplies(t *testing.T) {
	s, _ := start(t, wechat.Config{})
	seal := func(cfg wechat.PushConfig) func(wechat.Envelope, wechat.Message) string {
		if cfg.Token == "" {
			cfg.Token = pushToken
		}
		if cfg.AppID == "" {
			cfg.AppID = appid
		}
		cfg.Now = s.Now
		push, err := wechat.NewPush(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return func(e wechat.Envelope, m wechat.Message) string {
			sealed, err := push.Seal(e, []byte(greeting(e, m)))
			if err != nil {
				t.Error(err)
			}
			return string(sealed)
		}
	}
	sealed := seal(wechat.PushConfig{})
	edit := func(old, new string) func(wechat.Envelope, wechat.Message) string {
		return func(e wechat.Envelope, m wechat.Message) string {
			text := sealed(e, m)
			if !strings.Contains(text, old) {
				t.Errorf("no %s in %s", old, text)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
	for _, mode := range []wechattest.PushMode{wechattest.PushSafe, wechattest.PushCompatible} {
		rc := receive(t, s, mode, newestKey)
		rc.unsealed = true
		want := "not encrypted"
		if mode == wechattest.PushCompatible {
			want = "" // a plain reply will do
		}
		for _, tt := range []struct {
			name   string
			answer func(wechat.Envelope, wechat.Message) string
			want   string
		}{
			{"sealed", sealed, ""},
			{"plain", greeting, want},
			{"another token", seal(wechat.PushConfig{Token: "another"}), "MsgSignature"},
			{"another appid", seal(wechat.PushConfig{AppID: "wxdeadbeef01234567"}), "another appid"},
			{"another nonce", func(_ wechat.Envelope, m wechat.Message) string { return sealed(rc.opened[0], m) }, "another nonce"},
			{"no timestamp", edit("<TimeStamp>", "<TimeStamp>x"), "MsgSignature"},
			{"signature cut off", edit("<MsgSignature>", "<X/><MsgSignature>x"), "MsgSignature"},
			{"not XML", edit("</xml>", ""), "nor XML"},
			{"a page", func(wechat.Envelope, wechat.Message) string { return "<html></html>" }, "nor XML"},
		} {
			t.Run(string(mode)+" "+tt.name, func(t *testing.T) {
				rc.reply = tt.answer
				p := s.PushText(t.Context(), appid, "xiaomei", "你好")
				if (p.Err == nil) != (tt.want == "") || p.Err != nil && !strings.Contains(p.Err.Error(), tt.want) {
					t.Errorf("got %v, want %q", p.Err, tt.want)
				}
				if tt.want == "" && !strings.Contains(p.Reply, "回：你好") {
					t.Errorf("reply %q", p.Reply)
				}
			})
		}
	}
}

// A subscription is what the account's list of followers then knows.
func TestPushedSubscription(t *testing.T) {
	s, c := start(t, wechat.Config{})
	receive(t, s, wechattest.PushSafe, newestKey)
	tokens := wechat.NewServerTokens(c, nil)
	for _, event := range []string{wechattest.EventSubscribe, wechattest.EventUnsubscribe} {
		if p := s.PushEvent(t.Context(), appid, "aqiang", event); p.Err != nil {
			t.Fatal(p.Err)
		}
		subscribed, unionid, err := tokens.Follower(t.Context(), app, s.OpenID("aqiang", appid))
		want := event == wechattest.EventSubscribe
		if err != nil || subscribed != want || (unionid != "") != want {
			t.Errorf("after %s: %v, unionid %q, %v", event, subscribed, unionid, err)
		}
	}
}
