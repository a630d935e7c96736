package wechattest_test

import (
	"strings"
	"testing"
)

// A player writes from the page of third-party platforms, which shows the answer.
func TestMessageButton(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	p.reply = func(m innerXML) (string, string, string, bool) {
		return "", "", "success", m.Content == "<b>有人吗</b>"
	}
	b := newBrowser(t, "")
	shown := func() string { return b.get(s.URL + "/sim/component/").body }
	write := func(text, player string) page {
		return b.button(s, "message", "appid", appid, "player", player, "text", text)
	}
	if got := write("你好", "xiaomei"); got.StatusCode != 400 {
		t.Errorf("to an account that authorized nobody: %d", got.StatusCode)
	}
	s.Grant(platformID, appid)
	if got := write("你好", "nobody"); got.StatusCode != 400 {
		t.Errorf("from nobody: %d", got.StatusCode)
	}
	if got := write("TESTCOMPONENT_MSG_TYPE_TEXT", "xiaomei"); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if got := shown(); !strings.Contains(got, "<b>TESTCOMPONENT_MSG_TYPE_TEXT_callback</b>") || !strings.Contains(got, "：TESTCOMPONENT_MSG_TYPE_TEXT →") {
		t.Errorf("the page: %s", got)
	}
	if got := write("<b>有人吗</b>", "xiaomei"); got.StatusCode != 303 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if got := shown(); !strings.Contains(got, "没有回复") || !strings.Contains(got, "&lt;b&gt;有人吗") {
		t.Errorf("the page without a reply: %s", got)
	}
}
