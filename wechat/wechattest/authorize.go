package wechattest

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	authorizePath = "/connect/oauth2/authorize"

	// PlayerCookie names the player who visits from this browser.
	PlayerCookie = "wxsim_player"
	// CallbackHeader carries, once each, the callback URLs that a page of the
	// simulator is about to load, for test clients that run no scripts.
	CallbackHeader = "Wxsim-Callback"
	// ErrorHeader carries the code of an error page.
	ErrorHeader = "Wxsim-Error"
)

// visit is an authorize request that passed the checks.
type visit struct {
	app      App
	player   Player
	chosen   bool // by the browser, not by default
	redirect string
	scope    string
	state    string
	// component is the third-party platform that the person logs in through.
	component string
	extra     map[string]string // parameters after the documented five
	android   bool
	b         Behaviour
}

// refusal is an error page. Code is one of WeChat's numbers, or 0 for a page
// that only has a text.
type refusal struct {
	Code   int
	Text   string // WeChat's words
	Reason string // the simulator's, for developers
}

// authorize serves the page that a browser is sent to for login:
// https://developers.weixin.qq.com/doc/service/guide/h5/auth.html
// Its forms post to the same address: player=ID chooses who visits,
// consent=agree or consent=deny answers the consent page.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if r.Method == http.MethodPost && r.PostFormValue("player") != "" {
		s.choose(w, r, r.PostFormValue("player"), r.URL.RequestURI())
		return
	}
	e, b := s.seen(r), s.Behaviour()
	if !b.AnyBrowser && !inWeChat(r.UserAgent()) {
		s.outside(w, e)
		return
	}
	v, bad := s.check(r, b)
	if bad != nil {
		s.refusePage(w, e, bad)
		return
	}
	if b.Choose && !v.chosen {
		e.Result = "choose page"
		s.record(e)
		s.page(w, "choose.html", map[string]any{"App": v.app, "Players": s.Players()})
		return
	}
	e.Player = v.player.ID
	snapshot := (v.player.Snapshot || v.scope == scopeUserInfo && (b.Snapshot || v.extra["forceSnapShot"] == "true")) &&
		!fullService(r, v.player)
	switch consent := v.consent(r, snapshot); consent {
	case "ask":
		e.Result = "consent page"
		s.record(e)
		s.page(w, "consent.html", map[string]any{"App": v.app, "Player": v.player})
	case "deny":
		e.Result = "denied"
		s.record(e)
		if v.component != "" { // a refusal comes back, with the state alone
			w.Header().Set("Location", v.callback(""))
			w.WriteHeader(http.StatusFound)
			return
		}
		s.page(w, "denied.html", map[string]any{"Android": v.android})
	default:
		s.redirect(w, v, e, snapshot)
	}
}

// consent decides whether the person is asked, or what the answer was.
func (v *visit) consent(r *http.Request, snapshot bool) string {
	silent := v.b.SilentFollowers && v.player.Follower
	switch {
	case v.scope == scopeBase, snapshot, silent:
		return "agree"
	case r.Method == http.MethodPost && r.PostFormValue("consent") == "agree":
		return "agree"
	case r.Method == http.MethodPost && r.PostFormValue("consent") == "deny":
		return "deny"
	case v.b.AutoConsent:
		return "agree"
	}
	return "ask"
}

// redirect sends the browser back, once or twice.
func (s *Server) redirect(w http.ResponseWriter, v *visit, e Entry, snapshot bool) {
	s.mu.Lock()
	codes := []string{s.issue(v.component, v.app.ID, v.player, v.scope, snapshot)}
	switch {
	case v.b.DoubleCallback == DoubleSameCode:
		codes = append(codes, codes[0])
	case v.b.DoubleCallback == DoubleOtherCode,
		v.b.DoubleCallback == DoubleAsWeChat && v.android && v.extra["connect_redirect"] != "1":
		codes = append(codes, s.issue(v.component, v.app.ID, v.player, v.scope, snapshot))
	}
	s.mu.Unlock()

	var targets []string
	for _, code := range codes {
		target := v.callback(cmp.Or(v.b.ReplayCode, code))
		targets = append(targets, target)
		w.Header().Add(CallbackHeader, target)
	}
	if len(targets) == 2 {
		e.Result = "redirect twice"
		s.record(e)
		s.page(w, "twice.html", map[string]any{"First": targets[0], "Second": targets[1]})
		return
	}
	e.Result = "redirect"
	s.record(e)
	w.Header().Set("Location", targets[0])
	w.WriteHeader(http.StatusFound)
}

