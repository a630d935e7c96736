package wechattest_test

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func serverToken(t *testing.T, s *wechattest.Server, appid string) string {
	t.Helper()
	r := ask(t, s, wechattest.StableTokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret, "force_refresh", false)
	if r.text("access_token") == "" {
		t.Fatal(r.raw)
	}
	return r.text("access_token")
}

func TestTicket(t *testing.T) {
	s := start(t)
	get := func(token, kind string) reply {
		t.Helper()
		return ask(t, s, wechattest.TicketPath, "access_token", token, "type", kind)
	}
	first := get(serverToken(t, s, appid), "jsapi")
	if !strings.HasPrefix(first.raw, `{"errcode":0,"errmsg":"ok","ticket":"`) || first.number("expires_in") < 7100 {
		t.Fatal(first.raw)
	}
	ticket := first.text("ticket")
	s.Advance(time.Hour)
	if r := get(serverToken(t, s, appid), "jsapi"); r.text("ticket") != ticket || r.number("expires_in") > 3600 {
		t.Errorf("inside its life: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.TicketFullLife = true })
	if r := get(serverToken(t, s, appid), "jsapi"); r.text("ticket") != ticket || r.number("expires_in") != 7200 {
		t.Errorf("by switch: %s", r.raw)
	}
	if r := get(serverToken(t, s, appid), "wx_card"); r.text("ticket") == ticket {
		t.Errorf("card: %s", r.raw)
	}
	s.Advance(time.Hour)
	if r := get(serverToken(t, s, appid), "jsapi"); r.text("ticket") == ticket {
		t.Error("the ticket outlived itself")
	}
	for want, r := range map[int]reply{
		41001: get("", "jsapi"), 40001: get("x", "jsapi"), 40097: get(serverToken(t, s, appid), "x"), 48001: get(serverToken(t, s, mini), "jsapi"),
	} {
		if r.errcode() != want {
			t.Errorf("%s, want %d", r.raw, want)
		}
	}
	s.Advance(2 * time.Hour)
	old := serverToken(t, s, appid)
	s.Advance(2 * time.Hour)
	if r := get(old, "jsapi"); r.errcode() != 42001 {
		t.Errorf("old token: %s", r.raw)
	}
}

func sign(ticket, nonce string, timestamp int64, page string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "jsapi_ticket=%s&noncestr=%s&timestamp=%d&url=%s", ticket, nonce, timestamp, page))
	return hex.EncodeToString(sum[:])
}

func TestCheckJSConfig(t *testing.T) {
	s := start(t)
	s.AddApp(wechattest.App{ID: appid, Secret: secret, JSDomains: []string{"play.example.com", "example.org/game", "127.0.0.1"}})
	ticket := ask(t, s, wechattest.TicketPath, "access_token", serverToken(t, s, appid), "type", "jsapi").text("ticket")
	good := func(page string) wechattest.JSConfig {
		return wechattest.JSConfig{
			AppID: appid, NonceStr: "n", Timestamp: 1_800_000_000, Signature: sign(ticket, "n", 1_800_000_000, page),
			Landing: page, Current: page, UserAgent: wechattest.UAAndroid,
		}
	}
	const page = "https://play.example.com/?a=1"
	tests := []struct {
		name   string
		config wechattest.JSConfig
		change func(*wechattest.JSConfig)
		want   error
	}{
		{"good", good(page), nil, nil},
		{"fragment is left out", good(page), func(c *wechattest.JSConfig) { c.Current += "#/x" }, nil},
		{"signed with the fragment", good(page + "#/x"), nil, wechattest.InvalidSignature},
		{"another page", good(page), func(c *wechattest.JSConfig) { c.Current += "&b=2" }, wechattest.InvalidSignature},
		{"another page since, iOS", good(page), func(c *wechattest.JSConfig) { c.Current, c.UserAgent = c.Current+"x", wechattest.UAIOS }, nil},
		{"another landing page, iOS", good(page), func(c *wechattest.JSConfig) { c.Landing, c.UserAgent = c.Landing+"x", wechattest.UAIOS }, wechattest.InvalidSignature},
		{"another landing page, Android", good(page), func(c *wechattest.JSConfig) { c.Landing += "x" }, nil},
		{"another nonce", good(page), func(c *wechattest.JSConfig) { c.NonceStr = "m" }, wechattest.InvalidSignature},
		{"no nonce", good(page), func(c *wechattest.JSConfig) { c.NonceStr = "" }, wechattest.InvalidSignature},
		{"another time", good(page), func(c *wechattest.JSConfig) { c.Timestamp++ }, wechattest.InvalidSignature},
		{"no signature", good(page), func(c *wechattest.JSConfig) { c.Signature = "" }, wechattest.InvalidSignature},
		{"upper case", good(page), func(c *wechattest.JSConfig) { c.Signature = strings.ToUpper(c.Signature) }, wechattest.InvalidSignature},
		{"unknown appid", good(page), func(c *wechattest.JSConfig) { c.AppID = "wx9999999999999999" }, wechattest.InvalidAppID},
		{"website's appid", good(page), func(c *wechattest.JSConfig) { c.AppID = website }, wechattest.InvalidAppID},
		{"snapshot page", good(page), func(c *wechattest.JSConfig) { c.Snapshot = true }, wechattest.PermissionDenied},
		{"another domain", good("https://pay.example.com/"), nil, wechattest.InvalidDomain},
		{"parent domain", good("https://example.com/"), nil, wechattest.InvalidDomain},
		{"below a registered path", good("https://example.org/game/1"), nil, nil},
		{"beside a registered path", good("https://example.org/games"), nil, wechattest.InvalidDomain},
		{"port 443", good("https://play.example.com:443/"), nil, nil},
		{"another port", good("https://play.example.com:8443/"), nil, wechattest.InvalidDomain},
		{"loopback port", good("http://127.0.0.1:8080/"), nil, nil},
		{"not the web", good("file:///play.example.com"), nil, wechattest.InvalidDomain},
		{"no page", good(""), nil, wechattest.InvalidDomain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.change(&tt.config)
			}
			if got := s.CheckJSConfig(tt.config); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}

	b := newBrowser(t, wechattest.UAAndroid)
	form := []string{"appId", appid, "nonceStr", "n", "timestamp", "1800000000", "signature", sign(ticket, "n", 1_800_000_000, page), "landing", "x", "current", page}
	if got := b.post(s.URL+"/sim/jsconfig", form...); got.body != "{\"errMsg\":\"config:ok\"}\n" {
		t.Errorf("page: %s", got.body)
	}
	if got := b.post(s.URL+"/sim/jsconfig", append(form, "userAgent", wechattest.UAIOS)...); got.body != "{\"errMsg\":\"config:invalid url domain\"}\n" {
		t.Errorf("page: %s", got.body)
	}
	if got := b.get(s.URL + wechattest.JSSDKPath); !strings.Contains(got.body, "window.wx") || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("script: %s", got.body)
	}
	s.Advance(2 * time.Hour)
	if got := s.CheckJSConfig(good(page)); !errors.Is(got, wechattest.InvalidSignature) {
		t.Errorf("with an expired ticket: %v", got)
	}
}
