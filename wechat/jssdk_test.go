package wechat_test

import (
	"errors"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// The two examples of WeChat's own pages: the appendix on JS-SDK signatures and
// https://developer.work.weixin.qq.com/document/path/96909
func TestJSAPISignature(t *testing.T) {
	const (
		ticket    = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
		nonce     = "Wm3WZYTPz0wzccnW"
		timestamp = 1414587457
	)
	for page, want := range map[string]string{
		"http://mp.weixin.qq.com":                      "f4d90daf4b3bca3078ab155816175ba34c443a7b",
		"http://mp.weixin.qq.com?params=value":         "0f9de62fce790f9a083d5c99e95740ceb90c27ed",
		"http://mp.weixin.qq.com#top":                  "f4d90daf4b3bca3078ab155816175ba34c443a7b",
		"http://mp.weixin.qq.com?params=value#/a?b#/c": "0f9de62fce790f9a083d5c99e95740ceb90c27ed",
	} {
		if got := wechat.JSAPISignature(ticket, nonce, timestamp, page); got != want {
			t.Errorf("%s: %s, want %s", page, got, want)
		}
	}
}

// A signature made with a ticket of the account passes where WeChat checks it:
// on iOS against the address the page was loaded from, else against the present one.
func TestSignaturePasses(t *testing.T) {
	s, c := start(t, wechat.Config{})
	s.AddApp(wechattest.App{ID: appid, Secret: secret, JSDomains: []string{"play.example.com"}})
	ticket, err := wechat.NewServerTokens(c, nil).JSAPITicket(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	const landing, current = "https://play.example.com/?from=singlemessage&x=娃+%2F", "https://play.example.com/room/1"
	for _, tt := range []struct {
		agent, signed string
		want          error
	}{
		{wechattest.UAIOS, landing, nil},
		{wechattest.UAIOS, current, wechattest.InvalidSignature},
		{wechattest.UAAndroid, current, nil},
		{wechattest.UAAndroid, landing, wechattest.InvalidSignature},
	} {
		now := time.Now().Unix()
		got := s.CheckJSConfig(wechattest.JSConfig{
			AppID: appid, NonceStr: "n0nce", Timestamp: now, Signature: wechat.JSAPISignature(ticket, "n0nce", now, tt.signed+"#/x"),
			Landing: landing, Current: current, UserAgent: tt.agent,
		})
		if !errors.Is(got, tt.want) {
			t.Errorf("%.30s, %s: %v, want %v", tt.agent, tt.signed, got, tt.want)
		}
	}
}
