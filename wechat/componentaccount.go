package wechat

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

const (
	apiAuthorizerInfo      = "cgi-bin/component/api_get_authorizer_info"
	apiAuthorizerList      = "cgi-bin/component/api_get_authorizer_list"
	apiAuthorizerOption    = "cgi-bin/component/get_authorizer_option"
	apiSetAuthorizerOption = "cgi-bin/component/set_authorizer_option"

	// MaxAuthorizers is the greatest count of [Client.AuthorizerList].
	MaxAuthorizers = 500
)

// AuthorizerInfo describes an account that authorized a third-party platform. All
// texts are for display, but AppID and UserName.
type AuthorizerInfo struct {
	AppID string
	Name  string // without control characters; may be empty
	// UserName is the original id, gh_…, by which messages call the account.
	UserName  string
	Alias     string // WeChat ID that the owner chose; may be empty
	Avatar    string // http or https URL, or empty
	QRCode    string // http or https URL, or empty
	Principal string // company or person that owns the account
	// ServiceType is 0 for a subscription account or a mini program, 1 for an old
	// upgraded subscription account, 2 for a service account, 4 for a mini game,
	// 10 for a mini shop, 12 for a trial mini program, -1 if WeChat did not say.
	ServiceType int
	// VerifyType is -1 for none, 0 for verified by WeChat, 1 by Weibo, 3 for a
	// verified owner with an unverified name.
	VerifyType int
	// AccountStatus is 1 for normal, 14 cancelled, 16 banned, 18 warned, 19
	// frozen, 0 if WeChat did not say.
	AccountStatus int
	MiniProgram   bool // otherwise a service or subscription account
	// RefreshToken is as in Grant, or empty: WeChat hides it until the code of
	// the grant was exchanged.
	RefreshToken string
	Functions    []int // as in Grant
}

// AuthorizerInfo describes an account. POST
// /cgi-bin/component/api_get_authorizer_info, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizerinfo
//
// token is the component_access_token. The answer holds no access token of the
// account. Errors are [*APIError] (61003: no grant, or not any more) and
// [*UnavailableError].
func (c *Client) AuthorizerInfo(ctx context.Context, token, componentAppID, appid string) (AuthorizerInfo, error) {
	var a AuthorizerInfo
	err := c.call(ctx, componentCall(apiAuthorizerInfo, token, map[string]any{
		"component_appid":  componentAppID,
		"authorizer_appid": appid,
	}), func(r reply) (err error) {
		a, err = readAuthorizerInfo(r, appid)
		return err
	})
	if err != nil {
		return AuthorizerInfo{}, err
	}
	return a, nil
}

func readAuthorizerInfo(r reply, want string) (AuthorizerInfo, error) {
	info, grant := r.object("authorizer_info"), r.object("authorization_info")
	if info == nil {
		return AuthorizerInfo{}, errors.New("answer without authorizer_info")
	}
	// Years ago it was called appid.
	if about := cmp.Or(grant.text("authorizer_appid"), grant.text("appid"), want); about != want {
		return AuthorizerInfo{}, errors.New("answer is about another account")
	}
	a := AuthorizerInfo{
		AppID:         want,
		Name:          printable(info.text("nick_name")),
		Alias:         printable(info.text("alias")),
		Avatar:        pictureURL(info.text("head_img")),
		QRCode:        pictureURL(info.text("qrcode_url")),
		Principal:     printable(info.text("principal_name")),
		ServiceType:   info.kind("service_type_info"),
		VerifyType:    info.kind("verify_type_info"),
		AccountStatus: max(info.small("account_status"), 0),
		MiniProgram:   info.object("MiniProgramInfo") != nil,
		RefreshToken:  cmp.Or(grant.text("authorizer_refresh_token"), grant.text("refresh_token")),
		Functions:     grant.functions("func_info"),
	}
	// What may be looked for in messages must be something that they can say.
	if name := info.text("user_name"); len(name) <= maxID && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		a.UserName = name
	}
	return a, nil
}

// kind reads {"id": n}, or n itself.
func (r reply) kind(name string) int {
	if o := r.object(name); o != nil {
		return o.small("id")
	}
	return r.small(name)
}

// small reads a number that names something, -1 if there is none.
func (r reply) small(name string) int {
	n, ok := r.number(name)
	if !ok || n != int64(int32(n)) {
		return -1
	}
	return int(n)
}

// ListedAuthorizer is an account in the list of those that authorized.
type ListedAuthorizer struct {
	AppID        string
	RefreshToken string    // empty as in AuthorizerInfo
	AuthTime     time.Time // zero if WeChat did not say
}

// AuthorizerList returns a part of the list of all accounts that authorized, and
// how many there are in all. POST /cgi-bin/component/api_get_authorizer_list,
// WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizerlist
//
// token is the component_access_token, count at most [MaxAuthorizers] (40170). A
// list that cannot be read in full is an [*UnavailableError]: an account left out
// would pass for one that took its grant back. The list may still be shorter than
// count, and empty before total is reached.
func (c *Client) AuthorizerList(ctx context.Context, token, componentAppID string, offset, count int) (total int, list []ListedAuthorizer, err error) {
	err = c.call(ctx, componentCall(apiAuthorizerList, token, map[string]any{
		"component_appid": componentAppID,
		"offset":          offset,
		"count":           count,
	}), func(r reply) error {
		if total = r.small("total_count"); total < 0 {
			return errors.New("answer without total_count")
		}
		if offset >= total && r["list"] == nil {
			return nil
		}
		entries, err := r.objects("list")
		if err != nil {
			return err
		}
		for _, entry := range entries {
			appid, err := entry.appid("authorizer_appid")
			if err != nil {
				return err
			}
			a := ListedAuthorizer{AppID: appid, RefreshToken: cmp.Or(entry.text("refresh_token"), entry.text("authorizer_refresh_token"))}
			if n, ok := entry.number("auth_time"); ok && n > 0 && n == int64(uint32(n)) {
				a.AuthTime = time.Unix(n, 0)
			}
			list = append(list, a)
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return total, list, nil
}

// AuthorizerOption reads an option of an account: location_report (0 off, 1 on
// entering, 2 every five seconds), voice_recognize or customer_service (0 or 1).
// POST /cgi-bin/component/get_authorizer_option, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizeroptioninfo.md
//
// token is the component_access_token; WeChat's English page asks for the
// account's. Unknown options are refused with 61012.
func (c *Client) AuthorizerOption(ctx context.Context, token, componentAppID, appid, name string) (value string, err error) {
	err = c.call(ctx, optionCall(apiAuthorizerOption, token, componentAppID, appid, name), func(r reply) error {
		if value = r.text("option_value"); value == "" {
			return errors.New("answer without option_value")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return value, nil
}

// SetAuthorizerOption sets an option as AuthorizerOption reads it. POST
// /cgi-bin/component/set_authorizer_option. Bad values are refused with 61013, and
// some options can only be read (61025).
func (c *Client) SetAuthorizerOption(ctx context.Context, token, componentAppID, appid, name, value string) error {
	req := optionCall(apiSetAuthorizerOption, token, componentAppID, appid, name)
	req.body["option_value"] = value
	return c.call(ctx, req, reply.success)
}

func optionCall(api, token, componentAppID, appid, name string) request {
	return componentCall(api, token, map[string]any{
		"component_appid":  componentAppID,
		"authorizer_appid": appid,
		"option_name":      name,
	})
}
