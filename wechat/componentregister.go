package wechat

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
)

const (
	apiRegister = "wxa/component/fastregisterenterpriseweapp"

	maxAuthorizeURL = 4096
)

// Registration asks for a mini program of a company (快速注册企业小程序).
type Registration struct {
	Name  string // of the company, as in the register
	Code  string // unified social credit code (统一社会信用代码), 18 characters
	Phone string // of the third-party platform, for questions
}

// RegistrationTask is a registration that somebody must confirm.
type RegistrationTask struct {
	TaskID string // may be empty
	// URL is the page on which the company's legal representative confirms, to be
	// shown as a link or QR code; good for 24 hours. Never empty.
	URL    string
	Status int // as WeChat says, -1 if it does not
}

// RegisterMiniProgram begins the registration of a company's mini program. POST
// /wxa/component/fastregisterenterpriseweapp, WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/openApi/register-management/fast-registration-ent/api_fastregisterenterpriseweapp.html
// in its form since 30 April 2026:
// https://developers.weixin.qq.com/community/develop/doc/0004829e9105005ce7d480e6561401
//
// token is the component_access_token. The former call, fastregisterweapp, was
// withdrawn and answers -1. The outcome comes as a push of the type
// notify_third_fasteregister, with a code for [Client.QueryAuth] if it is good.
//
// Other forms of the answer than that of its sister, fastregisterpersonalweapp, are
// read too, since this one's is hardly documented. One without a URL is an
// [*UnavailableError], and the registration may have begun all the same: the same
// company is then refused with 89249 for 24 hours.
func (c *Client) RegisterMiniProgram(ctx context.Context, token string, r Registration) (RegistrationTask, error) {
	req := componentCall(apiRegister, token, map[string]any{
		"name":            r.Name,
		"code":            r.Code,
		"component_phone": r.Phone,
		"new_version":     true, // all else was withdrawn
	}, "component_phone")
	req.query.Set("action", "create")
	var t RegistrationTask
	err := c.call(ctx, req, func(r reply) error {
		const name = "authorize_url"
		r = r.holder(name)
		t = RegistrationTask{TaskID: printable(r.text("taskid")), URL: pageURL(r.text(name)), Status: r.small("status")}
		if t.URL == "" {
			return errors.New("answer without authorize_url")
		}
		return nil
	})
	if err != nil {
		return RegistrationTask{}, err
	}
	return t, nil
}

// holder returns r, or the object directly inside it, that has a text of this name.
func (r reply) holder(name string) reply {
	if r.text(name) != "" {
		return r
	}
	for _, inside := range slices.Sorted(maps.Keys(r)) {
		if o := r.object(inside); o.text(name) != "" {
			return o
		}
	}
	return r
}

// pageURL returns s if a person may be sent there, in a browser or WeChat, else "".
func pageURL(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxAuthorizeURL || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"https", "http", "weixin"}, u.Scheme) {
		return ""
	}
	return s
}
