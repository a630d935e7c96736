package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// WeChat's test of a platform that wants to serve everybody, with all accounts that it is made with.
func TestReleaseTestOfThePlatform(t *testing.T) {
	t.Parallel()
	s := newPlatformStage(t)
	p := s.start()
	for group := range wechattest.ReleaseGroups {
		report, err := s.wechat.ReleaseTestGroup(t.Context(), platformAppID, group+1)
		if err != nil || !report.Passed {
			t.Errorf("group %d: %v, passed: %v", group+1, err, report.Passed)
		}
		for _, step := range report.Steps {
			if !step.OK {
				t.Errorf("group %d, %s %s: %s", group+1, step.Account, step.Name, step.Problem)
			}
		}
		s.concealWeChats()
	}
	if n := len(s.wechat.Calls(wechattest.ComponentTokenPath)); n != 1 {
		t.Errorf("%d tokens of the platform were minted for %d tickets", n, wechattest.ReleaseGroups)
	}
	p.kill()
	s.discreet("the log", p.stderr.String())
	s.hook.check(s)
}

// What may be done with an invitation that is for somebody else, and with a return that nobody began.
func TestInvitationsAreForOne(t *testing.T) {
	t.Parallel()
	s := newPlatformStage(t)
	p := s.start()
	s.ticket()
	shop, other := s.newCustomer(1), s.newCustomer(2)
	administrator, thief := s.visitor("xiaomei"), s.visitor("aqiang")
	opens := func(v *visitor, address string, headers ...string) int {
		t.Helper()
		a, err := v.do(http.MethodGet, address, append(slices.Clone(onPC), headers...)...)
		if err != nil {
			t.Fatal(err)
		}
		if v == thief && len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("the thief got %d with the cookie %v", a.status, a.header["Set-Cookie"])
		}
		return a.status
	}
	link := s.link(`{"auth_type":1,"biz_appid":"` + shop + `"}`)
	for what, status := range map[string]int{
		"made up":         opens(thief, link[:len(link)-26]+"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
		"without a token": opens(thief, link[:strings.Index(link, "&token=")]),
		"doubled":         opens(thief, link+"&token=x"),
		"preloaded":       opens(thief, link, "Sec-Purpose", "prefetch;prerender"),
		"as a picture":    opens(thief, link, "Sec-Fetch-Dest", "image"),
	} {
		if status != http.StatusBadRequest {
			t.Errorf("a link %s: %d", what, status)
		}
	}
	if a, err := thief.do(http.MethodHead, link, onPC...); err != nil || a.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %v, %d", err, a.status)
	}

	// None of this has used it up. Whoever opens it first has it, also when the page is loaded again.
	launch := administrator.launch(link)
	if again := administrator.launch(link); again == launch {
		t.Error("two pages have one pre_auth_code")
	}
	if status := opens(thief, link); status != http.StatusBadRequest {
		t.Errorf("the link in another browser: %d", status)
	}
	if status := opens(administrator, strings.Replace(link, "auth_type=1", "auth_type=3", 1)); status != http.StatusBadRequest {
		t.Errorf("a changed link: %d", status)
	}

	// A code with a state that is nobody's is not even tried.
	grant := s.wechat.Grant(platformAppID, other)
	s.conceal(grant)
	for _, state := range []string{"NOBODYSSTATENOBODYSSTATE12", url.QueryEscape(link[len(link)-26:])} {
		a, err := thief.do(http.MethodGet, "/.wxgate/component/callback?state="+state+"&auth_code="+url.QueryEscape(grant)+"&expires_in=3600", onPC...)
		if err == nil && a.status == http.StatusSeeOther {
			a, err = thief.do(http.MethodGet, a.header.Get("Location"), onPC...)
		}
		if err != nil || a.status != http.StatusBadRequest {
			t.Errorf("a return that nobody began: %v, %d", err, a.status)
		}
	}
	if n := len(s.wechat.Calls(wechattest.QueryAuthPath)); n != 0 || len(s.authorizers()) != 0 {
		t.Errorf("%d codes were exchanged, %v", n, s.authorizers())
	}

	// The genuine return, delivered twice.
	back := administrator.grants(launch, shop, wechattest.GrantRedirectOnly)
	u, _ := url.Parse(back)
	s.conceal(u.Query().Get("auth_code"), u.Query().Get("state"))
	for range 2 {
		if a := opens(administrator, back); a != http.StatusSeeOther {
			t.Errorf("back from WeChat: %d", a)
		}
	}
	if n := len(s.wechat.Calls(wechattest.QueryAuthPath)); n != 1 {
		t.Errorf("the code was exchanged %d times", n)
	}
	if x := s.authorizers()[shop]; x.Status != component.StatusAuthorized || !x.HasRefreshToken {
		t.Errorf("the account is %+v", x)
	}
	s.concealWeChats()
	for _, answer := range []string{s.must("GET", "component", ""), s.must("GET", "component/authorizers", ""), s.must("GET", "component/authorizers/"+shop, "")} {
		s.discreet("the admin API", answer)
	}
	_, metrics := fetch("http://" + s.admin + "/metrics")
	s.discreet("the metrics", metrics)
	p.kill()
	s.discreet("the log", p.stderr.String()+p.stdout.String())
}
