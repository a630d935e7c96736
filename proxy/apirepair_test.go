package proxy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"wxgate/wechat"
	"wxgate/wechat/component"
)

func TestWhatRepairsARefusal(t *testing.T) {
	t.Parallel()
	const message = "invalid thing hunter2 rid: 65a1b2c3-0123abcd-4567"
	for code, r := range repairs {
		for _, api := range []string{"cgi-bin/component/api_component_token", "wxa/addtotemplate"} {
			err := fmt.Errorf("asking: %w", &wechat.APIError{API: api, Code: code, Message: message})
			p, text := apiProblem(err)
			want := fmt.Sprintf("WeChat refused %s: errcode %d. ", api, code)
			if p == nil || p.status < 400 || !strings.HasPrefix(text, want) || !strings.ContainsAny(text[len(text)-1:], ".?") || strings.Contains(text, "%") || strings.Contains(text, "hunter2") {
				t.Errorf("%d: %q", code, text)
			}
			if code != 40001 && p != r.problem {
				t.Errorf("%d is told as %s", code, p.code)
			}
		}
	}
	tests := []struct {
		err     error
		problem *problem
		text    string
	}{
		{&wechat.APIError{API: "x", Code: 12345, Message: message}, wechatUnavailable, "WeChat refused x: errcode 12345."},
		{&wechat.APIError{API: "x", Code: 61004, Message: "access clientip is not registered requestIP: 203.0.113.7 rid: 65a1b2c3-0123abcd-4567"}, wechatMisconfigured,
			"WeChat refused x: errcode 61004. Add 203.0.113.7 to the platform's allow-list (白名单IP地址列表) in the console at open.weixin.qq.com."},
		{&wechat.APIError{API: "x", Code: 40164, Message: "invalid ip 2001:db8::7 ipv6 ::ffff:1.2.3.4, not in whitelist"}, wechatMisconfigured,
			"WeChat refused x: errcode 40164. Add 2001:db8::7 to the account's allow-list (IP白名单) in the console."},
		{&wechat.APIError{API: "x", Code: 40164, Message: "invalid ip ::ffff:1.2.3.4."}, wechatMisconfigured, "WeChat refused x: errcode 40164. Add 1.2.3.4 to the account's allow-list (IP白名单) in the console."},
		{&wechat.APIError{API: "x", Code: 61004, Message: "no address 1.2.3 here, bad"}, wechatMisconfigured,
			"WeChat refused x: errcode 61004. Add this machine's outgoing address to the platform's allow-list (白名单IP地址列表) in the console at open.weixin.qq.com."},
		{&wechat.APIError{API: "x", Code: 48001, Message: "1.2.3.4"}, wechatMisconfigured, "WeChat refused x: errcode 48001. The account does not have this interface, or did not grant its permission set."},
		{&wechat.APIError{API: "wxa/addtotemplate", Code: 40001}, wechatUnavailable,
			"WeChat refused wxa/addtotemplate: errcode 40001. The token was void, and so was the next; is another system minting tokens for the same appid?"},
		{&wechat.APIError{API: "cgi-bin/component/api_component_token", Code: 40001}, wechatMisconfigured,
			"WeChat refused cgi-bin/component/api_component_token: errcode 40001. The AppSecret is wrong: it may have been reset in the console."},
		{component.ErrNoGrant, wechatMisconfigured, "The account is authorized, but its refresh token is not known: POST /admin/component/sync, or let the account authorize again."},
		{fmt.Errorf("a: %w: %w", component.ErrNoTicket, &wechat.APIError{API: "x", Code: 61005, Message: message}), wechatMisconfigured,
			"There is no valid verify ticket, without which nothing can be asked of WeChat: check that its pushes arrive at /.wxgate/component/events; GET /admin/component tells the ticket's age. WeChat refused x: errcode 61005."},
		{component.ErrNotAuthorized, notFound, "The account has not authorized this third-party platform, or not any more."},
		{fmt.Errorf("reading: %w", errors.New("connection refused")), storeUnavailable, storeUnavailable.message},
	}
	for _, tt := range tests {
		if p, text := apiProblem(tt.err); p != tt.problem || text != tt.text {
			t.Errorf("%v:\n%s %q, want\n%s %q", tt.err, p.code, text, tt.problem.code, tt.text)
		}
	}
}
