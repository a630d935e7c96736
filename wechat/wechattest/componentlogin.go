package wechattest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// IssueCodeOnBehalf is IssueCode for a login through a third-party platform: what
// the browser would bring back to the platform, or a code of wx.login for its
// /sns/component call. That the account authorized the platform is looked at when
// the code is exchanged. It panics if it does not know platform, app or player.
func (s *Server) IssueCodeOnBehalf(componentID, appid, player, scope string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.components[componentID] == nil {
		panic("wechattest: " + noComponent(componentID).Error())
	}
	return s.issueByHand(componentID, appid, player, scope)
}

// documentedOnBehalf is the order of a link for a login through a platform:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Official_Accounts/official_account_website_authorization.html
var documentedOnBehalf = append(slices.Clone(documented), "component_appid")

// expected is the order for a link with these parameters. Through a platform the
// state may be left out.
func expected(q map[string]string) []string {
	if _, given := q["component_appid"]; !given {
		return documented
	}
	if _, given := q["state"]; !given {
		return slices.DeleteFunc(slices.Clone(documentedOnBehalf), func(name string) bool { return name == "state" })
	}
	return documentedOnBehalf
}

// checkReturn judges the redirect_uri of a login: by the account's callback hosts,
// or by the hosts of the third-party platform that acts for it.
func (s *Server) checkReturn(app App, u *url.URL, q map[string]string, b Behaviour) *refusal {
	id, behalf := q["component_appid"]
	if !behalf {
		if !app.allows(u, b.AllowLoopbackPort) {
			return &refusal{10003, "redirect_uri 域名与后台配置不一致",
				fmt.Sprintf("host %s is not one of the registered callback hosts %v, or it has a port", u.Host, app.CallbackHosts)}
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[id]
	if c == nil {
		return &refusal{0, "component_appid 参数错误", "no third-party platform is registered under this component_appid"}
	}
	granted := c.authorization(app.ID)
	switch {
	case granted == nil:
		return &refusal{10015, "该公众号未授权给第三方平台", "the account has not authorized this third-party platform"}
	case b.CheckFunctions && !slices.Contains(granted.functions, webFunction):
		return &refusal{10005, "Scope 参数错误或没有 Scope 权限", "the account has not granted web login to the third-party platform"}
	case !c.serves(u, app.ID, b.AllowLoopbackPort):
		return &refusal{10003, "redirect_uri 域名与后台配置不一致",
			fmt.Sprintf("host %s is none of the third-party platform's web hosts %v, nor %s. before one, or it has a port", u.Host, c.OAuthHosts, app.ID)}
	}
	return nil
}

// effectiveScope reads a scope, or several with commas between them, as are
// allowed through a platform: the widest counts.
func effectiveScope(text string, behalf bool) (scope string, ok bool) {
	scopes := []string{text}
	if behalf {
		scopes = strings.Split(text, ",")
	}
	for _, one := range scopes {
		switch one {
		case scopeUserInfo:
			scope = one
		case scopeBase:
			if scope == "" {
				scope = one
			}
		default:
			return "", false
		}
	}
	return scope, true
}

// behalf checks what the logins through a platform have in common. The token has
// another name here, and one that an account lent is answered with 48001.
func (c *call) behalf(code string, missing int, grantType string) (*component, App, answer, bool) {
	p, a, ok := c.bearer(48001, "component_access_token")
	if !ok {
		return nil, App{}, a, false
	}
	if a, ok = c.matches(p, c.query.Get("component_appid")); !ok {
		return nil, App{}, a, false
	}
	appid := c.query.Get("appid")
	switch {
	case appid == "":
		return nil, App{}, refuse(41002), false
	case code == "":
		return nil, App{}, refuse(missing), false
	case c.query.Get("grant_type") != grantType:
		return nil, App{}, refuse(40002), false
	}
	if _, a, ok = c.granted(p, appid); !ok {
		return nil, App{}, a, false
	}
	return p, c.s.apps[appid], answer{}, true
}

// componentAccessToken is accessToken for a login through a platform.
func (c *call) componentAccessToken() answer {
	code := c.query.Get("code")
	p, app, a, ok := c.behalf(code, 41008, "authorization_code")
	switch {
	case !ok:
		return a
	case app.Kind == MiniProgram:
		return refuse(40029)
	}
	g, a, ok := c.useUp(code, app, p.ID)
	if !ok {
		return a
	}
	return c.personToken(g)
}

func (c *call) componentRefreshToken() answer {
	refresh := c.query.Get("refresh_token")
	p, app, a, ok := c.behalf(refresh, 41003, "refresh_token")
	if !ok {
		return a
	}
	return c.refreshed(refresh, app.ID, p.ID)
}

// componentCode2Session: https://developers.weixin.qq.com/doc/oplatform/openApi/miniprogram-management/login/api_thirdpartycode2session.html
func (c *call) componentCode2Session() answer {
	code := c.query.Get("js_code")
	p, app, a, ok := c.behalf(code, 41008, "authorization_code")
	switch {
	case !ok:
		return a
	case app.Kind != MiniProgram:
		return refuse(40029)
	}
	return c.session(code, app, p.ID)
}

// webFunction is the permission set for logins of an account's people (网页服务).
const webFunction = 4

// functionsOf are the permission sets of which one is needed for a call with a
// token that an account lent:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/product/third_party_authority_instructions.html
var functionsOf = map[string][]int{
	FollowerPath:    {2},
	TicketPath:      {webFunction},
	MenuCreatePath:  {15},
	MenuGetPath:     {15},
	MenuDeletePath:  {15},
	CustomSendPath:  {1, 19},
	MediaUploadPath: {11, 19},
	MediaGetPath:    {11, 19},
}

// lent judges an account's call with a token that it lent to a platform.
func (c *call) lent(t *serverToken) (errcode int) {
	needed, limited := functionsOf[c.entry.Path]
	granted := c.s.components[t.component].authorization(t.app)
	switch {
	case granted == nil:
		return 40001
	case c.foreign():
		return 61004
	case c.b.CheckFunctions && limited && !slices.ContainsFunc(needed, func(id int) bool { return slices.Contains(granted.functions, id) }):
		return 61007
	}
	return 0
}
