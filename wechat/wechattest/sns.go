package wechattest

import (
	"cmp"
	"maps"
	"time"
)

const (
	scopeBase     = "snsapi_base"
	scopeUserInfo = "snsapi_userinfo"
	scopeLogin    = "snsapi_login"

	codeLife    = 5 * time.Minute
	qrCodeLife  = 10 * time.Minute // of website apps
	tokenLife   = 2 * time.Hour
	refreshLife = 30 * 24 * time.Hour
)

// usualScope is what a login of each kind of app asks for; that of a mini program
// has no scope.
var usualScope = map[AppKind]string{ServiceAccount: scopeBase, Website: scopeLogin, Mobile: scopeUserInfo}

// grant is what a code stands for.
type grant struct {
	app, player, scope string
	component          string // through which the person logs in; "" for none
	openid, unionid    string
	snapshot           bool
	expires            time.Time
	used               bool
}

// userToken is an access token of one person with its refresh token.
type userToken struct {
	grant
	access, refresh string
	expires         time.Time
	refreshExpires  time.Time
	refreshVoid     bool
}

// IssueCode returns a code as if the player had logged in, to deliver a callback
// by hand or to play a client without a browser: a mobile app gets its codes with
// snsapi_userinfo, a mini program those of wx.login with whatever scope. An empty
// scope is the one usual for the app. It panics if it does not know app or player.
func (s *Server) IssueCode(appid, player, scope string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issueByHand("", appid, player, scope)
}

func (s *Server) issueByHand(component, appid, player, scope string) string {
	if _, found := s.apps[appid]; !found {
		panic("wechattest: no app " + appid)
	}
	p, found := s.players[player]
	if !found {
		panic("wechattest: no player " + player)
	}
	return s.issue(component, appid, p, scope, p.Snapshot && s.apps[appid].Kind == ServiceAccount)
}

func (s *Server) issue(component, appid string, p Player, scope string, snapshot bool) string {
	code := random(32)
	if scope == "" {
		scope = usualScope[s.apps[appid].Kind]
	}
	life := codeLife
	if scope == scopeLogin {
		life = qrCodeLife
	}
	g := &grant{
		app: appid, component: component, player: p.ID, scope: scope, snapshot: snapshot,
		openid: s.OpenID(p.ID, appid), unionid: s.unionid(p.ID, appid),
		expires: s.now().Add(life),
	}
	if snapshot && !s.behaviour.SnapshotRealIDs {
		g.openid = identifier("virtual openid", code)
		if g.unionid != "" {
			g.unionid = identifier("virtual unionid", code)
		}
	}
	s.codes[code] = g
	s.prune()
	return code
}

// accessToken: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsaccesstoken
func (c *call) accessToken() answer {
	code := c.query.Get("code")
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
	if app.Kind == MiniProgram {
		return refuse(40029) // its codes are for jscode2session
	}
	g, a, ok := c.useUp(code, app, "")
	if !ok {
		return a
	}
	return c.personToken(g)
}

// personToken answers a code that was good.
func (c *call) personToken(g *grant) answer {
	if c.b.BaseVoidsRefresh && g.scope == scopeBase {
		for _, t := range c.s.refresh {
			if t.openid == g.openid && t.app == g.app && t.scope != scopeBase {
				t.refreshVoid = true
			}
		}
	}
	t := &userToken{grant: *g, refresh: random(tokenLength), refreshExpires: c.now.Add(refreshLife)}
	c.s.refresh[t.refresh] = t
	c.renew(t)
	fields := c.tokenFields(t)
	if g.snapshot {
		if c.s.unflagged++; c.s.unflagged > c.b.SnapshotUnmarked {
			fields = append(fields, field{"is_snapshotuser", 1})
		}
	}
	if g.unionid != "" && g.scope != scopeBase {
		fields = append(fields, field{"unionid", g.unionid})
	}
	return answer{fields: fields}
}

// useUp finds the grant of a code and ends the code's life. The code of a login
// through a third-party platform is only for that platform's interfaces, and no
// other code is.
func (c *call) useUp(code string, app App, component string) (*grant, answer, bool) {
	c.entry.AppID = app.ID
	g := c.s.codes[code]
	if g == nil || g.app != app.ID || g.component != component {
		return nil, refuse(40029), false
	}
	c.entry.Player = g.player
	switch {
	case g.used:
		return nil, refuse(40163), false
	case !c.now.Before(g.expires):
		return nil, refuse(cmp.Or(c.b.ExpiredCode, 40029)), false
	case c.s.players[g.player].Refused != 0:
		return nil, refuse(c.s.players[g.player].Refused), false
	}
	g.used = true
	return g, answer{}, true
}

