package wechat_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"wxgate/wechat"
)

func kindOf(err error) wechat.Kind {
	e, ok := errors.AsType[*wechat.APIError](err)
	if !ok {
		return ""
	}
	return e.Kind()
}

// What cannot be one of WeChat's codes and tokens is not sent.
func TestComponentLimits(t *testing.T) {
	w, c := startWire(t, "")
	ctx := context.Background()
	tests := []struct {
		name           string
		most           int
		missing, over  int // errcodes
		missing2, more wechat.Kind
		call           func(value string) error
	}{
		{"ComponentToken", 4096, 61006, 61006, wechat.KindConfig, wechat.KindConfig, func(s string) error {
			_, err := c.ComponentToken(ctx, component, s)
			return err
		}},
		{"QueryAuth", 512, 61009, 61009, wechat.KindCode, wechat.KindCode, func(s string) error {
			_, err := c.QueryAuth(ctx, componentToken, componentID, s)
			return err
		}},
		{"AuthorizerToken", 4096, 61023, 61023, wechat.KindConfig, wechat.KindConfig, func(s string) error {
			_, err := c.AuthorizerToken(ctx, componentToken, componentID, authorizerID, s)
			return err
		}},
		{"ExchangeOnBehalf", 512, 41008, 40029, wechat.KindCode, wechat.KindCode, func(s string) error {
			_, err := c.ExchangeOnBehalf(ctx, behalf, s)
			return err
		}},
		{"RefreshOnBehalf", 4096, 41003, 40030, wechat.KindToken, wechat.KindToken, func(s string) error {
			_, err := c.RefreshOnBehalf(ctx, behalf, s)
			return err
		}},
		{"Code2SessionOnBehalf", 512, 41008, 40029, wechat.KindCode, wechat.KindCode, func(s string) error {
			_, err := c.Code2SessionOnBehalf(ctx, behalf, s)
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.say(`{"errcode":48001,"errmsg":"sent rid: 1"}`)
			wantAPIError(t, tt.call(""), tt.missing, tt.missing2)
			err := tt.call(strings.Repeat("x", tt.most+1))
			wantAPIError(t, err, tt.over, tt.more)
			if len(w.calls()) != 0 || !strings.Contains(err.Error(), "not sent") {
				t.Errorf("%d calls, %v", len(w.calls()), err)
			}
			wantAPIError(t, tt.call(strings.Repeat("x", tt.most)), 48001, wechat.KindConfig)
			if len(w.calls()) != 1 {
				t.Errorf("%d calls", len(w.calls()))
			}
		})
	}
}

// Who logs somebody in must tell a platform's token that is void, for which the
// next one helps, from a code that is.
func TestOnBehalfRefusals(t *testing.T) {
	w, c := startWire(t, "")
	for _, tt := range []struct {
		code string
		kind wechat.Kind
		void bool
	}{
		{`40001`, wechat.KindToken, true},
		{`42001`, wechat.KindToken, true},
		{`"40014"`, wechat.KindToken, true},
		{`"40029"`, wechat.KindCode, false},
		{`40163`, wechat.KindCode, false},
		{`40030`, wechat.KindToken, false},
		{`61003`, wechat.KindConfig, false},
		{`48001`, wechat.KindConfig, false},
		{`45011`, wechat.KindBusy, false},
		{`40226`, wechat.KindUser, false},
	} {
		w.say(`{"errcode":` + tt.code + `,"errmsg":"x rid: 1"}`)
		_, exchange := c.ExchangeOnBehalf(t.Context(), behalf, "code")
		_, refresh := c.RefreshOnBehalf(t.Context(), behalf, "refresh")
		_, session := c.Code2SessionOnBehalf(t.Context(), behalf, "code")
		for _, err := range []error{exchange, refresh, session} {
			if kindOf(err) != tt.kind || wechat.Void(err) != tt.void {
				t.Errorf("%v is %q, void %v", err, kindOf(err), wechat.Void(err))
			}
		}
		if n := len(w.calls()); n != 3 {
			t.Errorf("%s: %d calls", tt.code, n)
		}
	}
	w.say(`{"access_token":"A","openid":"o 1","scope":"snsapi_base"}`)
	got, err := c.ExchangeOnBehalf(t.Context(), behalf, "code")
	wantUnavailable(t, err, 200)
	if got != (wechat.Token{}) {
		t.Errorf("a token beside an error: %+v", got)
	}
}
