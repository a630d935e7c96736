package wechattest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestTicketPush(t *testing.T) {
	s, d := startPlatform(t)
	p, err := s.PushTicket(t.Context(), platform)
	if err != nil || p.Status() != 200 || p.Answer() != "success" || len(p.Attempts) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	got, ticket := d.last(), s.ComponentState(platform).Tickets[0]
	if got.outer != platform || got.openid != "" || got.path != "/events" || got.fields["AppId"] != platform ||
		got.fields["InfoType"] != "component_verify_ticket" || got.fields["ComponentVerifyTicket"] != ticket.Value {
		t.Errorf("received %+v", got)
	}
	if q := last(t, s).Query; !regexp.MustCompile(`^\d{10}$`).MatchString(q.Get("timestamp")) || q.Get("nonce") == "" || q.Get("encrypt_type") != "aes" {
		t.Errorf("query %v", q)
	}
	if r := mint(t, s, ticket.Value); r.errcode() != 0 {
		t.Errorf("minted %s", r.raw)
	}
	// Some texts are in CDATA and some are not, and all of them both ways.
	s.PushTicket(t.Context(), platform)
	second := d.last()
	for _, name := range []string{"<AppId>", "<InfoType>", "<ComponentVerifyTicket>"} {
		if strings.Contains(got.message, name+"<![CDATA[") == strings.Contains(second.message, name+"<![CDATA[") {
			t.Errorf("%s in %s and %s", name, got.message, second.message)
		}
	}
	if n := strings.Count(got.message, "<![CDATA["); n != 1 && n != 2 {
		t.Errorf("%d of three texts are in CDATA: %s", n, got.message)
	}
	s.Set(func(b *wechattest.Behaviour) { b.SameTicket = true })
	s.Advance(13 * time.Hour)
	s.PushTicket(t.Context(), platform)
	if third := d.last(); third.fields["ComponentVerifyTicket"] != second.fields["ComponentVerifyTicket"] || third.fields["CreateTime"] == second.fields["CreateTime"] {
		t.Errorf("the same ticket: %+v", third)
	}
	if r := mint(t, s, second.fields["ComponentVerifyTicket"]); r.errcode() != 0 {
		t.Errorf("pushed again, and not good again: %s", r.raw)
	}
	if _, err := s.PushTicket(t.Context(), otherPlatform); err == nil {
		t.Error("pushed for an unknown platform")
	}
}

func TestTicketsFail(t *testing.T) {
	s, d := startPlatform(t)
	s.Set(func(b *wechattest.Behaviour) { b.StopTicketsAfter, b.EventAttempts = 2, 4 })
	for name, answer := range map[string]func(http.ResponseWriter, received){
		"quoted":   func(w http.ResponseWriter, _ received) { io.WriteString(w, `"success"`) },
		"newline":  func(w http.ResponseWriter, _ received) { io.WriteString(w, "success\n") },
		"nothing":  func(http.ResponseWriter, received) {},
		"status":   func(w http.ResponseWriter, _ received) { w.WriteHeader(500); io.WriteString(w, "success") },
		"redirect": func(w http.ResponseWriter, _ received) { w.Header().Set("Location", "/x"); w.WriteHeader(302) },
	} {
		d.set(answer)
		p, err := s.PushComponent(t.Context(), platform, wechattest.ComponentPush{InfoType: "x"})
		if err == nil || p.Err == nil || len(p.Attempts) != 4 || p.Attempts[0].URL == p.Attempts[1].URL || p.Attempts[0].Body == p.Attempts[1].Body {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	start := func() string {
		return post(t, s, wechattest.StartPushTicketPath, "", "component_appid", platform, "component_secret", platformSecret).text("errmsg")
	}
	if got := start(); got != "in a normal state" {
		t.Errorf("running: %q", got)
	}
	s.PushTicket(t.Context(), platform)
	s.PushTicket(t.Context(), platform)
	state := s.ComponentState(platform)
	if !state.Stopped || state.Failed != 2 || state.Alarms != 8 {
		t.Errorf("%+v", state)
	}
	if _, err := s.PushTicket(t.Context(), platform); !errors.Is(err, wechattest.ErrTicketsStopped) {
		t.Errorf("stopped: %v", err)
	}
	if a, b := start(), start(); a != "ok" || b != "in a normal state" {
		t.Errorf("started: %q, %q", a, b)
	}
	d.set(nil)
	if _, err := s.PushTicket(t.Context(), platform); err != nil || s.ComponentState(platform).Failed != 0 {
		t.Errorf("started again: %v", err)
	}
	s.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true, Times: 4})
	s.PushTicket(t.Context(), platform)
	s.PushTicket(t.Context(), platform)
	s.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true, Times: 4})
	s.PushTicket(t.Context(), platform)
	if state := s.ComponentState(platform); state.Stopped || state.Failed != 1 || state.Alarms != 16 {
		t.Errorf("two failures, not in a row: %+v", state)
	}
	for _, tt := range []struct {
		pairs []any
		want  int
	}{
		{[]any{"component_appid", appid, "component_secret", secret}, 61011},
		{[]any{"component_appid", platform, "component_appsecret", platformSecret}, 41004},
	} {
		if r := post(t, s, wechattest.StartPushTicketPath, "", tt.pairs...); r.errcode() != tt.want {
			t.Errorf("%v: %s", tt.pairs, r.raw)
		}
	}
}

