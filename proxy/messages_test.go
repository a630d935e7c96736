package proxy

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

const (
	testPushToken = "tokenOfThePush"
	testPushKey   = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
)

var pushModes = []wechattest.PushMode{wechattest.PushPlain, wechattest.PushCompatible, wechattest.PushSafe}

// receiving gives a replica the push of the service account.
func receiving(mode wechattest.PushMode) option {
	return func(c *Config) {
		p := wechat.PushConfig{Token: testPushToken, AppID: testAppID, Now: c.Now}
		if mode != wechattest.PushPlain {
			p.AESKeys = []string{testPushKey}
		}
		var err error
		if c.Push, err = wechat.NewPush(p); err != nil {
			panic(err)
		}
	}
}

// announcing has events kept for the app.
func announcing(c *Config) { c.HookURL = "http://127.0.0.1:1/events" }

// newPushWorld is a world whose service account, bound to an open-platform
// account, pushes to the gateway.
func newPushWorld(t *testing.T, n int, mode wechattest.PushMode, app http.HandlerFunc, opts ...option) *world {
	t.Helper()
	w := newWorld(t, n, app, append([]option{receiving(mode)}, opts...)...)
	w.pushFrom(mode)
	return w
}

func (w *world) pushFrom(mode wechattest.PushMode) {
	w.t.Helper()
	w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	settings := wechattest.PushSettings{URL: w.front.URL + "/.wxgate/messages", Token: testPushToken, AESKey: testPushKey, Mode: mode}
	if err := w.wechat.VerifyPush(w.t.Context(), testAppID, settings); err != nil {
		w.t.Fatal(err)
	}
}

// push delivers an event and expects it to be acknowledged at once.
func (w *world) push(player, event string, more ...string) wechattest.Attempt {
	w.t.Helper()
	p := w.wechat.PushEvent(w.t.Context(), testAppID, player, event, more...)
	if p.Err != nil || len(p.Attempts) != 1 || p.Attempts[0].Answer != "success" {
		w.t.Fatalf("the push of %s ends in %+v", event, p)
	}
	return p.Attempts[0]
}

// besides waits for what logins and pushes left to be done beside them.
func (w *world) besides() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.replicas {
		g.background.Wait()
	}
}

// account is the user of a player, as the store has it.
func (w *world) account(player string) *identity.User {
	w.t.Helper()
	u, found, err := w.replica(0).cfg.Users.Find(w.t.Context(), testAppID, w.wechat.OpenID(player, testAppID))
	if err != nil || !found {
		w.t.Fatalf("no user of %s: %v", player, err)
	}
	return u
}

// consent logs a browser in with name and avatar.
func (b *browser) consent() string {
	b.w.t.Helper()
	b.w.wechat.Set(func(x *wechattest.Behaviour) { x.AutoConsent = true })
	return b.open("/.wxgate/login?profile=1&agreed=1&next=/").user(b.w.t)
}

// callPush asks the endpoint as anybody can.
func (w *world) callPush(method, query, body string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.front.URL+"/.wxgate/messages?"+query, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := direct.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res, readAll(w.t, res)}
}

// signedQuery is a query with WeChat's signature, made without the package that
// checks it.
func signedQuery(at time.Time, nonce string, more ...string) string {
	parts := append([]string{testPushToken, fmt.Sprint(at.Unix()), nonce}, more...)
	slices.Sort(parts)
	name := "signature"
	if len(more) > 0 {
		name = "msg_signature"
	}
	return fmt.Sprintf("%s=%x&timestamp=%d&nonce=%s", name, sha1.Sum([]byte(strings.Join(parts, ""))), at.Unix(), nonce)
}

// refusal is the answer to every push that is not WeChat's, without the id of
// the request.
func (a answer) refusal(t *testing.T) string {
	t.Helper()
	e := a.jsonError(t)
	if a.StatusCode != http.StatusBadRequest || e.Error != "bad_request" {
		t.Errorf("answered %d %s", a.StatusCode, a.body)
	}
	return strings.Replace(a.body, e.RequestID, "", 1)
}

