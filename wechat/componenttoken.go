package wechat

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
)

const (
	apiComponentToken  = "cgi-bin/component/api_component_token"
	apiStartPushTicket = "cgi-bin/component/api_start_push_ticket"
	apiPreAuthCode     = "cgi-bin/component/api_create_preauthcode"
)

// ComponentToken is a component_access_token: the token of a third-party platform.
type ComponentToken struct {
	Token     string
	ExpiresIn time.Duration // 0 if WeChat did not say; documented are two hours
}

// ComponentToken mints a token for the third-party platform app. POST
// /cgi-bin/component/api_component_token, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getcomponentaccesstoken
//
// ticket is the newest component_verify_ticket that was pushed. Each call voids the
// token before: it works for five minutes more, wherever it is used. So somebody
// must see to it that a single process mints, and not because a ticket came.
//
// Errors are [*APIError] and [*UnavailableError]. 61005 and 61006 are about the
// ticket; an empty one is answered with the latter, without a call.
func (c *Client) ComponentToken(ctx context.Context, app App, ticket string) (ComponentToken, error) {
	if ticket == "" || len(ticket) > maxToken {
		return ComponentToken{}, &APIError{API: apiComponentToken, Code: 61006, Message: "no component_verify_ticket (not sent)"}
	}
	var t ComponentToken
	err := c.call(ctx, request{
		api: apiComponentToken,
		body: map[string]any{
			"component_appid":         app.ID,
			"component_appsecret":     app.Secret,
			"component_verify_ticket": ticket,
		},
		hide: []string{"component_appsecret", "component_verify_ticket"},
	}, func(r reply) error {
		t = ComponentToken{Token: r.text("component_access_token"), ExpiresIn: r.seconds("expires_in")}
		if t.Token == "" {
			return errors.New("answer without component_access_token")
		}
		return nil
	})
	if err != nil {
		return ComponentToken{}, err
	}
	return t, nil
}

// StartPushTicket asks WeChat to push tickets to the third-party platform app, and
// tells whether it was doing so all along. POST
// /cgi-bin/component/api_start_push_ticket, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_startpushticket.html
//
// It is the one call that needs neither token nor ticket. The ticket itself comes
// only by push; there is no call for it.
func (c *Client) StartPushTicket(ctx context.Context, app App) (running bool, err error) {
	err = c.call(ctx, request{
		api: apiStartPushTicket,
		// Not component_appsecret, as everywhere else.
		body: map[string]any{"component_appid": app.ID, "component_secret": app.Secret},
		hide: []string{"component_secret"},
	}, func(r reply) error {
		running = strings.Contains(strings.ToLower(r.text("errmsg")), "normal state")
		return r.success()
	})
	return running && err == nil, err
}

// PreAuthCode returns a pre_auth_code, for one visit of the page that
// [Client.ComponentLoginURL] leads to. POST
// /cgi-bin/component/api_create_preauthcode, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getpreauthcode
//
// token is the component_access_token. WeChat's page states a life of 30 minutes in
// its text and of 10 in its example; life is what the answer said, 0 if nothing.
func (c *Client) PreAuthCode(ctx context.Context, token, componentAppID string) (code string, life time.Duration, err error) {
	err = c.call(ctx, componentCall(apiPreAuthCode, token, map[string]any{"component_appid": componentAppID}), func(r reply) error {
		code, life = r.text("pre_auth_code"), r.seconds("expires_in")
		if code == "" {
			return errors.New("answer without pre_auth_code")
		}
		return nil
	})
	if err != nil {
		return "", 0, err
	}
	return code, life, nil
}

// componentCall is a call that a third-party platform makes with its token. body
// is nil for a GET. hide names what must not show besides the token.
func componentCall(api, token string, body map[string]any, hide ...string) request {
	return request{
		api: api,
		// Older pages call it component_access_token, as /sns/ still does.
		query: url.Values{"access_token": {token}},
		body:  body,
		hide:  append(hide, "access_token"),
	}
}
