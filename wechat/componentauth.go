package wechat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	apiQueryAuth       = "cgi-bin/component/api_query_auth"
	apiAuthorizerToken = "cgi-bin/component/api_authorizer_token"
)

// Grant is what an account granted to a third-party platform.
type Grant struct {
	AppID string // of the account; never empty
	// AccessToken is the authorizer_access_token, which stands for the account's
	// own in all calls. Empty if the account may not call anything.
	AccessToken string
	ExpiresIn   time.Duration // of AccessToken
	// RefreshToken is the authorizer_refresh_token, good until the account takes
	// the grant back. Whoever loses it before it was stored cannot ask again.
	RefreshToken string
	// Functions are the ids of the permission sets. The administrator may have
	// granted fewer than were asked for.
	Functions []int
}

// QueryAuth uses up an authorization code, from the callback or a push. POST
// /cgi-bin/component/api_query_auth, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getauthorizerrefreshtoken
//
// token is the component_access_token. The code works once, and both ways bring
// the same one; as with [Client.Exchange] there is exactly one attempt. Before it,
// no other call gives the refresh token of this grant.
//
// Errors are [*APIError], of [KindCode] when the code is not good (any more), and
// [*UnavailableError]. A code that cannot be one of WeChat's (empty, over 512
// bytes) is answered with WeChat's own error for it, without a call.
func (c *Client) QueryAuth(ctx context.Context, token, componentAppID, code string) (Grant, error) {
	if code == "" || len(code) > maxCode {
		return Grant{}, &APIError{API: apiQueryAuth, Code: 61009, Message: "code missing or too long (not sent)"}
	}
	req := componentCall(apiQueryAuth, token, map[string]any{
		"component_appid":    componentAppID,
		"authorization_code": code,
	}, "authorization_code")
	req.once = true
	var g Grant
	err := c.call(ctx, req, func(r reply) (err error) {
		g, err = readGrant(r.object("authorization_info"))
		return err
	})
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

func readGrant(r reply) (Grant, error) {
	appid, err := r.appid("authorizer_appid")
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		AppID:        appid,
		AccessToken:  r.text("authorizer_access_token"),
		ExpiresIn:    r.seconds("expires_in"),
		RefreshToken: r.text("authorizer_refresh_token"),
		Functions:    r.functions("func_info"),
	}, nil
}

// AuthorizerToken returns the next access token of an account, and its refresh
// token, which may have changed; both must be stored before the former is used.
// POST /cgi-bin/component/api_authorizer_token, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getauthorizeraccesstoken.html
//
// token is the component_access_token. The account's token before works for five
// minutes more. There is exactly one attempt. An answer without a refresh token
// leaves the one that was given good: it is the Grant's. Functions is not set.
//
// Errors are [*APIError] (61003: the account has taken the grant back, 61023: the
// refresh token is not good) and [*UnavailableError]. A refresh token that cannot
// be one of WeChat's (empty, over 4096 bytes) is answered with 61023, without a
// call.
func (c *Client) AuthorizerToken(ctx context.Context, token, componentAppID, appid, refreshToken string) (Grant, error) {
	if refreshToken == "" || len(refreshToken) > maxToken {
		return Grant{}, &APIError{API: apiAuthorizerToken, Code: 61023, Message: "refresh_token missing or too long (not sent)"}
	}
	req := componentCall(apiAuthorizerToken, token, map[string]any{
		"component_appid":          componentAppID,
		"authorizer_appid":         appid,
		"authorizer_refresh_token": refreshToken,
	}, "authorizer_refresh_token")
	req.once = true
	var g Grant
	err := c.call(ctx, req, func(r reply) error {
		g = Grant{
			AppID:        appid,
			AccessToken:  r.text("authorizer_access_token"),
			ExpiresIn:    r.seconds("expires_in"),
			RefreshToken: cmp.Or(r.text("authorizer_refresh_token"), refreshToken),
		}
		if g.AccessToken == "" {
			return errors.New("answer without authorizer_access_token")
		}
		return nil
	})
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

// object returns a JSON object inside r, nil if there is none.
func (r reply) object(name string) reply {
	var o reply
	if json.Unmarshal(r[name], &o) != nil {
		return nil
	}
	return o
}

// objects returns a list of JSON objects. That it is absent is believed only from
// an answer that says of itself that it is good.
func (r reply) objects(name string) ([]reply, error) {
	raw := r[name]
	if len(raw) == 0 || string(raw) == "null" {
		return nil, r.success()
	}
	var list []reply
	if json.Unmarshal(raw, &list) != nil {
		// The JSON error is left out, which quotes the answer.
		return nil, fmt.Errorf("answer with a %s that cannot be read", name)
	}
	return list, nil
}

// appid reads the appid of an account. It becomes part of keys and paths.
func (r reply) appid(name string) (string, error) {
	id := r.text(name)
	if id == "" {
		return "", fmt.Errorf("answer without %s", name)
	}
	if len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool {
		return !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-')
	}) {
		return "", fmt.Errorf("answer with an %s that is none", name)
	}
	return id, nil
}

// functions reads the ids of permission sets, and passes over what is none.
func (r reply) functions(name string) []int {
	var list []json.RawMessage
	if json.Unmarshal(r[name], &list) != nil {
		return nil
	}
	var ids []int
	for _, raw := range list {
		var entry reply
		if json.Unmarshal(raw, &entry) != nil {
			continue
		}
		if n, ok := entry.object("funcscope_category").number("id"); ok && n == int64(int32(n)) {
			ids = append(ids, int(n))
		}
	}
	return ids
}