func TestPushURLIsVerified(t *testing.T) {
	t.Parallel()
	for _, mode := range pushModes {
		w := newPushWorld(t, 1, mode, nil, second) // which verifies it
		other := wechattest.PushSettings{URL: w.other() + "/.wxgate/messages", Token: testPushToken, AESKey: testPushKey, Mode: mode}
		if err := w.wechat.VerifyPush(t.Context(), testAppID, other); err != nil {
			t.Errorf("%s, on another host: %v", mode, err)
		}
		other.Token = "anotherToken"
		if err := w.wechat.VerifyPush(t.Context(), testAppID, other); err == nil {
			t.Errorf("%s: verified with another token", mode)
		}
		good := signedQuery(w.clock.now(), "4711")
		res := w.callPush(http.MethodGet, good+"&echostr=1234567890", "")
		if res.StatusCode != 200 || res.body != "1234567890" || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
			res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: answered %d %v %q", mode, res.StatusCode, res.Header, res.body)
		}
		all := map[string]bool{}
		for _, query := range []string{
			"", "echostr=1", good, good + "&echostr=", good + "&echostr=<b>", good + "&echostr=1&echostr=2",
			good[:len("signature=")+39] + good[len("signature=")+40:] + "&echostr=1", strings.Replace(good, "signature=", "signature=0", 1) + "&echostr=1",
			strings.ToUpper(good[:50]) + good[50:] + "&echostr=1", strings.Replace(good, "signature", "nothing", 1) + "&echostr=1",
			signedQuery(w.clock.now().Add(-11*time.Minute), "1") + "&echostr=1", signedQuery(w.clock.now().Add(11*time.Minute), "1") + "&echostr=1",
			good + "&echostr=%zz", signedQuery(w.clock.now(), "x") + "&echostr=1",
		} {
			all[w.callPush(http.MethodGet, query, "").refusal(t)] = true
		}
		all[w.callPush(http.MethodPost, good, "").refusal(t)] = true
		if len(all) != 1 {
			t.Errorf("%s: refusals differ: %v", mode, all)
		}
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodOptions, http.MethodDelete} {
			if res := w.callPush(method, good+"&echostr=1", ""); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, POST" {
				t.Errorf("%s answered %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
			}
		}
		r, _ := http.NewRequest(http.MethodGet, w.front.URL+"/.wxgate/messages?"+good+"&echostr=1", nil)
		r.Host = "evil.example"
		if res, err := direct.Do(r); err != nil || res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("on a foreign host: %v, %v", res, err)
		} else {
			res.Body.Close()
		}
	}
}

func TestNoPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if res := w.callPush(method, signedQuery(w.clock.now(), "4711")+"&echostr=1", ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d", method, res.StatusCode)
		}
	}
}

// Everything that WeChat sends is acknowledged, known or not, and costs nobody
// anything who is not concerned.
func TestPushesAreAcknowledged(t *testing.T) {
	t.Parallel()
	for _, mode := range pushModes {
		w := newPushWorld(t, 2, mode, nil, func(c *Config) { c.LoginRate = Rate{N: 1, Per: time.Hour} })
		for range 3 {
			if p := w.wechat.PushText(t.Context(), testAppID, "aqiang", "你好 ]]> <b>\x14"); p.Err != nil || p.Attempts[0].Answer != "success" {
				t.Errorf("%s: a text ends in %+v", mode, p)
			}
		}
		for _, event := range []string{"subscribe", "unsubscribe", "CLICK", "LOCATION", "weapp_audit_success", "an event that nobody knows", wechat.EventRevoke, wechat.EventUserInfoModified, wechat.EventCancellation} {
			w.push("aqiang", event)
		}
		w.besides()
		if n := len(w.wechat.Calls(wechattest.FollowerPath)); n != 0 {
			t.Errorf("%s: WeChat is asked %d times about people nobody knows", mode, n)
		}
		if n := w.replica(0).metric(t, `wxgate_http_requests_total{outcome="own"}`) + w.replica(1).metric(t, `wxgate_http_requests_total{outcome="own"}`); n != 13 {
			t.Errorf("%s: %v requests counted as own", mode, n)
		}
	}
}

