package wechattest

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"time"
)

// code2Session takes the codes of wx.login:
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session
func (c *call) code2Session() answer {
	code := c.query.Get("js_code")
	switch {
	case c.query.Get("appid") == "":
		return refuse(41002)
	case c.query.Get("secret") == "":
		return refuse(41004)
	case code == "":
		return refuse(41008)
	case c.query.Get("grant_type") != "authorization_code":
		return refuse(40002)
	}
	app, a, ok := c.credentials(c.query.Get("appid"), c.query.Get("secret"))
	if !ok {
		return a
	}
	if app.Kind != MiniProgram {
		return refuse(40029) // its codes are for access_token
	}
	return c.session(code, app, "")
}

// session answers a code of wx.login.
func (c *call) session(code string, app App, component string) answer {
	if g := c.s.codes[code]; g != nil && g.app == app.ID &&
		c.exceeds(Code2SessionPath+" "+g.player, time.Minute, cmp.Or(c.b.SessionPerMinute, 100)) {
		return refuse(45011)
	}
	g, a, ok := c.useUp(code, app, component)
	if !ok {
		return a
	}
	var key [16]byte
	rand.Read(key[:])
	fields := []field{
		{"session_key", base64.StdEncoding.EncodeToString(key[:])},
		{"openid", g.openid},
	}
	if g.unionid != "" {
		fields = append(fields, field{"unionid", g.unionid})
	}
	if c.b.SessionErrcode {
		fields = append(fields, field{"errcode", 0}, field{"errmsg", ""})
	}
	return answer{fields: fields}
}
