package wechattest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pages on which an administrator authorizes a third-party platform. The first
// shows a QR code to a PC, the others are for WeChat's own browser.
const (
	ComponentLoginPath = "/cgi-bin/componentloginpage"
	BindComponentPath  = "/wxaopen/safe/bindcomponent"
	OldBindPath        = "/safe/bindcomponent"
)

func componentPage(path string) bool {
	return path == ComponentLoginPath || path == BindComponentPath || path == OldBindPath
}

// launch is one visit of an administrator to the authorization page.
type launch struct {
	component Component
	preAuth   string
	redirect  *url.URL
	kinds     []AppKind // accounts that fit
	biz       string    // or this one alone
	sets      []int     // permission sets that are asked for; none: all
	mobile    bool
	scan
	busy bool // a push is on its way, the end is not yet
}

// componentLoginPage serves the page that a customer's administrator is sent to:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html
// Its forms post to the same address: grant=agree with appid, functions and then,
// or grant=cancel or expire. With a uuid they are about a page that is open, and
// without one they begin a new visit, which is judged as a GET is.
func (s *Server) componentLoginPage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if uuid := r.PostFormValue("uuid"); uuid != "" {
		s.answerLaunch(w, r, uuid, true)
		return
	}
	e, b := s.seen(r), s.Behaviour()
	if r.URL.Path != ComponentLoginPath && !b.AnyBrowser && !inWeChat(r.UserAgent()) {
		s.outside(w, e)
		return
	}
	l, bad := s.checkLaunch(r, b)
	if bad != nil {
		s.refusePage(w, e, bad)
		return
	}
	uuid := s.newLaunch(l)
	if r.Method == http.MethodPost {
		s.answerLaunch(w, r, uuid, true)
		return
	}
	e.Result = "grant page"
	s.record(e)
	if l.mobile {
		s.launchPage(w, "componentpagephone.html", uuid, ComponentLoginPath)
		return
	}
	s.launchPage(w, "componentpage.html", uuid, ComponentLoginPath)
}

// launchKinds are the accounts that an auth_type stands for. The simulator has
// no promoters (4), channels (5) and selling assistants (8).
var launchKinds = map[string][]AppKind{
	"":  {ServiceAccount, MiniProgram},
	"1": {ServiceAccount},
	"2": {MiniProgram},
	"3": {ServiceAccount, MiniProgram},
	"4": {},
	"5": {},
	"6": {ServiceAccount, MiniProgram},
	"8": {},
}

var launchParameters = []string{
	"component_appid", "pre_auth_code", "redirect_uri", "auth_type", "biz_appid", "category_id_list", "action", "no_scan", "lang",
}

// checkLaunch applies the rules of the page. The codes are those of its script,
// as a copy of it has them.
func (s *Server) checkLaunch(r *http.Request, b Behaviour) (*launch, *refusal) {
	q, names, bad := parameters(r.URL.RawQuery)
	if bad != nil {
		return nil, bad
	}
	for _, empty := range []struct {
		name string
		code int
	}{{"component_appid", -306}, {"pre_auth_code", -307}, {"redirect_uri", -308}} {
		if q[empty.name] == "" {
			return nil, &refusal{empty.code, "参数缺少 " + empty.name, "the link has no " + empty.name}
		}
	}
	for _, name := range names {
		if !b.LenientOrder && !slices.Contains(launchParameters, name) {
			return nil, &refusal{-301, "授权参数错误，请检查", "unknown parameter " + name + "; was redirect_uri percent-encoded?"}
		}
	}
	l := &launch{mobile: r.URL.Path != ComponentLoginPath, preAuth: q["pre_auth_code"], biz: q["biz_appid"]}
	if l.mobile && (q["action"] != "bindcomponent" || q["no_scan"] != "1") {
		return nil, &refusal{-301, "授权参数错误，请检查", "inside WeChat the link needs action=bindcomponent and no_scan=1"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, app := s.components[q["component_appid"]], s.apps[l.biz]
	if c == nil {
		return nil, &refusal{-305, "component_appid 非法", "no third-party platform is registered under this appid"}
	}
	l.component = c.Component
	var known, ok bool
	if l.kinds, known = launchKinds[q["auth_type"]]; !known {
		return nil, &refusal{-301, "授权参数错误，请检查", "auth_type is one of 1 to 6 and 8"}
	}
	if l.sets, ok = readSets(q["category_id_list"]); !ok {
		return nil, &refusal{-113, "不合法的权限集列表，请检查", "category_id_list has numbers with | between them"}
	}
	if bad := l.checkDomains(r.Referer(), q["redirect_uri"], b); bad != nil {
		return nil, bad
	}
	if bad := s.judgePreAuth(c, l.preAuth); bad != nil {
		return nil, bad
	}
	if l.biz != "" && app.Kind != ServiceAccount && app.Kind != MiniProgram {
		return nil, &refusal{-301, "授权参数错误，请检查", "biz_appid is no official account and no mini program"}
	}
	return l, nil
}

// checkDomains wants the visitor to come from a page of the platform's domain,
// and to go back to one. A browser that tells no Referer comes from nowhere.
func (l *launch) checkDomains(referer, redirect string, b Behaviour) *refusal {
	from, err := url.Parse(referer)
	if err != nil {
		from = &url.URL{}
	}
	to, err := url.Parse(redirect)
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.User != nil {
		return &refusal{-301, "授权参数错误，请检查", "redirect_uri is no plain http or https URL"}
	}
	l.redirect = to
	entry := l.component.launches(from, b) || l.mobile && b.MobileLaunchAnywhere
	if entry && l.component.launches(to, b) {
		return nil
	}
	name := func(u *url.URL) string {
		if u.Host == "" {
			return "空"
		}
		return u.Host
	}
	return &refusal{-302, "请确认授权入口页所在域名，与授权后回调页所在域名相同，并且，此两者都必须与申请第三方平台时填写的授权发起页域名相同。" +
		"授权入口页所在域名：" + name(from) + "，授权后回调页所在域名：" + name(to),
		fmt.Sprintf("the page with the link (Referer %q) and redirect_uri %q must be on %s, the domain that is configured; "+
			"a page without a Referer is one that was typed in, or redirected to, or whose Referrer-Policy is no-referrer", referer, redirect, l.component.LaunchDomain)}
}

// launches tells whether u is on the domain from which authorizations are begun.
func (c Component) launches(u *url.URL, b Behaviour) bool {
	host := strings.ToLower(u.Hostname())
	if u.Port() != "" && !(b.AllowLoopbackPort && loopback(host)) {
		return false
	}
	return host != "" && host == strings.ToLower(c.LaunchDomain)
}

// backTo is where an authorization leads: the account's appid is not told.
func (l *launch) backTo(code string, life time.Duration) string {
	u := *l.redirect
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "auth_code=" + url.QueryEscape(code) + "&expires_in=" + strconv.Itoa(int(life/time.Second))
	return u.String()
}

// judgePreAuth refuses a pre_auth_code with which nobody may authorize.
func (s *Server) judgePreAuth(c *component, code string) *refusal {
	switch p := c.preAuth[code]; {
	case p == nil:
		return &refusal{-101, "授权已经失效，请关闭本页重新发起授权", "nobody got this pre_auth_code for this platform"}
	case p.used:
		return &refusal{-110, "预授权码已经被授权过，不能重复使用", "a pre_auth_code is good for one authorization"}
	case !s.now().Before(p.expires):
		return &refusal{-105, "预授权码已过期", "the pre_auth_code has expired"}
	}
	return nil
}