// What is not WeChat's changes nothing, whoever it would be about, and is told
// nothing.
func TestForgedPushes(t *testing.T) {
	t.Parallel()
	param := func(name string, change func(string) string) func(*wechattest.Attempt) {
		return func(a *wechattest.Attempt) {
			u, _ := url.Parse(a.URL)
			q := u.Query()
			if changed := change(q.Get(name)); changed == "" {
				q.Del(name)
			} else {
				q.Set(name, changed)
			}
			u.RawQuery = q.Encode()
			a.URL = u.String()
		}
	}
	to := func(value string) func(string) string { return func(string) string { return value } }
	inBody := func(old, new string) func(*wechattest.Attempt) {
		return func(a *wechattest.Attempt) { a.Body = strings.Replace(a.Body, old, new, 1) }
	}
	asBody := func(body string) func(*wechattest.Attempt) { return func(a *wechattest.Attempt) { a.Body = body } }
	type spoilt struct {
		name   string
		change func(*wechattest.Attempt)
		with   wechattest.Delivery
	}
	for _, mode := range pushModes {
		w := newPushWorld(t, 1, mode, nil, announcing)
		b := w.browser(iPhone).as("aqiang")
		b.consent()
		message := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
		signature := "msg_signature"
		if mode == wechattest.PushPlain {
			signature = "signature"
		}
		all := []spoilt{
			{name: "wrong signature", change: param(signature, to(strings.Repeat("0", 40)))},
			{name: "no signature", change: param(signature, to(""))},
			{name: "truncated signature", change: param(signature, func(s string) string { return s[:39] })},
			{name: "long signature", change: param(signature, func(s string) string { return s + "0" })},
			{name: "upper-case signature", change: param(signature, strings.ToUpper)},
			{name: "no timestamp", change: param("timestamp", to(""))},
			{name: "other timestamp", change: param("timestamp", to(fmt.Sprint(w.clock.now().Unix()-7)))},
			{name: "no nonce", change: param("nonce", to(""))},
			{name: "other nonce", change: param("nonce", func(s string) string { return s + "1" })},
			{name: "digit moved", change: func(a *wechattest.Attempt) {
				var digit string
				param("timestamp", func(s string) string { digit = s[9:]; return s[:9] })(a)
				param("nonce", func(s string) string { return digit + s })(a)
			}},
			{name: "oversize", change: func(a *wechattest.Attempt) { a.Body += strings.Repeat(" ", wechat.MaxPush) }},
			{name: "empty", change: asBody("")},
			{name: "JSON", change: asBody(`{"Event":"user_authorization_revoke"}`)},
			{name: "no XML", change: inBody("</xml>", "")},
			{name: "two roots", change: inBody("</xml>", "</xml><xml></xml>")},
			{name: "junk", change: inBody("</xml>", "</xml>junk")},
			{name: "DOCTYPE", change: inBody("<xml>", `<!DOCTYPE xml [<!ENTITY a "b">]><xml>`)},
			{name: "comment", change: inBody("<xml>", "<xml><!-- -->")},
		}
		if mode == wechattest.PushPlain {
			all = append(all, spoilt{name: "only encrypted", change: asBody("<xml><Encrypt>AAAA</Encrypt></xml>")})
		} else {
			all = append(all,
				spoilt{name: "plain", change: func(a *wechattest.Attempt) { a.Body = message; param("msg_signature", to(""))(a) }},
				spoilt{name: "plain body, signed both ways", change: asBody(message)},
				spoilt{name: "encrypted without its signature", change: param("msg_signature", to(""))},
				spoilt{name: "ciphertext changed", change: inBody("<Encrypt><![CDATA[", "<Encrypt><![CDATA[AAAA")},
				spoilt{name: "twice", change: inBody("</xml>", "<Encrypt>AAAA</Encrypt></xml>")},
				spoilt{name: "another appid", with: wechattest.Delivery{Tail: webAppID}},
				spoilt{name: "appid and more", with: wechattest.Delivery{Tail: testAppID + "0"}},
				spoilt{name: "another key", with: wechattest.Delivery{AESKey: strings.Repeat("A", 43)}},
				spoilt{name: "no XML inside", with: wechattest.Delivery{Message: "revoke"}},
				spoilt{name: "JSON inside", with: wechattest.Delivery{Message: `{"Event":"user_authorization_revoke"}`}},
				spoilt{name: "DOCTYPE inside", with: wechattest.Delivery{Message: "<!DOCTYPE xml>" + message}},
				spoilt{name: "element twice inside", with: wechattest.Delivery{Message: strings.Replace(message, "</xml>", "<Event>x</Event></xml>", 1)}},
			)
		}
		answers := map[string]bool{}
		for _, tt := range all {
			d := tt.with
			d.AppID, d.Attempts, d.Change = testAppID, 1, tt.change
			if d.Message == "" {
				d.Message = message
			}
			a := w.wechat.Deliver(t.Context(), d).Attempts[0]
			if a.Status != http.StatusBadRequest {
				t.Errorf("%s, %s: answered %d %s", mode, tt.name, a.Status, a.Answer)
				continue
			}
			id := a.Answer[strings.Index(a.Answer, `"request_id"`):]
			answers[strings.Replace(a.Answer, id, "", 1)] = true
		}
		if len(answers) != 1 {
			t.Errorf("%s: refusals differ: %v", mode, answers)
		}
		for line := range strings.Lines(w.log.String()) {
			var record struct{ In int64 }
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.In > wechat.MaxPush {
				t.Errorf("%s: more was read than may be: %s", mode, line)
			}
		}
		// One whose time is over, and one of a clock that is far ahead.
		for _, d := range []time.Duration{11 * time.Minute, -22 * time.Minute} {
			w.clock.advance(d)
			if p := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message, Attempts: 1}); p.Attempts[0].Status != http.StatusBadRequest {
				t.Errorf("%s: a stale push is answered %+v", mode, p)
			}
		}
		w.clock.advance(11*time.Minute + cacheLife)
		w.besides()
		if u := w.account("aqiang"); u.Profile == nil || u.Withdrawn() || b.me().User != u.ID {
			t.Errorf("%s: the user became %+v", mode, u)
		}
		// The same message is WeChat's when nobody spoils it.
		if p := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message}); p.Err != nil {
			t.Errorf("%s: %+v", mode, p)
		}
		if u := w.account("aqiang"); !u.Withdrawn() {
			t.Errorf("%s: a genuine push has no effect", mode)
		}
		if log := w.log.String(); strings.Contains(log, testPushToken) || strings.Contains(log, w.wechat.OpenID("aqiang", testAppID)) || !strings.Contains(log, "push refused: ") {
			t.Errorf("%s: the log is %s", mode, log)
		}
	}
}