// renew gives t a new access token.
func (c *call) renew(t *userToken) {
	t.access, t.expires = random(tokenLength), c.now.Add(tokenLife)
	c.s.tokens[t.access] = t
}

func (c *call) tokenFields(t *userToken) []field {
	return []field{
		{"access_token", t.access},
		{"expires_in", int(t.expires.Sub(c.now) / time.Second)},
		{"refresh_token", t.refresh},
		{"openid", t.openid},
		{"scope", t.scope},
	}
}

// credentials checks an appid and its secret.
func (c *call) credentials(appid, secret string) (App, answer, bool) {
	app, found := c.s.apps[appid]
	switch {
	case !found:
		return App{}, refuse(40013), false
	case secret != app.Secret:
		return App{}, refuse(40125), false
	case app.Frozen:
		return App{}, refuse(40243), false
	}
	return app, answer{}, true
}

// refreshToken: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsrefreshtoken
func (c *call) refreshToken() answer {
	appid, refresh := c.query.Get("appid"), c.query.Get("refresh_token")
	switch {
	case appid == "":
		return refuse(41002)
	case refresh == "":
		return refuse(41003)
	case c.query.Get("grant_type") != "refresh_token":
		return refuse(40002)
	}
	if _, found := c.s.apps[appid]; !found {
		return refuse(40013)
	}
	return c.refreshed(refresh, appid, "")
}

// refreshed lengthens the life of the token that refresh belongs to.
func (c *call) refreshed(refresh, appid, component string) answer {
	c.entry.AppID = appid
	t := c.s.refresh[refresh]
	if t == nil || t.app != appid || t.component != component || t.refreshVoid || !c.now.Before(t.refreshExpires) {
		return refuse(40030)
	}
	c.entry.Player = t.player
	if c.now.Before(t.expires) {
		t.expires = c.now.Add(tokenLife)
	} else {
		old := *t
		c.s.tokens[t.access] = &old // stays known as an expired one
		c.renew(t)
	}
	return answer{fields: c.tokenFields(t)}
}

// person finds the token of a userinfo or auth call; unknown is the errcode for
// one that is none.
func (c *call) person(unknown int) (*userToken, answer, bool) {
	access, openid := c.query.Get("access_token"), c.query.Get("openid")
	switch {
	case access == "":
		return nil, refuse(41001), false
	case openid == "":
		return nil, refuse(41009), false
	}
	t := c.s.tokens[access]
	if t == nil {
		return nil, refuse(unknown), false
	}
	c.entry.Player = t.player
	switch {
	case !c.now.Before(t.expires):
		return nil, refuse(cmp.Or(c.b.ExpiredToken, 42001)), false
	case openid != t.openid:
		return nil, refuse(40003), false
	}
	return t, answer{}, true
}

// userInfo: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsuserinfo.html
//
// Sex and region are no longer given since 2021, their names stay.
func (c *call) userInfo() answer {
	t, a, ok := c.person(40001)
	if !ok {
		return a
	}
	if t.scope == scopeBase || t.snapshot && c.b.SnapshotNoUserInfo {
		return refuse(48001)
	}
	p := c.s.players[t.player]
	name, picture := p.Nickname, c.s.avatar(p)
	if t.snapshot && !c.b.SnapshotRealIDs {
		name, picture = "微信用户", ""
	}
	fields := []field{
		{"openid", t.openid}, {"nickname", name},
		{"sex", 0}, {"language", ""}, {"city", ""}, {"province", ""}, {"country", ""},
		{"headimgurl", picture},
		{"privilege", []string{}},
	}
	if t.unionid != "" {
		fields = append(fields, field{"unionid", t.unionid})
	}
	return answer{fields: fields}
}

// auth: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsauth
func (c *call) auth() answer {
	if _, a, ok := c.person(40014); !ok {
		return a
	}
	return answer{fields: []field{{"errcode", 0}, {"errmsg", "ok"}}}
}

// prune bounds what a simulator that runs for long remembers: past a size,
// everything long expired goes, which is then unknown instead of expired.
func (s *Server) prune() {
	if max(len(s.codes), len(s.refresh)) < s.pruneAt {
		return
	}
	old := s.now().Add(-time.Hour)
	maps.DeleteFunc(s.codes, func(_ string, g *grant) bool { return g.expires.Before(old) })
	maps.DeleteFunc(s.tokens, func(_ string, t *userToken) bool { return t.expires.Before(old) })
	maps.DeleteFunc(s.refresh, func(_ string, t *userToken) bool { return t.refreshExpires.Before(old) })
	// Not each time anew when little could go.
	s.pruneAt = max(s.pruneAt, 2*max(len(s.codes), len(s.refresh)))
}
