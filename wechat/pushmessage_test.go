package wechat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParsePush(t *testing.T) {
	m, err := ParsePush([]byte(own.message))
	if err != nil {
		t.Fatal(err)
	}
	if m.ToUserName != "gh_3c884a361561" || m.FromUserName != "oSimUser0000000000000000001" || m.MsgType != "text" || m.Event != "" ||
		m.MsgID != "24000000000000001" || !m.CreateTime.Equal(time.Unix(1760001200, 0)) {
		t.Errorf("got %+v", m)
	}
	if m.Field("Content") != "你好，TESTCOMPONENT_MSG_TYPE_TEXT" || m.Field("content") != "" || m.OpenID() != m.FromUserName {
		t.Errorf("content %q, openid %q", m.Field("Content"), m.OpenID())
	}

	m, err = ParsePush([]byte("<xml><List>\n<item>1</item>\n</List></xml>"))
	if err != nil || m.Field("List") != "" {
		t.Errorf("a list reads %q, %v", m.Field("List"), err)
	}

	// A push to a third-party platform.
	m, err = ParsePush([]byte(pushVectors[3].message))
	if err != nil || m.Field("InfoType") != "authorized" || m.Field("AuthorizerAppid") != "wx1a2b3c4d5e6f7081" || m.CreateTime.Unix() != 1760000600 {
		t.Errorf("got %+v, %v", m, err)
	}
	if m, err := ParsePush([]byte("<xml/>")); err != nil || !m.CreateTime.IsZero() || m.OpenID() != "" {
		t.Errorf("empty: %+v, %v", m, err)
	}
}

// The sender of the events about an authorization is not the person.
func TestPushOpenID(t *testing.T) {
	event := func(msgType, event, more string) string {
		return "<xml><FromUserName>oSender</FromUserName><MsgType>" + msgType + "</MsgType><Event>" + event + "</Event>" + more + "</xml>"
	}
	for name, tt := range map[string]struct{ xml, want string }{
		"subscribe":       {event("event", EventSubscribe, "<OpenID>oOther</OpenID>"), "oSender"},
		"unsubscribe":     {event("event", EventUnsubscribe, ""), "oSender"},
		"modified":        {event("event", EventUserInfoModified, "<OpenID>oPerson</OpenID>"), "oPerson"},
		"modified, bare":  {event("event", EventUserInfoModified, ""), ""},
		"revoke":          {event("event", EventRevoke, "<OpenID>oPerson</OpenID>"), "oPerson"},
		"revoke, Event":   {event("Event", EventRevoke, "<OpenID>oPerson</OpenID>"), "oPerson"},
		"cancellation":    {event("event", EventCancellation, "<OpenID>oPerson</OpenID>"), "oPerson"},
		"text of a trick": {event("text", EventCancellation, "<OpenID>oPerson</OpenID>"), "oSender"},
	} {
		m, err := ParsePush([]byte(tt.xml))
		if err != nil || m.OpenID() != tt.want {
			t.Errorf("%s: %q, %v, want %q", name, m.OpenID(), err, tt.want)
		}
	}
}

