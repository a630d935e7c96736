package wechattest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// button posts to the control page of third-party platforms.
func (b *browser) button(s *wechattest.Server, name string, pairs ...string) page {
	b.t.Helper()
	return b.from("", s.URL+"/sim/component/"+name, append([]string{"component", platformID}, pairs...)...)
}

func TestPlatformPage(t *testing.T) {
	s := start(t)
	b := newBrowser(t, wechattest.UAPlainChrome)
	if got := b.get(s.URL + "/sim/component/"); got.StatusCode != 200 || !strings.Contains(got.body, "没有第三方平台") {
		t.Errorf("empty: %s", got.body)
	}
	p := newThirdParty(t, s, func(c *wechattest.Component) { c.Published, c.TestAccounts = false, []string{s.OriginalID(appid)} })
	p.noStore = true
	if _, err := s.PushTicket(t.Context(), platformID); err != nil {
		t.Fatal(err)
	}
	code := s.Grant(platformID, appid, 1, 4)
	if _, err := s.PushAuthorized(t.Context(), platformID, appid, code, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.PushTextOnBehalf(t.Context(), platformID, appid, "xiaomei", "TESTCOMPONENT_MSG_TYPE_TEXT"); err != nil {
		t.Fatal(got, err)
	}
	got := b.get(s.URL + "/sim/component/")
	for _, want := range []string{platformID, "抓娃娃平台", "未全网发布", s.OriginalID(appid), "未换取", "component_verify_ticket", "authorized", "/messages/" + appid, `value="4" checked`, `value="15">`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	p.query(code)
	state := b.get(s.URL + "/sim/component/state")
	for _, hidden := range []string{secret, aesKey, pushToken, code, s.ComponentState(platformID).AccessToken, s.ComponentState(platformID).Authorizations[0].RefreshToken} {
		if hidden == "" || strings.Contains(b.get(s.URL+"/sim/component/").body, hidden) || strings.Contains(state.body, hidden) {
			t.Errorf("shown, or not there: %q", hidden)
		}
	}
	var views []struct {
		ID       string
		Accounts []struct {
			AppID     string
			Exchanged bool
			Functions []int
		}
		Pushes []struct{ Event, Result string }
		Mints  int
	}
	if err := json.Unmarshal([]byte(state.body), &views); err != nil {
		t.Fatal(err)
	}
	if len(views) != 1 || views[0].ID != platformID || views[0].Mints != 1 || len(views[0].Accounts) != 1 || !views[0].Accounts[0].Exchanged || !slices.Equal(views[0].Accounts[0].Functions, []int{1, 4}) {
		t.Errorf("%+v", views)
	}
	var events []string
	for _, push := range views[0].Pushes {
		events = append(events, push.Event+" "+push.Result)
	}
	if !slices.Equal(events, []string{"text accepted", "authorized accepted", "component_verify_ticket accepted"}) {
		t.Errorf("pushes %q", events)
	}
	if got := b.get(s.URL + "/sim/"); !strings.Contains(got.body, `href="/sim/component/"`) {
		t.Error("the control page leads nowhere")
	}
	for _, path := range []string{"nothing", "ticket", "state/x"} {
		if got := b.get(s.URL + "/sim/component/" + path); got.StatusCode != 404 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestTicketButtons(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	b := newBrowser(t, "")
	for _, which := range []string{"again", "old", "other"} {
		if got := b.button(s, "ticket", "which", which); got.StatusCode != 400 {
			t.Errorf("%s: %d", which, got.StatusCode)
		}
	}
	press := func(pairs ...string) innerXML {
		t.Helper()
		if got := b.button(s, "ticket", pairs...); got.StatusCode != 303 || !strings.HasPrefix(got.Header.Get("Location"), "/sim/component/") {
			t.Fatalf("%v: %d %s", pairs, got.StatusCode, got.body)
		}
		return p.pushed()
	}
	first := press()
	s.Advance(10 * time.Minute)
	second := press("which", "new")
	if first.ComponentVerifyTicket == second.ComponentVerifyTicket || second.CreateTime <= first.CreateTime {
		t.Errorf("%+v, %+v", first, second)
	}
	s.Advance(time.Minute)
	if again := press("which", "again"); again.ComponentVerifyTicket != second.ComponentVerifyTicket || again.CreateTime <= second.CreateTime {
		t.Errorf("again: %+v", again)
	}
	if old := press("which", "old"); old.ComponentVerifyTicket != first.ComponentVerifyTicket || old.CreateTime != first.CreateTime {
		t.Errorf("old: %+v", old)
	}
	third := press("key", "previous") // which the platform knows
	if tickets := s.ComponentState(platformID).Tickets; len(tickets) != 3 || tickets[2].Value != third.ComponentVerifyTicket {
		t.Errorf("%+v", tickets)
	}

	if got := b.button(s, "service", "run", "off"); got.StatusCode != 303 || !s.ComponentState(platformID).Stopped {
		t.Errorf("off: %d", got.StatusCode)
	}
	if got := b.button(s, "ticket"); got.StatusCode != 400 || !strings.Contains(got.body, "stopped") {
		t.Errorf("a ticket of a stopped service: %d %s", got.StatusCode, got.body)
	}
	if got := b.get(s.URL + "/sim/component/"); !strings.Contains(got.body, "已停止") {
		t.Error("the page does not say so")
	}
	if got := b.button(s, "service", "run", "on"); got.StatusCode != 303 || s.ComponentState(platformID).Stopped {
		t.Errorf("on: %d", got.StatusCode)
	}
	if got := b.button(s, "service", "run", "maybe"); got.StatusCode != 400 {
		t.Errorf("maybe: %d", got.StatusCode)
	}

	p.event = func(w http.ResponseWriter, _ innerXML) bool { io.WriteString(w, "ok"); return true }
	if got := b.button(s, "ticket"); got.StatusCode != 400 || !strings.HasPrefix(got.body, "not accepted, 3 attempts") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestAuthorizationButtons(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	p.noStore = true
	b := newBrowser(t, "")
	for _, name := range []string{"authorized", "functions", "deauthorize"} {
		if got := b.button(s, name, "appid", appid); got.StatusCode != 400 {
			t.Errorf("%s of nobody: %d", name, got.StatusCode)
		}
	}
	// A push that the administrator's page left to the button.
	link := p.pcLink()
	if got := b.from(p.URL, link, "grant", "agree", "appid", appid, "functions", "1", "then", "late"); got.StatusCode != 302 {
		t.Fatal(got.body)
	}
	p.noPush()
	if got := b.get(s.URL + "/sim/component/"); !strings.Contains(got.body, "推送等待中") {
		t.Error("the page does not tell of the push")
	}
	if got := b.button(s, "authorized", "appid", appid); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	late := p.pushed()
	if late.InfoType != "authorized" || late.AuthorizerAppid != appid || late.PreAuthCode == "" {
		t.Errorf("%+v", late)
	}
	if got := b.get(s.URL + "/sim/component/"); strings.Contains(got.body, "推送等待中") {
		t.Error("still waiting")
	}
	if got := b.button(s, "authorized", "appid", appid, "times", "2"); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	for range 2 {
		if m := p.pushed(); m.AuthorizationCode != late.AuthorizationCode {
			t.Errorf("%+v", m)
		}
	}
	for _, times := range []string{"0", "11", "x"} {
		if got := b.button(s, "authorized", "appid", appid, "times", times); got.StatusCode != 400 {
			t.Errorf("times %s: %d", times, got.StatusCode)
		}
	}

	// Other permission sets are another grant; the same ones are no news.
	if got := b.button(s, "functions", "appid", appid, "functions", "1", "functions", "4"); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if m := p.pushed(); m.InfoType != "updateauthorized" || m.AuthorizationCode == late.AuthorizationCode {
		t.Errorf("%+v", m)
	}
	if got := b.button(s, "functions", "appid", appid, "functions", "4", "functions", "1"); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	p.noPush()
	if got := b.button(s, "functions", "appid", appid, "functions", ""); got.StatusCode != 400 {
		t.Errorf("no sets: %d", got.StatusCode)
	}

	// A grant that no page made has a push, too.
	code := s.Grant(platformID, mini)
	if got := b.button(s, "authorized", "appid", mini); got.StatusCode != 303 || p.pushed().AuthorizationCode != code {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}

	if got := b.button(s, "deauthorize", "appid", appid); got.StatusCode != 303 || p.pushed().InfoType != "unauthorized" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if state := s.ComponentState(platformID); len(state.Authorizations) != 1 || state.Authorizations[0].AppID != mini {
		t.Errorf("%+v", state.Authorizations)
	}
}

// Scripts get JSON.
func TestPlatformButtonsForScripts(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	post := func(name, form string, into any) int {
		t.Helper()
		req, err := http.NewRequest("POST", s.URL+"/sim/component/"+name, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	var pushed struct {
		OK       bool
		Error    string
		Attempts []struct {
			Status int
			Answer string
		}
	}
	if status := post("ticket", "component="+platformID, &pushed); status != 200 || !pushed.OK || len(pushed.Attempts) != 1 || pushed.Attempts[0].Answer != "success" {
		t.Errorf("%d %+v", status, pushed)
	}
	p.event = func(w http.ResponseWriter, _ innerXML) bool { w.WriteHeader(503); return true }
	if status := post("ticket", "component="+platformID, &pushed); status != 400 || pushed.OK || pushed.Error == "" || len(pushed.Attempts) != 3 || pushed.Attempts[2].Status != 503 {
		t.Errorf("%d %+v", status, pushed)
	}
	p.event = nil
	var report wechattest.ReleaseReport
	if status := post("release", "component="+platformID+"&group=4", &report); status != 200 || !report.Passed || report.Group != 4 || len(report.Steps) != 13 {
		t.Errorf("%d %+v", status, report)
	}
	for _, form := range []string{"component=" + platformID + "&group=x", "component=" + platformID + "&group=6", "component=wx0"} {
		if status := post("release", form, &pushed); status != 400 || pushed.OK || pushed.Error == "" {
			t.Errorf("%s: %d %+v", form, status, pushed)
		}
	}
}

func TestReleaseButton(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	s.Set(func(b *wechattest.Behaviour) { b.ReleaseSeconds = 1 })
	p.reply = func(m innerXML) (string, string, string, bool) {
		return "", "", "success", m.MsgType == "text" && strings.HasPrefix(m.Content, "TEST")
	}
	b := newBrowser(t, "")
	got := b.button(s, "release", "group", "2")
	for _, want := range []string{"未通过", releaseAccounts[1][0], "TESTCOMPONENT_MSG_TYPE_TEXT_callback", "no passive reply", `class="good"`, `class="bad"`, `class="quiet"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the checklist lacks %q: %s", want, got.body)
		}
	}
	if got := b.get(s.URL + "/sim/component/"); !strings.Contains(got.body, "no passive reply") {
		t.Error("the page forgot the checklist")
	}
}
