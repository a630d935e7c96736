package wechat

import (
	"strings"
	"testing"
	"time"
)

func TestKind(t *testing.T) {
	for kind, codes := range map[Kind][]int{
		KindCode:  {40029, 40163, 42003, 41008, 61009, 61010},
		KindToken: {40001, 40014, 42001, 42007, 40003, 40030, 41001, 41003, 41009, 42002},
		KindConfig: {40013, 40125, 40243, 41002, 41004, 40164, 48001, 48004, 61004, 89503, 10003, 10005, 10016, 40002,
			41018, 61003, 61005, 61006, 61007, 61011, 61012, 61013, 61014, 61015, 61023, 61024, 61025, 61028, 61029},
		KindBusy:    {-1, 45009, 45011},
		KindUser:    {40226, 50001, 50002},
		KindUnknown: {1, 47001, 43002, 99999, -2},
	} {
		for _, code := range codes {
			e := &APIError{API: apiUserInfo, Code: code}
			if got := e.Kind(); got != kind {
				t.Errorf("errcode %d is %q, want %q", code, got, kind)
			}
		}
	}
	for _, api := range []string{apiAccessToken, apiCode2Session, apiStableToken, apiComponentToken, apiStartPushTicket} {
		if got := (&APIError{API: api, Code: 40001}).Kind(); got != KindConfig {
			t.Errorf("40001 of %s, which sends a secret, is %q, want %q", api, got, KindConfig)
		}
	}
	for _, api := range []string{apiPreAuthCode, apiQueryAuth, apiBehalfToken, apiBehalfSession} {
		if got := (&APIError{API: api, Code: 40001}).Kind(); got != KindToken {
			t.Errorf("40001 of %s, which sends a token, is %q, want %q", api, got, KindToken)
		}
	}
}

func TestRID(t *testing.T) {
	tests := []struct{ message, want string }{
		{"invalid code, rid: 65a4f1b2-0c1d2e3f-4a5b6c7d", "65a4f1b2-0c1d2e3f-4a5b6c7d"},
		{"code been used, hints: [ req_id: XiqYYa0632th19 ]", "XiqYYa0632th19"},
		{"invalid ip 1.2.3.4, not in whitelist hint: [xB03630541]", "xB03630541"},
		{"invalid ip 1.2.3.4 hint: [ xB03630541 ]", "xB03630541"},
		{"system error", ""},
		{"", ""},
	}
	for _, tt := range tests {
		e := newAPIError(apiUserInfo, 1, tt.message, newScrubber(request{}))
		if e.RID != tt.want || e.Message != tt.message {
			t.Errorf("%q: rid %q, message %q; want rid %q", tt.message, e.RID, e.Message, tt.want)
		}
	}
}

func TestMessageIsBounded(t *testing.T) {
	e := newAPIError(apiUserInfo, 1, "a\r\n\x1b[31m"+strings.Repeat("长", 1000), newScrubber(request{}))
	if len(e.Message) > maxMessage || !strings.HasPrefix(e.Message, "a[31m长") || strings.Contains(e.Message, "\uFFFD") {
		t.Errorf("message %q of %d bytes", e.Message, len(e.Message))
	}
}

// Without these a WeChat that hangs would hang the login.
func TestDefaultTimeouts(t *testing.T) {
	c := New(Config{})
	if c.http.Timeout != 10*time.Second {
		t.Errorf("a call may take %v", c.http.Timeout)
	}
	tr := newTransport()
	if tr.TLSHandshakeTimeout == 0 || tr.ResponseHeaderTimeout == 0 || tr.DialContext == nil || tr.Proxy == nil {
		t.Error("the transport waits without end, or ignores the environment's proxy")
	}
}
