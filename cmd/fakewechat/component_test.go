package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wxgate/wechat"
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
