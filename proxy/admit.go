package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"wxgate/identity"
)

// admit decides whether a request may go to the app: nil, or why not. It looks
// at the request and the session and does nothing, so that whoever else has to
// decide (a front proxy's question, for one) gets the same answer.
func (s *Server) admit(v *visit, l *live, d demand) *problem {
	if isWebSocket(v.r.Header) && !s.originAllowed(v.r.Header.Get("Origin")) {
		return foreignOrigin
	}
	switch {
	case l == nil && d.level == levelPublic:
		return nil
	case l == nil:
		return loginRequired
	case l.snapshot && d.level != levelPublic:
		// Nobody is there who could answer for a write, and a WebSocket is
		// one in both directions.
		if d.level == levelProfile || !safeMethod(v.r.Method) || isWebSocket(v.r.Header) {
			return snapshotVisitor
		}
	case l.user.Status == identity.StatusBlocked && d.level != levelPublic:
		return userBlocked
	case d.level == levelProfile && l.user.Profile == nil:
		return profileRequired
	}
	return nil
}

// originAllowed judges the Origin of a WebSocket: browsers send cookies along
// with WebSockets of any page, so a foreign page must not get one. Native
// clients send no Origin.
func (s *Server) originAllowed(origin string) bool {
	return origin == "" || s.hosts.serves(origin) || s.listedOrigin(origin)
}

func (s *Server) listedOrigin(origin string) bool {
	for _, o := range s.cfg.AllowedOrigins {
		if strings.EqualFold(o, origin) {
			return true
		}
	}
	return false
}

// refuse answers a request that was not admitted: a page visit is led to
// login, everything else is told that it needs one.
func (s *Server) refuse(v *visit, p *problem) {
	if q, ok := wayIn(v, p); ok {
		s.leadToLogin(v, q)
		return
	}
	s.fail(v, p, nil)
}

// loginQuery is what a link to our login endpoint says.
type loginQuery struct {
	next    string
	profile bool   // ask for name and avatar
	needed  bool   // because the page cannot do without
	agreed  bool   // the visitor has read our page about it
	again   bool   // the attempt before this one failed on its way
	bind    string // of a login that another host waits for
	via     string // the way to log in, where the User-Agent shall not choose it
	renew   bool   // of a session that still lives
}

func (s *Server) loginURL(host string, q loginQuery) string {
	u := s.hosts.origin(host) + prefix + "login?next=" + url.QueryEscape(q.next)
	if q.profile {
		u += "&profile=1"
	}
	if q.needed {
		u += "&needed=1"
	}
	if q.agreed {
		u += "&agreed=1"
	}
	if q.again {
		u += "&again=1"
	}
	if q.bind != "" {
		u += "&bind=" + url.QueryEscape(q.bind)
	}
	if q.via != "" {
		u += "&via=" + url.QueryEscape(q.via)
	}
	if q.renew {
		u += "&renew=1"
	}
	return u
}

func (s *Server) toLogin(v *visit, q loginQuery) {
	v.outcome = outcomeRedirected
	s.redirect(v, http.StatusFound, s.loginURL(v.host, q))
}

// redirect answers with a Location that is never kept: some WebViews hold on
// to redirects for hours.
func (s *Server) redirect(v *visit, status int, location string) {
	h := v.Header()
	noStore(h)
	h["Location"] = []string{location}
	h["Content-Length"] = noLength
	v.WriteHeader(status)
}

// Values of headers that many answers share. Nobody writes into a header's
// values: they are replaced, or appended to, and with room for one only an
// append copies.
var (
	noStoreValue    = []string{"no-store"}
	noReferrerValue = []string{"no-referrer"}
	noLength        = []string{"0"}
)

func noStore(h http.Header) {
	h["Cache-Control"] = noStoreValue
	h["Referrer-Policy"] = noReferrerValue
}

// isNavigation reports that a person is waiting for a page, by Fetch Metadata
// (https://www.w3.org/TR/fetch-metadata/) or, where the browser sends none, by
// the wish for HTML.
func isNavigation(r *http.Request) bool {
	h := r.Header
	if dest := first(h["Sec-Fetch-Dest"]); dest != "" {
		mode := first(h["Sec-Fetch-Mode"])
		return dest == "document" && (mode == "" || mode == "navigate")
	}
	return strings.Contains(strings.ToLower(strings.Join(h["Accept"], ",")), "text/html") &&
		first(h["X-Requested-With"]) == "" && first(h["Upgrade"]) == ""
}

// first is the value that Header.Get returns, which looks a second time for how
// a name is spelled.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// isPageVisit reports that a redirect to login would lead the person back to
// the page that was asked for. Another method cannot be repeated.
func isPageVisit(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && isNavigation(r)
}

// safeMethod is RFC 9110, section 9.2.1.
func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func isWebSocket(h http.Header) bool { return h.Get("Upgrade") != "" }
