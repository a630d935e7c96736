package wechattest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const qrPath = "/connect/qrconnect"

// qr serves the login of website apps:
// https://developers.weixin.qq.com/doc/oplatform/developers/dev/auth/web.md
//
//	GET  /connect/qrconnect    the page with the picture, whole or for a frame
//	POST /connect/qrconnect    press a button without a script, see press
//	GET  /connect/qrcode/UUID  the picture
//	GET  /connect/l/qrconnect  what the page polls: window.wx_errcode=N;…
//	GET  /connect/confirm      what the phone shows after the scan
//	POST /connect/confirm      press a button on the phone
func (s *Server) qr(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == qrPath && (r.Method == http.MethodGet || r.Method == http.MethodPost):
		s.qrconnect(w, r)
	case path == confirmPath && (r.Method == http.MethodGet || r.Method == http.MethodPost):
		s.confirm(w, r)
	case path == "/connect/l/qrconnect":
		s.poll(w, r)
	case strings.HasPrefix(path, "/connect/qrcode/"):
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Write(qrPicture(strings.TrimPrefix(path, "/connect/qrcode/")))
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) qrconnect(w http.ResponseWriter, r *http.Request) {
	e, b := s.seen(r), s.Behaviour()
	v, bad := s.checkQR(r, b)
	if bad != nil {
		e.Result, e.Errcode = "error page", bad.Code
		s.record(e)
		w.Header().Set(ErrorHeader, fmt.Sprint(bad.Code))
		s.pageIn(w, "*", "error.html", bad)
		return
	}
	uuid := s.newScan(v)
	if r.Method == http.MethodPost {
		sc, err := s.press(uuid, r.PostFormValue("qr"), r.PostFormValue("player"), &e)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case sc.back != "":
			w.Header().Add(CallbackHeader, sc.back)
			w.Header().Set("Location", sc.back)
			w.WriteHeader(http.StatusFound)
		default:
			s.page(w, "error.html", refusal{Text: sc.words()})
		}
		return
	}
	e.Result = "qr page"
	s.record(e)
	ancestors, framed := "'none'", v.extra["login_type"] == "jssdk"
	if framed {
		ancestors = "*"
	}
	s.pageIn(w, ancestors, "qr.html", map[string]any{
		"App": v.app, "UUID": uuid, "Confirm": confirmPath + "?uuid=" + uuid, "Players": s.Players(), "Visitor": v.player,
		"Framed": framed, "Self": v.extra["self_redirect"] == "true", "White": v.extra["style"] == "white",
		"Lite": v.extra["stylelite"] == "1", "Fast": b.FastLogin && v.extra["fast_login"] != "0",
		"Again": r.URL.RequestURI(),
	})
}

var (
	framedOrder = []string{"appid", "scope", "redirect_uri", "state", "login_type", "self_redirect"}
	framedKnown = []string{"styletype", "sizetype", "bgcolor", "rst", "style", "stylelite", "href", "fast_login", "lang"}
)

// checkQR differs from check in the kind of app and the scope, knows no limit for
// the state, and lets a redirect_uri have a fragment.
func (s *Server) checkQR(r *http.Request, b Behaviour) (*visit, *refusal) {
	q, names, bad := parameters(r.URL.RawQuery)
	if bad != nil {
		return nil, bad
	}
	framed := slices.Contains(names, "login_type")
	for _, empty := range []struct {
		name string
		code int
	}{{"appid", 10012}, {"redirect_uri", 10011}, {"scope", 10010}} {
		if q[empty.name] == "" {
			return nil, &refusal{empty.code, empty.name + " 参数为空", "the link has no " + empty.name}
		}
	}
	if bad := orderQR(names, framed); bad != nil && !b.LenientOrder {
		return nil, bad
	}
	switch {
	case framed && q["login_type"] != "jssdk":
		return nil, &refusal{0, "该链接无法访问", "login_type must be jssdk"}
	case framed && !slices.Contains([]string{"true", "false", "default"}, q["self_redirect"]):
		return nil, &refusal{0, "该链接无法访问", "self_redirect must be true, false or default"}
	case !framed && q["response_type"] != "code":
		return nil, &refusal{0, "response_type 参数错误", "response_type must be code"}
	}
	s.mu.Lock()
	app, found := s.apps[q["appid"]]
	s.mu.Unlock()
	switch {
	case !found:
		return nil, &refusal{0, "AppID 参数错误", "no app is registered under this appid"}
	case app.Kind != Website || q["scope"] != scopeLogin:
		return nil, &refusal{10005, "Scope 参数错误或没有 Scope 权限", "the scope is not snsapi_login, or the appid is no website app"}
	}
	u, err := url.Parse(q["redirect_uri"])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || !app.allows(u, b.AllowLoopbackPort) {
		return nil, &refusal{10003, "redirect_uri 参数错误",
			fmt.Sprintf("%s is no plain URL on one of the registered callback domains %v", q["redirect_uri"], app.CallbackHosts)}
	}
	v := &visit{app: app, redirect: q["redirect_uri"], scope: q["scope"], state: q["state"], extra: q, b: b}
	v.player, v.chosen = s.visitor(r)
	return v, nil
}

// orderQR wants the order of WeChat's page for the whole page, of which the state
// is optional, and that of its script wxLogin.js for the frame.
func orderQR(names []string, framed bool) *refusal {
	switch {
	case framed:
		return order(names, framedOrder, framedKnown)
	case slices.Contains(names, "state"):
		return order(names, documented, []string{"lang"})
	}
	return order(names, documented[:4], []string{"lang"})
}

// qrCallback is where a confirmed login goes. Scanning appends code and state at
// the very end, even behind a fragment, fast login before the fragment:
// https://developers.weixin.qq.com/community/personal/oCJUswy-jWKgZ4EzDjAljdyxBX8k/follow
func (v *visit) qrCallback(code string, fast bool) string {
	code = cmp.Or(v.b.ReplayCode, code)
	if before, fragment, found := strings.Cut(v.redirect, "#"); found && fast {
		cut := *v
		cut.redirect = before
		return cut.callback(code) + "#" + fragment
	}
	return v.callback(code)
}

// qrDenial is where a refused login goes, "" for nowhere.
func (v *visit) qrDenial() string {
	if !v.b.QRDenyRedirects {
		return ""
	}
	separator := "?"
	if strings.Contains(v.redirect, "?") {
		separator = "&"
	}
	return v.redirect + separator + "state=" + v.state
}
