package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// A platform gets its first ticket at once, opens it with what the program
// printed, and mints a token with it.
func TestSamplePlatform(t *testing.T) {
	type push struct {
		path, query string
		body        []byte
	}
	pushed := make(chan push, 10)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, "success")
		pushed <- push{r.URL.Path, r.URL.RawQuery, body}
	}))
	t.Cleanup(site.Close)
	p := startProgram(t, "-platform", site.URL+"/")
	if all := strings.Join(p.lines, "\n"); p.vars["WXGATE_WECHAT_MP_URL"] == "" || !strings.Contains(all, "platform      wx0fa4e0000000c1a7  events to "+site.URL) {
		t.Errorf("printed:\n%s", all)
	}
	opener, err := wechat.NewPush(wechat.PushConfig{
		Token: p.vars["WXGATE_COMPONENT_TOKEN"], AppID: p.vars["WXGATE_COMPONENT_APP_ID"], AESKeys: []string{p.vars["WXGATE_COMPONENT_AES_KEY"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := <-pushed
	if got.path != "/.wxgate/component/events" {
		t.Errorf("pushed to %s", got.path)
	}
	envelope, err := opener.Open(got.query, got.body)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wechat.ParsePush(envelope.XML)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{
		"component_appid": p.vars["WXGATE_COMPONENT_APP_ID"], "component_appsecret": p.vars["WXGATE_COMPONENT_APP_SECRET"],
		"component_verify_ticket": m.Field("ComponentVerifyTicket"),
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(p.vars["WXGATE_WECHAT_API_URL"]+"/cgi-bin/component/api_component_token", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(answer), `"component_access_token":"`) {
		t.Errorf("minted %s, %v", answer, err)
	}
}

// The platform's customer authorizes it, after which people log in at the printed
// host. A ticket that is asked for comes at once.
func TestCustomersOfTheSamplePlatform(t *testing.T) {
	tickets := make(chan string, 10)
	var opener *wechat.Push
	started := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-started
		body, _ := io.ReadAll(r.Body)
		envelope, err := opener.Open(r.URL.RawQuery, body)
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(w, "success")
		if m, err := wechat.ParsePush(envelope.XML); err == nil && m.Field("ComponentVerifyTicket") != "" {
			tickets <- m.Field("ComponentVerifyTicket")
		}
	}))
	t.Cleanup(site.Close)
	p := startProgram(t, "-platform", site.URL)
	var err error
	opener, err = wechat.NewPush(wechat.PushConfig{
		Token: p.vars["WXGATE_COMPONENT_TOKEN"], AppID: p.vars["WXGATE_COMPONENT_APP_ID"], AESKeys: []string{p.vars["WXGATE_COMPONENT_AES_KEY"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	close(started)
	const account, program = "wx0fa4e0000000c1e5", "wx0fa4e0000000c1f6"
	if all := strings.Join(p.lines, "\n"); !strings.Contains(all, "  customers     "+account+" (mp), "+program+" (mini)") {
		t.Errorf("printed:\n%s", all)
	}
	own, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	host := account + ".localhost:" + own.Port()
	if got := p.vars["WXGATE_COMPONENT_ACCOUNTS"]; got != host+"="+account {
		t.Errorf("WXGATE_COMPONENT_ACCOUNTS is %q", got)
	}

	first := <-tickets
	client := wechat.New(wechat.Config{APIURL: p.vars["WXGATE_WECHAT_API_URL"], OpenURL: p.vars["WXGATE_WECHAT_OPEN_URL"], MPURL: p.vars["WXGATE_WECHAT_MP_URL"]})
	app := wechat.App{ID: p.vars["WXGATE_COMPONENT_APP_ID"], Secret: p.vars["WXGATE_COMPONENT_APP_SECRET"]}
	if running, err := client.StartPushTicket(t.Context(), app); err != nil || !running {
		t.Errorf("asked for a ticket: %t, %v", running, err)
	}
	if second := <-tickets; second == first {
		t.Error("the same ticket came again")
	}
	token, err := client.ComponentToken(t.Context(), app, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{program, account} {
		code, _, err := client.PreAuthCode(t.Context(), token.Token, app.ID)
		if err != nil {
			t.Fatal(err)
		}
		back := post(t, client.ComponentLoginURL(wechat.Launch{ComponentAppID: app.ID, PreAuthCode: code, RedirectURI: site.URL + "/back", AuthType: 3}),
			site.URL+"/", url.Values{"grant": {"agree"}, "appid": {id}})
		grant, err := client.QueryAuth(t.Context(), token.Token, app.ID, back.Query().Get("auth_code"))
		if err != nil || grant.AppID != id {
			t.Fatalf("%s authorized: %+v, %v", id, grant, err)
		}
	}
	back := post(t, client.AuthorizeURL(wechat.Authorize{
		AppID: account, ComponentAppID: app.ID, RedirectURI: "http://" + host + "/.wxgate/callback", Scope: "snsapi_userinfo", State: "s1",
	}), "", url.Values{"consent": {"agree"}})
	if back.Host != host || back.Query().Get("code") == "" {
		t.Errorf("a login ended at %s", back)
	}
}

// post presses a button of one of WeChat's pages, on a phone that is 小美's, and
// tells where that leads.
func post(t *testing.T, address, from string, form url.Values) *url.URL {
	t.Helper()
	address, _, _ = strings.Cut(address, "#")
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", wechattest.UAIOS)
	req.Header.Set("Referer", from)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.AddCookie(&http.Cookie{Name: wechattest.PlayerCookie, Value: "xiaomei"})
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("%s: %s, error %s", address, res.Status, res.Header.Get(wechattest.ErrorHeader))
	}
	return back
}

func TestSamplePlatformHosts(t *testing.T) {
	const account = "wx0fa4e0000000c1e5"
	for base, want := range map[string]struct{ mapped, hosts string }{
		"http://localhost:8080":     {account + ".localhost:8080=" + account, "localhost"},
		"http://127.0.0.1:8080/":    {account + ".localhost:8080=" + account, "127.0.0.1 localhost"},
		"https://play.example.com/": {account + ".play.example.com=" + account, "play.example.com"},
	} {
		o, err := parse([]string{"-platform", base}, io.Discard)
		if err != nil || o.mapped != want.mapped || strings.Join(o.components[0].OAuthHosts, " ") != want.hosts || !o.components[0].Published {
			t.Errorf("%s: %v, %s, %+v", base, err, o.mapped, o.components)
		}
	}
}

func TestComponentFlag(t *testing.T) {
	const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	var all components
	if err := all.Set("wx0123456789abcdef:s:tok:" + key + ":https://a.test/events,https://$APPID$.b.test/x"); err != nil {
		t.Fatal(err)
	}
	c := all[0]
	if c.EventURL != "https://a.test/events" || c.MessageURL != "https://$APPID$.b.test/x" || c.LaunchDomain != "a.test" ||
		strings.Join(c.OAuthHosts, " ") != "a.test b.test" || !c.Published {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"wx0123456789abcdef:s":                                     "eventurl",
		"wx1:s:tok:" + key + ":https://a.test/":                    "16 hex digits",
		"wx0123456789abcdef:s:tok:short:https://a.test/":           "43",
		"wx0123456789abcdef:s:tok:" + key + ":a.test":              "http or https",
		"wx0123456789abcdef:s:tok:" + key + ":http://a.test:8080/": "port",
	} {
		if err := all.Set(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