func TestPushXML(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	tests := []struct{ name, xml, content, why string }{
		{"without CDATA", "<xml><Content>a&amp;b</Content></xml>", "a&b", ""},
		{"with CDATA", "<xml><Content><![CDATA[<!DOCTYPE a>]]></Content></xml>", "<!DOCTYPE a>", ""},
		{"CDATA in parts", "<xml><Content>a<![CDATA[b]]>c</Content></xml>", "abc", ""},
		{"white space stays", "<xml>\r\n\t<Content> a </Content>\n</xml>\n", " a ", ""},
		{"control bytes and broken UTF-8", "<xml><Content>a\x00\x14\xe5\xbc\ufffeb</Content></xml>", "a\ufffd\ufffd\ufffd\ufffd\ufffdb", ""},
		{"a list", "<xml><Content>a</Content><List><item>1</item><item>2</item></List>\n</xml>", "a", ""},
		{"a list in parts", "<xml><d>\n<a>1</a>\n</d><d>\n<a>2</a>\n</d><Content>a</Content></xml>", "a", ""},
		{"elements in a list", "<xml><info><Content>b</Content></info></xml>", "", ""},
		{"depth 10", "<xml>" + nested(9) + "<Content>a</Content></xml>", "a", ""},

		{"depth 11", "<xml>" + nested(10) + "</xml>", "", "too deep"},
		{"512 elements", "<xml><L>" + strings.Repeat("<a/>", 510) + "</L><C>c</C></xml>", "", "too many elements"},
		{"twice", "<xml><Content>a</Content><Content>a</Content></xml>", "", "twice"},
		{"text after a list", "<xml><Content><b/></Content><Content>a</Content></xml>", "", "twice"},
		{"list after a text", "<xml><Content>a</Content><Content><b/></Content></xml>", "", "twice"},
		{"empty twice", "<xml><Content/><Content></Content></xml>", "", "twice"},
		{"text around an element", "<xml><Content>a<b/></Content></xml>", "", "both"},
		{"text below the root", "<xml>a<Content>a</Content></xml>", "", "text between"},
		{"text before", "a<xml><Content>a</Content></xml>", "", "text between"},
		{"text behind", "<xml><Content>a</Content></xml>a", "", "text between"},
		{"byte order mark", "\ufeff<xml><Content>a</Content></xml>", "", "text between"},
		{"another root behind", "<xml><Content>a</Content></xml><xml/>", "", "one element xml"},
		{"another root", "<XML><Content>a</Content></XML>", "", "one element xml"},
		{"root with prefix", "<x:xml><Content>a</Content></x:xml>", "", "prefix"},
		{"root with namespace", `<xml xmlns="urn:x"><Content>a</Content></xml>`, "", "attributes"},
		{"attribute", `<xml><Content a="b">a</Content></xml>`, "", "attributes"},
		{"attribute in a list", `<xml><List><item a="b"/></List></xml>`, "", "attributes"},
		{"prefix", "<xml><x:Content>a</x:Content></xml>", "", "prefix"},
		{"comment", "<xml><Content>a<!-- -->b</Content></xml>", "", "comment"},
		{"comment before", "<!-- --><xml><Content>a</Content></xml>", "", "comment"},
		{"comment behind", "<xml><Content>a</Content></xml><!-- -->", "", "comment"},
		{"declaration", `<?xml version="1.0"?><xml><Content>a</Content></xml>`, "", "processing instruction"},
		{"instruction", "<xml><?php ?><Content>a</Content></xml>", "", "processing instruction"},
		{"document type", "<!DOCTYPE xml><xml><Content>a</Content></xml>", "", "document type"},
		{"entity", `<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><Content>&e;</Content></xml>`, "", "document type"},
		{"entity alone", "<xml><Content>&planted;</Content></xml>", "", "not XML"},
		{"reference to a control byte", "<xml><Content>&#0;</Content></xml>", "", "not XML"},
		{"not closed", "<xml><Content>a</Content>", "", "not XML"},
		{"closed wrongly", "<xml><Content>a</xml></Content>", "", "not XML"},
		{"closed once more", "<xml><Content>a</Content></xml></xml>", "", "not XML"},
		{"nothing", "", "", "not XML"},
		{"white space", " \n", "", "not XML"},
		{"JSON", `{"Content":"a"}`, "", "JSON"},
		{"too long", "<xml><Content>" + strings.Repeat("a", MaxPush-len("<xml><Content></Content></xml>")+1) + "</Content></xml>", "", "too long"},
		{"created never", "<xml><CreateTime></CreateTime></xml>", "", "CreateTime"},
		{"created before", "<xml><CreateTime>-1</CreateTime></xml>", "", "CreateTime"},
		{"created in a fraction", "<xml><CreateTime>1.5</CreateTime></xml>", "", "CreateTime"},
		{"created late", "<xml><CreateTime>1234567890123</CreateTime></xml>", "", "CreateTime"},
		{"created with a line break", "<xml><CreateTime>1760001200\n</CreateTime></xml>", "", "CreateTime"},
		{"created as a list", "<xml><CreateTime><a/></CreateTime></xml>", "", "CreateTime"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParsePush([]byte(tt.xml))
			switch {
			case tt.why == "" && (err != nil || m.Field("Content") != tt.content):
				t.Errorf("content %q, %v, want %q", m.Field("Content"), err, tt.content)
			case tt.why != "" && (!errors.Is(err, ErrPush) || !strings.Contains(err.Error(), tt.why)):
				t.Errorf("content %q, %v, want %q", m.Field("Content"), err, tt.why)
			case err != nil && strings.Contains(err.Error(), "planted"):
				t.Errorf("%v quotes the message", err)
			}
		})
	}
}

func TestPushKey(t *testing.T) {
	key := func(xml string) string {
		t.Helper()
		m, err := ParsePush([]byte(xml))
		if err != nil {
			t.Fatal(err)
		}
		if k := m.Key(); len(k) != 64 || strings.Contains(k, "o1") {
			t.Errorf("key %q", k)
		}
		return m.Key()
	}
	message := func(to, from, id, more string) string {
		return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime>%s<MsgId>%s</MsgId></xml>", to, from, more, id)
	}
	event := func(openid string) string {
		return "<xml><FromUserName>oPush</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType>" +
			"<Event>user_authorization_revoke</Event><OpenID>" + openid + "</OpenID><MsgID>7</MsgID></xml>"
	}
	first := key(message("gh", "o1", "7", ""))
	if key(message("gh", "o1", "7", "<Content>x</Content>")) != first {
		t.Error("MsgId does not decide")
	}
	for _, other := range []string{message("gh", "o1", "8", ""), message("gh", "o2", "7", ""), message("gi", "o1", "7", ""), message("gho", "1", "7", "")} {
		if key(other) == first {
			t.Errorf("%s has the key of another", other)
		}
	}
	one, again, other := key(event("o1")), key(event("o1")), key(event("o2"))
	if one != again {
		t.Error("an event is not known again")
	}
	if one == other {
		t.Error("events of two people in one second are not told apart")
	}
}
