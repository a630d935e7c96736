package proxy

import (
	"net/http"
	"strings"
	"time"

	"wxgate/identity"
)

// own answers everything under the gateway's prefix; what is unknown there is
// 404 and never reaches the app. The match is on the raw path: no other
// spelling of it exists for us.
func (s *Server) own(v *visit) {
	v.outcome = outcomeOwn
	name := v.path[min(len(prefix), len(v.path)):]
	if rest, ok := strings.CutPrefix(name, "pair/"); ok {
		s.pairing.serve(v, rest)
		return
	}
	if rest, ok := strings.CutPrefix(name, "component/"); ok && s.platform != nil {
		s.platform.serve(v, rest)
		return
	}
	if name == "messages" && s.inbox != nil {
		s.inbox.serve(v)
		return
	}
	serve, allowed := s.route(name)
	if serve == nil {
		s.fail(v, notFound, nil)
		return
	}
	if s.ownCORS(v, name, allowed) {
		return
	}
	if v.r.Method != allowed && !(allowed == http.MethodGet && v.r.Method == http.MethodHead) {
		v.Header().Set("Allow", allowed)
		s.fail(v, methodNotAllowed, nil)
		return
	}
	noStore(v.Header())
	serve(v)
}

func (s *Server) route(name string) (serve func(*visit), method string) {
	switch name {
	case "login":
		return s.login, http.MethodGet
	case "callback":
		return s.callback, http.MethodGet
	case "handover":
		return s.handover, http.MethodGet
	case "logout":
		return s.logout, http.MethodPost
	case "me":
		return s.me, http.MethodGet
	case "yunxin":
		return s.yunxin, http.MethodGet
	case "exchange":
		return s.exchange, http.MethodPost
	case "jssdk":
		return s.jssdk.serve, http.MethodGet
	case "wxgate.js":
		return s.pageScript, http.MethodGet
	case "jwks.json":
		return s.jwks, http.MethodGet
	}
	return nil, ""
}

// jwks publishes the keys that assertions are checked with (RFC 7517).
func (s *Server) jwks(v *visit) {
	h := v.Header()
	h.Del("Referrer-Policy")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "application/jwk-set+json")
	v.write(http.StatusOK, s.cfg.Signer.JWKS())
}

// caller is the session of a request to one of our endpoints, or nil after the
// refusal was written.
func (s *Server) caller(v *visit) *live {
	l, err := s.session(v)
	switch {
	case err != nil:
		s.fail(v, storeUnavailable, err)
	case l == nil:
		s.fail(v, loginRequired, nil)
	case l.user.Status == identity.StatusBlocked:
		s.fail(v, userBlocked, nil)
	default:
		return l
	}
	return nil
}

// meAnswer is the caller as the page may know it.
type meAnswer struct {
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Avatar      string    `json:"avatar"`
	Channel     string    `json:"channel"`
	OpenID      string    `json:"openid"`
	UnionID     string    `json:"unionid"`
	AppID       string    `json:"appid"`
	Profile     bool      `json:"profile"`
	Snapshot    bool      `json:"snapshot"`
	YunxinAccid string    `json:"yunxin_accid"`
	Session     meSession `json:"session"`
}

type meSession struct {
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *Server) me(v *visit) {
	if l := s.caller(v); l != nil {
		s.writeJSON(v, http.StatusOK, meOf(l))
	}
}

func meOf(l *live) meAnswer {
	a := meAnswer{
		User: l.user.ID, Channel: l.session.Channel, OpenID: l.session.OpenID, UnionID: l.session.UnionID, AppID: l.session.AppID,
		Session: meSession{l.session.CreatedAt.UTC().Truncate(time.Second), l.session.ExpiresAt.UTC().Truncate(time.Second)},
	}
	a.Snapshot = l.snapshot
	if p := l.user.Profile; p != nil {
		a.Profile, a.Name, a.Avatar = true, p.Name, p.Avatar
	}
	if l.user.Yunxin.State == identity.YunxinReady {
		a.YunxinAccid = l.user.Yunxin.Accid
	}
	return a
}

// maxLogoutForm bounds the form that a logout may come with, in bytes.
const maxLogoutForm = 8 << 10

// logout ends this session. Only our own pages and those of listed origins may
// ask for it; the cookie's SameSite would not stop a page of a sibling
// sub-domain.
func (s *Server) logout(v *visit) {
	if !s.sameOrigin(v.r) && !s.listedOrigin(v.r.Header.Get("Origin")) {
		s.fail(v, foreignOrigin, nil)
		return
	}
	if key, ok := s.cfg.Sessions.Key(s.cfg.Sessions.Token(v.r.Header)); ok {
		if err := s.sessions.end(v.r.Context(), key); err != nil {
			s.fail(v, storeUnavailable, err)
			return
		}
	}
	s.cfg.Sessions.ClearCookies(v.Header())
	s.clearAppCookies(v)
	if !isNavigation(v.r) {
		v.WriteHeader(http.StatusNoContent)
		return
	}
	// A form may say it in its address or as one of its fields.
	v.r.Body = http.MaxBytesReader(v, v.r.Body, maxLogoutForm)
	host, next := s.hosts.returnTo(v.r.FormValue("next"), v.host)
	s.redirect(v, http.StatusSeeOther, s.location(host, next))
}

// sameOrigin reports that a request comes from a page of the same host, by
// Fetch Metadata, else by Origin. Clients that send neither are no browsers
// that a foreign page could make call us, or too old to send the cookie of a
// Lax session with a foreign POST.
func (s *Server) sameOrigin(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return true
	case "":
		origin := r.Header.Get("Origin")
		return origin == "" || s.hosts.serves(origin) && origin == s.hosts.origin(s.hosts.find(r.Host))
	}
	return false
}