// The signature of a plain push covers no body: one body only can have it.
func TestPlainSignatureIsForOneBody(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, 2, wechattest.PushPlain, nil)
	b := w.browser(iPhone).as("aqiang")
	user := b.login()
	text := w.wechat.TextMessage(testAppID, "aqiang", "你好")
	revoke := w.wechat.EventMessage(testAppID, "aqiang", wechat.EventRevoke)
	seen := signedQuery(w.clock.now(), "4711") // in some access log
	if res := w.callPush(http.MethodPost, seen, text); res.StatusCode != 200 || res.body != "success" {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	for range 2 {
		if res := w.callPush(http.MethodPost, seen, text); res.StatusCode != 200 {
			t.Errorf("the same once more: %d %s", res.StatusCode, res.body)
		}
		w.callPush(http.MethodPost, seen, revoke).refusal(t)
		w.callPush(http.MethodPost, seen, text+"\n").refusal(t)
		w.callPush(http.MethodPost, seen+"&openid=x", revoke).refusal(t)
		w.callPush(http.MethodGet, seen+"&echostr=1", "").refusal(t)
	}
	// The signature of a verification of the URL is one as well.
	seen = signedQuery(w.clock.now(), "4712")
	if res := w.callPush(http.MethodGet, seen+"&echostr=1", ""); res.body != "1" {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	w.callPush(http.MethodPost, seen, revoke).refusal(t)
	w.clock.advance(cacheLife)
	if got := b.me().User; got != user {
		t.Errorf("the session is %q's", got)
	}
	if !strings.Contains(w.log.String(), "another body before") {
		t.Error("the log does not say why")
	}
}

// What a push costs without a signature is bounded: its size, and its time.
func TestSlowPush(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, 1, wechattest.PushSafe, nil)
	w.replica(0).inbox.readLimit = 50 * time.Millisecond
	answer := w.talk(crlf("POST /.wxgate/messages?" + signedQuery(w.clock.now(), "1") + " HTTP/1.1\nHost: " + w.addr() + "\nContent-Length: 100\n\n<xml>"))
	if statusOf(answer) != http.StatusBadRequest || !strings.Contains(answer, "Connection: close") {
		t.Errorf("answered %s", answer)
	}
	if !strings.Contains(w.log.String(), "too long, too slow or cut off") {
		t.Error("the log does not say why")
	}
}
