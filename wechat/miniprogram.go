package wechat

import (
	"context"
	"net/url"
)

const apiCode2Session = "sns/jscode2session"

// Session says who called wx.login in a mini program.
type Session struct {
	OpenID  string // never empty
	UnionID string // only for mini programs bound to an open-platform account
}

// Code2Session uses up a code of wx.login in a mini program. GET
// /sns/jscode2session, WeChat docs:
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session
//
// The code lives five minutes and works once; as with [Client.Exchange] there is
// exactly one attempt. The session_key in the answer signs and opens data of the
// mini program and may not leave the server: it is not read at all.
//
// Errors are as those of Exchange. 40226 means a high-risk person, who is to be
// refused ([KindUser]); 45011 more than 100 logins of this person in a minute.
func (c *Client) Code2Session(ctx context.Context, app App, code string) (Session, error) {
	if err := checkCode(apiCode2Session, code); err != nil {
		return Session{}, err
	}
	return c.session(ctx, request{
		api: apiCode2Session,
		query: url.Values{
			"appid":      {app.ID},
			"secret":     {app.Secret},
			"js_code":    {code},
			"grant_type": {"authorization_code"},
		},
		hide: []string{"secret", "js_code"},
		once: true,
	})
}

// session makes a call that is answered with who called wx.login.
func (c *Client) session(ctx context.Context, req request) (s Session, err error) {
	err = c.call(ctx, req, func(r reply) (err error) {
		s.OpenID, s.UnionID, err = r.ids()
		return err
	})
	if err != nil {
		return Session{}, err
	}
	return s, nil
}
