package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// releaseMessage is what the tester writes to the first of WeChat's accounts.
func releaseMessage(kind, rest string) string { return messageTo("gh_3c884a361561", kind, rest) }

func messageTo(original, kind, rest string) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>ozy4qt1eDxSxzCr0aNT0mXCWfrDE</FromUserName><CreateTime>1760000000</CreateTime><MsgType>%s</MsgType>%s</xml>", original, kind, rest)
}

const releaseID = "wx570bc396a51b8ff8" // whose original id that is

// writes posts a message as one to the account of the path, and opens the answer
// as WeChat does.
func (p *portal) writes(appID, message string) wechattest.Attempt {
	p.t.Helper()
	out, _ := p.wechat.PushComponent(p.t.Context(), portalID, wechattest.ComponentPush{AppID: appID, XML: message, Attempts: 1})
	return out.Attempts[0]
}

// The whole test, by each group of accounts, without an app.
func TestReleaseTestPasses(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 2, mail.forwards)
	for group := 1; group <= wechattest.ReleaseGroups; group++ {
		report, err := p.wechat.ReleaseTestGroup(t.Context(), portalID, group)
		if err != nil || !report.Passed {
			t.Errorf("group %d: %v, %+v", group, err, report)
		}
		for _, step := range report.Steps {
			if !step.OK {
				t.Errorf("group %d: %+v", group, step)
			}
		}
	}
	if mail.count() != 0 {
		t.Error("the app was asked")
	}
}

func TestReleaseAnswers(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 1, mail.forwards)
	p.ticket()
	text := func(content string) string {
		return releaseMessage("text", "<Content><![CDATA["+content+"]]></Content><MsgId>1</MsgId>")
	}
	for _, tt := range []struct{ message, want string }{
		{text("TESTCOMPONENT_MSG_TYPE_TEXT"), "TESTCOMPONENT_MSG_TYPE_TEXT_callback"},
		{text("TESTCOMPONENT_MSG_TYPE_TEXT "), "TESTCOMPONENT_MSG_TYPE_TEXT_callback"},
		{releaseMessage("event", "<Event>LOCATION</Event>"), "LOCATIONfrom_callback"},
		{releaseMessage("event", "<Event>user_authorization_revoke</Event><OpenID>o1</OpenID>"), "user_authorization_revokefrom_callback"},
		{releaseMessage("event", "<Event><![CDATA[x]]>]]&gt;<![CDATA[<b>]]></Event>"), ""},
		{releaseMessage("event", "<Event></Event>"), ""},
		{text("你好，TESTCOMPONENT_MSG_TYPE_TEXT"), ""},
		{text("hello"), ""},
		{text("QUERY_AUTH_CODE:"), ""},
		{text("QUERY_AUTH_CODE:a b"), ""},
		{strings.Replace(text("TESTCOMPONENT_MSG_TYPE_TEXT"), "ozy4qt1eDxSxzCr0aNT0mXCWfrDE", "]]&gt;&lt;b&gt;", 1), ""},
		{releaseMessage("voice", "<Content>TESTCOMPONENT_MSG_TYPE_TEXT</Content>"), ""},
	} {
		a := p.writes(releaseID, tt.message)
		switch {
		case tt.want == "":
			if a.Status != 200 || a.Answer != "success" {
				t.Errorf("%s is answered %+v", tt.message, a)
			}
		case a.Err != nil || !strings.Contains(a.Reply, "<Content><![CDATA["+tt.want+"]]></Content>") ||
			!strings.Contains(a.Reply, "<ToUserName><![CDATA[ozy4qt1eDxSxzCr0aNT0mXCWfrDE]]></ToUserName><FromUserName><![CDATA[gh_3c884a361561]]></FromUserName>"):
			t.Errorf("%s is answered %+v", tt.message, a)
		}
	}
	// With the key that opened.
	out, err := p.wechat.PushComponent(t.Context(), portalID, wechattest.ComponentPush{AppID: releaseID, XML: text("TESTCOMPONENT_MSG_TYPE_TEXT"), PreviousKey: true})
	if err != nil || !strings.Contains(out.Reply, "_callback") {
		t.Errorf("with the previous key: %v, %+v", err, out)
	}
	// The reply through the API is committed when the answer comes, and empty.
	query := text("QUERY_AUTH_CODE:queryauthcode@@@of-the-test")
	for range 2 {
		if a := p.writes(releaseID, query); a.Status != 200 || a.Answer != "" {
			t.Errorf("answered %+v", a)
		}
	}
	if log := p.log.String(); strings.Contains(log, "of-the-test") || strings.Contains(log, "ozy4qt1eDxSxzCr0aNT0mXCWfrDE") {
		t.Error("the log shows the code or the tester")
	}
	if mail.count() != 0 {
		t.Errorf("the app was asked: %q", mail.bodies)
	}
}

// The words mean nothing from anybody else.
func TestReleaseTestIsForItsAccounts(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 1, mail.forwards)
	p.ticket()
	p.authorize(customerID)
	n := len(p.wechat.Calls("/cgi-bin/component/api_query_auth"))
	word := "<Content>TESTCOMPONENT_MSG_TYPE_TEXT</Content><MsgId>1</MsgId>"
	code := "<Content>QUERY_AUTH_CODE:queryauthcode@@@x</Content><MsgId>2</MsgId>"
	for i, rest := range []string{word, code} {
		// To an account of the app's: the app gets it.
		if a := p.writes(customerID, messageTo(customerGh, "text", rest)); a.Answer != "success" || mail.count() != i+1 {
			t.Errorf("answered %+v, the app has %d", a, mail.count())
		}
		// The path or the message alone.
		for _, tt := range []struct {
			appID, original string
			status          int
		}{{customerID, "gh_3c884a361561", http.StatusBadRequest}, {releaseID, customerGh, 200}, {releaseID, "gh_8dad206e9538", 200}, {"wxd101a85aa106f53f", "gh_8dad206e9538", 200}} {
			if a := p.writes(tt.appID, messageTo(tt.original, "text", rest)); a.Status != tt.status || a.Reply != "" || tt.status == 200 && a.Answer != "success" {
				t.Errorf("%s to %s is answered %+v", tt.original, tt.appID, a)
			}
		}
	}
	if a := p.wechat.Calls("/cgi-bin/component/api_query_auth"); len(a) != n {
		t.Error("a code was exchanged that a message named")
	}
	if mail.count() != 2 {
		t.Errorf("the app got %q", mail.bodies)
	}
}
