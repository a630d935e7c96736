package wechattest

import (
	"cmp"
	"encoding/json"
	"time"
)

const (
	overlap       = 5 * time.Minute // in which a replaced server token still works
	forceInterval = 30 * time.Second
	forcesPerDay  = 20
	stablePerMin  = 10_000
	stablePerDay  = 500_000
	defaultPerDay = 2_000
	day           = 24 * time.Hour
	tokenLength   = 512
)

// serverToken is an access token of an account, not of a person, or of a
// third-party platform.
type serverToken struct {
	value     string
	app       string // "" for a third-party platform's own
	component string // that was lent the token, or whose own it is; "" for none
	expires   time.Time
	void      time.Time // zero: not replaced
}

// issuer keeps the current tokens of one appid; classic and stable ones do not
// know each other.
type issuer struct {
	classic, stable *serverToken
	forced          time.Time
}

func (c *call) issuer(appid string) *issuer {
	i := c.s.issuers[appid]
	if i == nil {
		i = &issuer{}
		c.s.issuers[appid] = i
	}
	return i
}

func (c *call) newServerToken(appid string) *serverToken {
	t := &serverToken{value: random(tokenLength), app: appid, expires: c.now.Add(tokenLife)}
	c.s.server[t.value] = t
	return t
}

func (c *call) serverTokenAnswer(t *serverToken) answer {
	return answer{fields: []field{
		{"access_token", t.value},
		{"expires_in", int(t.expires.Sub(c.now) / time.Second)},
	}}
}

// token gives a new token and lets the previous one live for five minutes more:
// https://developers.weixin.qq.com/doc/oplatform/Website_App/Launching_a_Mini_Program/getaccesstoken.html
func (c *call) token() answer {
	appid, secret := c.query.Get("appid"), c.query.Get("secret")
	switch {
	case c.query.Get("grant_type") != "client_credential":
		return refuse(40002)
	case appid == "":
		return refuse(41002)
	case secret == "":
		return refuse(41004)
	}
	app, a, ok := c.credentials(appid, secret)
	if !ok {
		return a
	}
	c.entry.AppID = app.ID
	if c.exceeds(TokenPath+app.ID, day, cmp.Or(c.b.TokenPerDay, defaultPerDay)) {
		return refuse(45009)
	}
	i := c.issuer(app.ID)
	if i.classic != nil {
		i.classic.void = c.now.Add(overlap)
	}
	i.classic = c.newServerToken(app.ID)
	return c.serverTokenAnswer(i.classic)
}

// stableToken gives the same token until its last five minutes, in which the old
// and the new one both work:
// https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken
func (c *call) stableToken() answer {
	if len(c.body) == 0 {
		return refuse(44002)
	}
	var in struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return refuse(47001)
	}
	switch {
	case in.GrantType != "client_credential":
		return refuse(40002)
	case in.AppID == "":
		return refuse(41002)
	case in.Secret == "":
		return refuse(41004)
	}
	app, a, ok := c.credentials(in.AppID, in.Secret)
	if !ok {
		return a
	}
	c.entry.AppID = app.ID
	if c.exceeds(StableTokenPath+app.ID+" minute", time.Minute, stablePerMin) {
		return refuse(45011)
	}
	if c.exceeds(StableTokenPath+app.ID+" day", day, stablePerDay) {
		return refuse(45009)
	}
	i := c.issuer(app.ID)
	switch {
	case i.stable == nil || !c.now.Add(overlap).Before(i.stable.expires):
		i.stable = c.newServerToken(app.ID)
	case in.ForceRefresh && c.now.Sub(i.forced) >= forceInterval &&
		!c.exceeds(StableTokenPath+app.ID+" force", day, forcesPerDay):
		i.forced = c.now
		i.stable.void = c.now
		i.stable = c.newServerToken(app.ID)
	}
	return c.serverTokenAnswer(i.stable)
}

// account finds the appid of a server token.
func (c *call) account() (appid string, a answer, ok bool) {
	value := c.query.Get("access_token")
	if value == "" {
		return "", refuse(41001), false
	}
	t := c.s.server[value]
	switch {
	case t == nil, !t.void.IsZero() && !c.now.Before(t.void):
		return "", refuse(40001), false
	case !c.now.Before(t.expires):
		return "", refuse(42001), false
	case t.app == "":
		return "", refuse(61015), false
	}
	c.entry.AppID = t.app
	if t.component != "" {
		if errcode := c.lent(t); errcode != 0 {
			return "", refuse(errcode), false
		}
	}
	return t.app, answer{}, true
}

// follower tells an account about a person who follows it. Name and picture are
// empty since 2021; unionid is what is left to ask for:
// https://developers.weixin.qq.com/doc/service/guide/product/unionid.md
func (c *call) follower() answer {
	appid, a, ok := c.account()
	if !ok {
		return a
	}
	openid := c.query.Get("openid")
	if openid == "" {
		return refuse(41009)
	}
	p, found := c.s.playerByOpenID(openid, appid)
	if !found {
		return refuse(40003)
	}
	c.entry.Player = p.ID
	unionid := c.s.unionid(p.ID, appid)
	if !p.Follower {
		fields := []field{{"subscribe", 0}, {"openid", openid}}
		if unionid != "" && c.b.UnionIDForAll {
			fields = append(fields, field{"unionid", unionid})
		}
		return answer{fields: fields}
	}
	fields := []field{
		{"subscribe", 1}, {"openid", openid}, {"nickname", ""}, {"sex", 0},
		{"language", "zh_CN"}, {"city", ""}, {"province", ""}, {"country", ""}, {"headimgurl", ""},
		{"subscribe_time", int(c.now.Add(-30 * day).Unix())},
	}
	if unionid != "" {
		fields = append(fields, field{"unionid", unionid})
	}
	fields = append(fields, field{"remark", ""}, field{"groupid", 0}, field{"subscribe_scene", "ADD_SCENE_SEARCH"})
	return answer{fields: fields}
}