func TestAuthorizationEvents(t *testing.T) {
	s, d := startPlatform(t)
	s.Set(func(b *wechattest.Behaviour) { b.AuthCodeSeconds = 600 })
	at := s.Now()
	code := s.Grant(platform, appid, 1, 2)
	s.Advance(time.Hour) // an event that comes late says when it happened
	push := func(code string) wechattest.Pushed {
		t.Helper()
		p, err := s.PushAuthorized(t.Context(), platform, appid, code, "preauthcode@@@x")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	push(code)
	got := d.last().fields
	if got["InfoType"] != "authorized" || got["AuthorizerAppid"] != appid || got["AuthorizationCode"] != code || got["PreAuthCode"] != "preauthcode@@@x" ||
		got["AuthorizationCodeExpiredTime"] != "600" || got["CreateTime"] < seconds(at) || got["CreateTime"] > seconds(at.Add(time.Minute)) {
		t.Errorf("received %v", got)
	}
	if p := push(s.Grant(platform, appid, 2, 1)); len(p.Attempts) != 0 || d.count() != 0 {
		t.Errorf("nothing changed, and yet %+v", p)
	}
	push(s.Grant(platform, appid, 1))
	if got := d.last().fields; got["InfoType"] != "updateauthorized" || got["AuthorizationCode"] == code {
		t.Errorf("received %v", got)
	}
	if _, err := s.Deauthorize(t.Context(), platform, appid); err != nil {
		t.Error(err)
	}
	if got := d.last().fields; got["InfoType"] != "unauthorized" || got["AuthorizerAppid"] != appid || len(got) != 4 {
		t.Errorf("received %v", got)
	}
	push(s.Grant(platform, appid))
	if got := d.last().fields; got["InfoType"] != "authorized" {
		t.Errorf("received %v", got)
	}
	for _, id := range []string{platform, otherPlatform} {
		if _, err := s.Deauthorize(t.Context(), id, mini); err == nil {
			t.Error("what was never granted was taken back")
		}
		if _, err := s.PushAuthorized(t.Context(), id, mini, code, ""); err == nil {
			t.Error("pushed another account's code")
		}
	}
}

func TestSpoiltPushes(t *testing.T) {
	s, d := startPlatform(t)
	once := wechattest.ComponentPush{InfoType: "an_event_of_tomorrow", Attempts: 1}
	for _, tt := range []struct {
		name   string
		change func(*wechattest.ComponentPush)
		status int
	}{
		{"unknown type", func(*wechattest.ComponentPush) {}, 200},
		{"previous key", func(p *wechattest.ComponentPush) { p.PreviousKey = true }, 200},
		{"another key", func(p *wechattest.ComponentPush) { p.AESKey = strings.Repeat("x", 43) }, 403},
		{"wrong tail", func(p *wechattest.ComponentPush) { p.Tail = appid }, 403},
		{"bad signature", func(p *wechattest.ComponentPush) { p.BadSignature = true }, 403},
		{"huge length", func(p *wechattest.ComponentPush) { p.Length = 1 << 31 }, 403},
		{"changed", func(p *wechattest.ComponentPush) {
			p.BadSignature = true
			p.Change = func(a *wechattest.Attempt) { a.URL = strings.Replace(a.URL, "nonce=", "nonce=1", 1) }
		}, 403},
	} {
		p := once
		tt.change(&p)
		if got, err := s.PushComponent(t.Context(), platform, p); got.Status() != tt.status || (err == nil) != (tt.status == 200) {
			t.Errorf("%s: status %d, %v", tt.name, got.Status(), err)
		}
	}
	at := time.Unix(1_500_000_000, 0)
	p, _ := s.PushComponent(t.Context(), platform, wechattest.ComponentPush{XML: "<xml><x>1</x></xml>", Timestamp: at, Copies: 1})
	if got := d.last(); got.message != "<xml><x>1</x></xml>" || len(p.Attempts) != 2 || p.Attempts[0].Body == p.Attempts[1].Body || !strings.Contains(p.Attempts[1].URL, "timestamp=1500000000") {
		t.Errorf("%+v, received %+v", p, got)
	}
	old := wechattest.VerifyTicket{Value: "ticket@@@old", At: at}
	s.PushComponent(t.Context(), platform, wechattest.TicketPush(old))
	if got := d.last().fields; got["CreateTime"] != "1500000000" || got["ComponentVerifyTicket"] != "ticket@@@old" {
		t.Errorf("old ticket: %v", got)
	}
	if a := s.Redeliver(t.Context(), p.Attempts[0]); a.Err != nil || d.last().message != "<xml><x>1</x></xml>" {
		t.Errorf("redelivered: %+v", a)
	}
	s.AddComponent(wechattest.Component{ID: otherPlatform, Secret: "x", Token: "tok", AESKey: aesKey})
	for _, push := range []wechattest.ComponentPush{{InfoType: "x"}, {AppID: appid}} {
		if _, err := s.PushComponent(t.Context(), otherPlatform, push); err == nil || !strings.Contains(err.Error(), "no URL") {
			t.Errorf("%+v: %v", push, err)
		}
	}
	if _, err := s.PushComponent(t.Context(), platform, wechattest.ComponentPush{InfoType: "<&]]>", Fields: []string{"a", "<&]]>"}}); err != nil {
		t.Error(err)
	}
	if got := d.last().fields; got["InfoType"] != "<&]]>" || got["a"] != "<&]]>" {
		t.Errorf("odd text: %v", got)
	}
}

func TestHeldPushes(t *testing.T) {
	s, d := startPlatform(t)
	reached, hold := make(chan struct{}), make(chan struct{})
	s.Inject(wechattest.EventPushes, wechattest.Fault{Reached: func() { close(reached) }, Hold: hold})
	outcome := make(chan error)
	go func() {
		_, err := s.PushTicket(t.Context(), platform)
		outcome <- err
	}()
	<-reached
	if d.count() != 0 {
		t.Error("came although it is held")
	}
	close(hold)
	if err := <-outcome; err != nil || d.last().fields["InfoType"] == "" {
		t.Errorf("let go: %v", err)
	}
	// An answer that is lost brings the event again, one that is never sent does not count.
	s.Inject(wechattest.EventPushes, wechattest.Fault{Processed: true, Drop: true})
	s.Inject(wechattest.EventPushes, wechattest.Fault{Drop: true})
	p, err := s.PushTicket(t.Context(), platform)
	if err != nil || len(p.Attempts) != 3 || d.count() != 2 || p.Attempts[0].Err == nil || p.Attempts[1].Status != 0 {
		t.Errorf("%d came of %+v, %v", d.count(), p, err)
	}
	ctx, leave := context.WithCancel(t.Context())
	s.Inject(wechattest.EventPushes, wechattest.Fault{Reached: leave, Hold: make(chan struct{})})
	if _, err := s.PushTicket(ctx, platform); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
