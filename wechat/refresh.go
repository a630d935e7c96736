package wechat

import (
	"cmp"
	"context"
	"errors"
	"net/url"
)

const (
	apiRefreshToken = "sns/oauth2/refresh_token"
	apiAuth         = "sns/auth"

	// maxToken bounds what is sent as a token. WeChat documents at most 512
	// characters.
	maxToken = 4096
)

// Refresh gives an access token a new life of two hours, without the person. GET
// /sns/oauth2/refresh_token, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsrefreshtoken
//
// While the access token lives, it comes back unchanged with its life extended;
// after that a new one comes. The refresh token is good for 30 days, but deaths
// long before that are reported (40030), and a later silent login may be the
// cause: have another way to the person ready. The answer holds no unionid.
//
// Errors are [*APIError], of [KindToken] when the refresh token is void, and
// [*UnavailableError]. A token that cannot be one of WeChat's (empty, over 4096
// bytes) is answered with WeChat's own error for it, without a call.
func (c *Client) Refresh(ctx context.Context, app App, refreshToken string) (Token, error) {
	return c.refresh(ctx, request{
		api: apiRefreshToken,
		query: url.Values{
			"appid":         {app.ID},
			"grant_type":    {"refresh_token"},
			"refresh_token": {refreshToken},
		},
		hide: []string{"refresh_token"},
	})
}

// refresh makes a call with a person's refresh token, which stays good if the answer
// has none.
func (c *Client) refresh(ctx context.Context, req request) (Token, error) {
	given := req.query.Get("refresh_token")
	switch {
	case given == "":
		return Token{}, &APIError{API: req.api, Code: 41003, Message: "missing refresh_token (not sent)"}
	case len(given) > maxToken:
		return Token{}, &APIError{API: req.api, Code: 40030, Message: "refresh_token too long (not sent)"}
	}
	t, err := c.personToken(ctx, req)
	if err != nil {
		return Token{}, err
	}
	t.RefreshToken = cmp.Or(t.RefreshToken, given)
	return t, nil
}

// CheckToken tells whether an access token of a person is still good for this
// openid. GET /sns/auth, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsauth
//
// A void token is no error; err means that WeChat gave no answer to the question,
// as [*APIError] or [*UnavailableError].
func (c *Client) CheckToken(ctx context.Context, accessToken, openid string) (valid bool, err error) {
	if accessToken == "" || len(accessToken) > maxToken || openid == "" || len(openid) > maxID {
		return false, nil
	}
	err = c.call(ctx, request{
		api:   apiAuth,
		query: url.Values{"access_token": {accessToken}, "openid": {openid}},
		hide:  []string{"access_token", "openid"},
	}, func(r reply) error {
		if _, found := r["errcode"]; !found {
			// Elsewhere its absence means success; here it is the answer itself.
			return errors.New("answer without errcode")
		}
		return nil
	})
	if e, ok := errors.AsType[*APIError](err); ok && e.Kind() == KindToken {
		return false, nil
	}
	return err == nil, err
}
