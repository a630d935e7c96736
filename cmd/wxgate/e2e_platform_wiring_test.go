package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// TestPlatformIsWired runs wxgate as a third-party platform with nothing but its environment: each variable has its
// effect, and what came before a kill is there after it.
func TestPlatformIsWired(t *testing.T) {
	t.Parallel()
	events := make(chan string, 16)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		events <- string(body)
	}))
	t.Cleanup(hook.Close)
	app := freeAddress(t)
	s := newStage(t, "WXGATE_ADMIN_TOKEN="+stageOperator, "WXGATE_HOOK_URL="+hook.URL, "WXGATE_APP_LISTEN="+app,
		"WXGATE_COMPONENT_APP_ID="+platformID, "WXGATE_COMPONENT_APP_SECRET=secretOfThePlatform", "WXGATE_COMPONENT_TOKEN=tokenOfThePlatform",
		"WXGATE_COMPONENT_AES_KEY="+aesKeyA, "WXGATE_COMPONENT_AES_KEY_PREVIOUS="+aesKeyB)
	_, port, _ := strings.Cut(s.listen, ":")
	s.env["WXGATE_COMPONENT_ACCOUNTS"] = "shop.localhost:" + port + "=" + shopID
	s.env["WXGATE_WECHAT_MP_URL"] = s.wechat.URL + "/mp"
	s.wechat.AddApp(wechattest.App{ID: shopID, Secret: "unknown to wxgate", Name: "一号店"})
	s.wechat.AddComponent(wechattest.Component{
		ID: platformID, Secret: "secretOfThePlatform", Token: "tokenOfThePlatform", AESKey: aesKeyA, PreviousAESKey: aesKeyB, Published: true,
		EventURL: "http://" + s.listen + "/.wxgate/component/events", LaunchDomain: "127.0.0.1", OAuthHosts: []string{"127.0.0.1"},
	})
	p := s.start()
	for _, said := range []string{`"platform":"` + platformID + `","mapped_hosts":1`, `"a host is mapped to an account that is not known`, `"appid":"` + shopID + `"`} {
		eventually(t, patience, "the log has "+said, func() bool { return strings.Contains(p.stderr.String(), said) })
	}

	ticket := s.wechat.IssueTicket(platformID)
	if _, err := s.wechat.PushComponent(t.Context(), platformID, wechattest.ComponentPush{
		InfoType: "component_verify_ticket", Fields: []string{"ComponentVerifyTicket", ticket}, PreviousKey: true,
	}); err != nil {
		t.Fatalf("a ticket under the previous key: %v", err)
	}
	code := s.wechat.Grant(platformID, shopID, 1, 15)
	if _, err := s.wechat.PushAuthorized(t.Context(), platformID, shopID, code, ""); err != nil {
		t.Fatalf("an authorization under the current key: %v", err)
	}
	settled := func() bool {
		var a struct {
			Status, Name    string
			HasRefreshToken bool `json:"has_refresh_token"`
		}
		_, body := s.operate("GET", "component/authorizers/"+shopID, "")
		return json.Unmarshal([]byte(body), &a) == nil && a.Status == "authorized" && a.Name == "一号店" && a.HasRefreshToken
	}
	eventually(t, patience, "the account is authorized", settled)
	select {
	case event := <-events:
		if !strings.Contains(event, `"authorizer.authorized"`) || !strings.Contains(event, shopID) {
			t.Errorf("the app heard %s", event)
		}
	case <-time.After(patience):
		t.Error("the app heard nothing")
	}

	p.kill()
	p = s.start()
	if !settled() {
		t.Error("the account is not there after a kill, or its refresh token does not open")
	}
	mints := s.wechat.ComponentState(platformID).Mints
	message := fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"hello"}}`, s.wechat.OpenID("xiaomei", shopID))
	res, err := http.Post("http://"+app+"/wechat/"+shopID+"/cgi-bin/message/custom/send", "application/json", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !strings.Contains(string(text), `"errcode":0`) {
		t.Errorf("the app's call on behalf: %d %s", res.StatusCode, text)
	}
	if now := s.wechat.ComponentState(platformID).Mints; now != mints {
		t.Errorf("the platform's token was minted %d times more by a restart", now-mints)
	}

	var link struct{ URL string }
	if err := json.Unmarshal([]byte(s.must("POST", "component/links", `{"auth_type":1}`)), &link); err != nil || !strings.HasPrefix(link.URL, "http://"+s.listen+"/.wxgate/component/authorize?auth_type=1&token=") {
		t.Fatalf("%v: %+v", err, link)
	}
	if status, page := fetch(link.URL); status != http.StatusOK || !strings.Contains(page, s.wechat.URL+"/mp/cgi-bin/componentloginpage?component_appid="+platformID) {
		t.Errorf("the page of the link: %d %s", status, page)
	}

	// The host of the account is served, and sends visitors to WeChat on its behalf.
	r, _ := http.NewRequest("GET", "http://"+s.listen+"/.wxgate/login?via=mp&next=/", nil)
	r.Host = "shop.localhost:" + port
	r.Header.Set("Accept", "text/html")
	r.Header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI Language/zh_CN")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	login, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer login.Body.Close()
	if to := login.Header.Get("Location"); login.StatusCode != http.StatusFound || !strings.HasPrefix(to, s.wechat.URL+"/connect/oauth2/authorize?appid="+shopID+"&") || !strings.Contains(to, "&component_appid="+platformID) {
		t.Errorf("the account's host: %d to %s", login.StatusCode, to)
	}

	_, metrics := fetch("http://" + s.admin + "/metrics")
	for _, line := range []string{"\nwxgate_component_ticket_age_seconds ", "\nwxgate_token_expiry_timestamp_seconds{token=\"component\"} ", "\nwxgate_token_expiry_timestamp_seconds{token=\"authorizer\"} "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no gauge %s", line)
		}
	}
	for _, secret := range []string{"secretOfThePlatform", "tokenOfThePlatform", aesKeyA, aesKeyB, ticket, code} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
	if strings.Contains(p.stderr.String(), "a host is mapped to an account") {
		t.Error("the log warns of the host of an account that is authorized")
	}
}
