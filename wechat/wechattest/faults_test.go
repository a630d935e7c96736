package wechattest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestFaults(t *testing.T) {
	s := start(t)
	code := func() string { return s.IssueCode(appid, "xiaomei", "snsapi_base") }

	s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Errcode: -1, Times: 2})
	s.Inject(wechattest.AccessTokenPath, wechattest.HTML)
	s.Inject(wechattest.AccessTokenPath, wechattest.Empty)
	s.Inject(wechattest.AccessTokenPath, wechattest.Huge)
	s.Inject(wechattest.AccessTokenPath, wechattest.ExtraFields)
	s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Status: 503})
	kept := code()
	for range 2 {
		if r := exchange(t, s, kept); r.errcode() != -1 || !strings.HasPrefix(r.text("errmsg"), "system error") {
			t.Errorf("busy: %s", r.raw)
		}
	}
	if r := exchange(t, s, kept); r.fields != nil || !strings.HasPrefix(r.raw, "<html>") {
		t.Errorf("page: %s", r.raw)
	}
	if r := exchange(t, s, kept); r.raw != "" {
		t.Errorf("empty: %s", r.raw)
	}
	if r := exchange(t, s, code()); len(r.raw) < 2<<20 || r.text("openid") == "" {
		t.Errorf("huge: %d bytes", len(r.raw))
	}
	if r := exchange(t, s, code()); r.text("openid") == "" || r.fields["new_field"] == nil {
		t.Errorf("extra: %s", r.raw)
	}
	if r := exchange(t, s, code()); r.status != 503 {
		t.Errorf("status %d", r.status)
	}
	if r := exchange(t, s, code()); r.errcode() != 0 || r.status != 200 {
		t.Errorf("faults left over: %s", r.raw)
	}

	// A dropped answer: the code is used up.
	dropped := code()
	s.Inject(wechattest.AccessTokenPath, wechattest.Drop)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if res, err := client.Get(s.URL + wechattest.AccessTokenPath + "?" + url.Values{
		"appid": {appid}, "secret": {secret}, "code": {dropped}, "grant_type": {"authorization_code"}}.Encode()); err == nil {
		res.Body.Close()
		t.Error("an answer in spite of the fault")
	}
	if r := exchange(t, s, dropped); r.errcode() != 40163 {
		t.Errorf("after a drop: %s", r.raw)
	}

	// A held answer comes when it is released.
	release, reached := make(chan struct{}), make(chan struct{})
	s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Reached: func() { close(reached) }, Hold: release, Delay: time.Millisecond})
	answers := make(chan reply, 1)
	held := code()
	go func() { answers <- exchange(t, s, held) }()
	<-reached
	if n := s.Exchanges()[held]; n != 0 {
		t.Errorf("answered while held: %d", n)
	}
	close(release)
	if r := <-answers; r.errcode() != 0 {
		t.Errorf("after the release: %s", r.raw)
	}

	s.Inject(wechattest.UserInfoPath, wechattest.Fault{Errcode: 40001, Times: -1})
	for range 3 {
		if r := userinfo(t, s, "x", "y"); r.errcode() != 40001 {
			t.Errorf("lasting fault: %s", r.raw)
		}
	}
	s.ClearFaults()
	if r := userinfo(t, s, "", "y"); r.errcode() != 41001 {
		t.Errorf("after ClearFaults: %s", r.raw)
	}
}

func TestContentTypeSwitch(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.ContentType = "application/json; encoding=utf-8" })
	if r := exchange(t, s, "x"); r.header.Get("Content-Type") != "application/json; encoding=utf-8" {
		t.Errorf("type %q", r.header.Get("Content-Type"))
	}
}

// A simulator that runs for days does not keep every code.
func TestOldCodesAreForgotten(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.ExpiredCode = 42003 })
	old := s.IssueCode(appid, "xiaomei", "snsapi_base")
	s.Advance(2 * time.Hour)
	if r := exchange(t, s, old); r.errcode() != 42003 {
		t.Errorf("expired: %s", r.raw)
	}
	for range 50_000 {
		s.IssueCode(appid, "xiaomei", "snsapi_base")
	}
	if r := exchange(t, s, old); r.errcode() != 40029 {
		t.Errorf("long expired: %s", r.raw)
	}
}

func TestJournalIsBounded(t *testing.T) {
	s := wechattest.New(wechattest.Config{})
	for i := range 25_000 {
		s.ServeHTTP(discard{http.Header{}}, newRequest(t, fmt.Sprint("/sns/auth?openid=", i)))
	}
	j := s.Journal()
	if len(j) > 20_000 || j[len(j)-1].Query.Get("openid") != "24999" {
		t.Errorf("%d entries, the last is %v", len(j), j[len(j)-1].Query)
	}
	s.ForgetJournal()
	if len(s.Journal()) != 0 {
		t.Error("the journal was not emptied")
	}
}

func newRequest(t *testing.T, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", target, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