// callback appends code and state to whatever query is there already, and through a
// platform the appid. Without a code it is a refusal.
func (v *visit) callback(code string) string {
	if v.b.BareCallback {
		return v.redirect
	}
	separator := "?"
	if strings.Contains(v.redirect, "?") {
		separator = "&"
	}
	// The state goes back as it is, not encoded again: WeChat documents letters
	// and digits, and loses the meaning of anything else.
	back := v.redirect + separator
	if code != "" {
		back += "code=" + code + "&"
	}
	back += "state=" + v.state + v.b.StateJunk
	if code != "" && v.component != "" {
		back += "&appid=" + v.app.ID
	}
	return back
}

// choose remembers in the browser who visits, and goes on to next.
func (s *Server) choose(w http.ResponseWriter, r *http.Request, player, next string) {
	s.mu.Lock()
	_, found := s.players[player]
	s.mu.Unlock()
	if !found {
		http.Error(w, "no such player", http.StatusNotFound)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: PlayerCookie, Value: player, Path: "/", SameSite: http.SameSiteLaxMode})
	http.SetCookie(w, &http.Cookie{Name: FullCookie, Path: "/", MaxAge: -1, SameSite: http.SameSiteLaxMode})
	w.Header().Set("Location", next)
	w.WriteHeader(http.StatusSeeOther)
}

// visitor finds out who visits.
func (s *Server) visitor(r *http.Request) (p Player, chosen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, err := r.Cookie(PlayerCookie); err == nil {
		if p, found := s.players[c.Value]; found {
			return p, true
		}
	}
	if p, found := s.players[s.behaviour.Player]; found {
		return p, false
	}
	if len(s.order) == 0 {
		return Player{ID: "nobody"}, false
	}
	return s.players[s.order[0]], false
}

func inWeChat(userAgent string) bool {
	ua := strings.ToLower(userAgent)
	return strings.Contains(ua, "micromessenger") && !strings.Contains(ua, "wxwork")
}

var (
	documented = []string{"appid", "redirect_uri", "response_type", "scope", "state"}
	known      = []string{"connect_redirect", "forcePopup", "forceSnapShot"}
	stateForm  = regexp.MustCompile(`^[0-9A-Za-z]+$`)
)

// check applies the rules in the order: form of the link, empty parameters,
// account, scope, state, callback.
func (s *Server) check(r *http.Request, b Behaviour) (*visit, *refusal) {
	q, names, bad := parameters(r.URL.RawQuery)
	if bad != nil {
		return nil, bad
	}
	for _, empty := range []struct {
		name string
		code int
	}{{"appid", 10012}, {"redirect_uri", 10011}, {"scope", 10010}, {"state", 10013}} {
		if _, behalf := q["component_appid"]; behalf && empty.name == "state" {
			continue
		}
		if q[empty.name] == "" {
			return nil, &refusal{empty.code, empty.name + " 参数为空", "the link has no " + empty.name}
		}
	}
	if !b.LenientOrder {
		if bad := order(names, expected(q), known); bad != nil {
			return nil, bad
		}
	}
	if q["response_type"] != "code" {
		return nil, &refusal{0, "response_type 参数错误", "response_type must be code"}
	}
	s.mu.Lock()
	app, found := s.apps[q["appid"]]
	s.mu.Unlock()
	scope, scoped := effectiveScope(q["scope"], q["component_appid"] != "")
	switch {
	case !found:
		return nil, &refusal{0, "AppID 参数错误", "no app is registered under this appid"}
	case app.Kind == Website || app.Kind == Mobile:
		return nil, &refusal{10016, "不支持的 AppID", "this appid belongs to a website or mobile app of the open platform"}
	case app.Kind != ServiceAccount, !scoped:
		return nil, &refusal{10005, "Scope 参数错误或没有 Scope 权限", "the scope is not snsapi_base or snsapi_userinfo, or the appid is no service account"}
	case len(q["state"]) > 128:
		return nil, &refusal{0, "state 参数过长", "a state has at most 128 bytes"}
	case !b.LenientState && q["state"] != "" && !stateForm.MatchString(q["state"]):
		return nil, &refusal{0, "state 参数错误", "a state has only letters and digits"}
	}
	u, err := url.Parse(q["redirect_uri"])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.Contains(q["redirect_uri"], "#") {
		return nil, &refusal{10003, "redirect_uri 参数错误", "redirect_uri is no plain http or https URL; was it percent-encoded exactly once?"}
	}
	if bad := s.checkReturn(app, u, q, b); bad != nil {
		return nil, bad
	}
	v := &visit{
		app: app, redirect: q["redirect_uri"], scope: scope, state: q["state"], component: q["component_appid"], extra: q, b: b,
		android: strings.Contains(strings.ToLower(r.UserAgent()), "android"),
	}
	v.player, v.chosen = s.visitor(r)
	return v, nil
}
