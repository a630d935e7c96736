package wechat

import (
	"context"
	"net/url"
)

const (
	apiBehalfToken   = "sns/oauth2/component/access_token"
	apiBehalfRefresh = "sns/oauth2/component/refresh_token"
	apiBehalfSession = "sns/component/jscode2session"
)

// Behalf is an account, and the third-party platform that logs people in for it.
// The account must have authorized the platform, but none of its tokens is needed.
type Behalf struct {
	AppID          string // of the account
	ComponentAppID string
	ComponentToken string // component_access_token
}

// query returns the parameters of a call for the account.
func (b Behalf) query(grantType string) url.Values {
	return url.Values{
		"appid":           {b.AppID},
		"grant_type":      {grantType},
		"component_appid": {b.ComponentAppID},
		// Not access_token, as outside of /sns/.
		"component_access_token": {b.ComponentToken},
	}
}

// ExchangeOnBehalf is [Client.Exchange] for an account that authorized a
// third-party platform. GET /sns/oauth2/component/access_token, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Official_Accounts/official_account_website_authorization.html
//
// The profile is read with [Client.UserInfo]. Here [Void] is about the platform's
// token, 61003 says that the account has not authorized the platform.
func (c *Client) ExchangeOnBehalf(ctx context.Context, b Behalf, code string) (Token, error) {
	if err := checkCode(apiBehalfToken, code); err != nil {
		return Token{}, err
	}
	req := request{
		api: apiBehalfToken, query: b.query("authorization_code"),
		hide: []string{"component_access_token", "code"}, once: true,
	}
	req.query.Set("code", code)
	return c.personToken(ctx, req)
}

// RefreshOnBehalf is [Client.Refresh] for an account that authorized a third-party
// platform. GET /sns/oauth2/component/refresh_token, on the same page of WeChat's
// as ExchangeOnBehalf.
//
// [Void] is about the platform's token; a void refresh token has other codes.
func (c *Client) RefreshOnBehalf(ctx context.Context, b Behalf, refreshToken string) (Token, error) {
	req := request{
		api: apiBehalfRefresh, query: b.query("refresh_token"),
		hide: []string{"component_access_token", "refresh_token"},
	}
	req.query.Set("refresh_token", refreshToken)
	return c.refresh(ctx, req)
}

// Code2SessionOnBehalf is [Client.Code2Session] for a mini program that authorized
// a third-party platform. GET /sns/component/jscode2session, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/miniprogram-management/login/api_thirdpartycode2session.html
//
// As there, the session_key is not read. [Void] is about the platform's token.
func (c *Client) Code2SessionOnBehalf(ctx context.Context, b Behalf, code string) (Session, error) {
	if err := checkCode(apiBehalfSession, code); err != nil {
		return Session{}, err
	}
	req := request{
		api: apiBehalfSession, query: b.query("authorization_code"),
		hide: []string{"component_access_token", "js_code"}, once: true,
	}
	req.query.Set("js_code", code)
	return c.session(ctx, req)
}
