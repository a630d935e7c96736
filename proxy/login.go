package proxy

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"wxgate/session"
	"wxgate/wechat"
)

const (
	scopeBase     = "snsapi_base"
	scopeUserInfo = "snsapi_userinfo"
)

// login starts a login. Everything about it is fixed here and kept in the
// browser's sealed cookie; the return from WeChat guesses nothing again.
func (s *Server) login(v *visit) {
	if !s.withinRate(v) {
		return
	}
	if v.r.Header.Get("Sec-Fetch-Dest") == "empty" {
		// A script that a front proxy redirected here: WeChat's pages would
		// not answer it, so it has to tell its page.
		s.fail(v, loginRequired, nil)
		return
	}
	query := v.r.URL.Query()
	q := loginQuery{
		profile: query.Get("profile") == "1" || s.cfg.ConsentLogin && !s.renewal(v, query),
		agreed:  query.Get("agreed") == "1",
		again:   query.Get("again") == "1",
		bind:    query.Get("bind"),
		via:     query.Get("via"),
		renew:   query.Get("renew") == "1",
	}
	host, next := s.hosts.returnTo(query.Get("next"), v.host)
	next = withFragment(next, query.Get("next"))
	q.next = next
	if host != v.host {
		q.next = s.location(host, next)
	}
	way := s.flow(wechat.Detect(v.r.UserAgent()), q.via, host)
	if home := s.home(way, host); home != v.host {
		s.loginElsewhere(v, q, home, host, next)
		return
	}
	if host == v.host || s.sharesCookies(host) {
		q.bind = "" // nobody has to be handed anything
	}
	by := s.accountFor(way, host)
	if q.bind != "" && !q.profile {
		// Who is logged in here already needs no WeChat to be so there.
		if l, err := s.session(v); err == nil && l != nil && !l.snapshot && s.mayHandOver(l, by, host) {
			s.handOver(v, l, host, q)
			return
		}
	}
	switch way {
	case flowOpen:
		s.openPage(v, s.location(host, next))
		return
	case flowNone:
		s.noFlow(v)
		return
	}
	logins := s.cfg.Sessions.Logins(v.r.Header)
	if s.stopLoop(v, logins, q, host, next) {
		return
	}
	if way == flowMP && q.profile && !q.agreed {
		// Asking out of the blue is what makes WeChat open a page as a
		// snapshot: our own page explains, and its button asks.
		q.agreed = true
		s.page(v, http.StatusOK, pageConsent, pageData{
			ActionURL: s.loginURL(v.host, q), BackURL: s.backFrom(host, next, query.Get("needed") == "1"),
		})
		return
	}
	p := session.Pending{
		State: session.NewState(), Channel: by.channel, AppID: by.appID, Scope: scopeOf(way, q.profile),
		Next: next, Again: q.again, Bind: q.bind,
	}
	if host != s.hosts.public {
		p.Host = host
	}
	if err := s.keepPending(v, logins, p); err != nil {
		s.fail(v, internalError, err)
		return
	}
	s.metrics.login(p.Channel, stepStarted)
	s.sendOff(v, way, p, q)
}

// stopLoop answers the third login of a browser within a minute, and reports
// whether it did.
func (s *Server) stopLoop(v *visit, logins *session.Logins, q loginQuery, host, next string) bool {
	if !logins.Looping(s.now()) {
		return false
	}
	switch l, err := s.session(v); {
	case err != nil:
		s.fail(v, storeUnavailable, err)
	case l == nil:
		s.metrics.login(s.accountOn(host).channel, stepLoopStopped)
		s.failPage(v, loopStopped, errors.New("third login within a minute, and no session from the others"),
			pageData{ActionURL: s.location(host, next), Detail: s.cookieAdvice()})
	case q.profile:
		return false // each of these takes a click
	default:
		// No session was lost: several tabs logged in at once.
		s.redirect(v, http.StatusSeeOther, s.location(host, next))
	}
	return true
}

// callbackURL is where WeChat returns to after a login on a host. It carries a
// marker when it ends a second attempt: a browser that keeps no cookies at all
// must not go round for ever.
func (s *Server) callbackURL(host string, again bool) string {
	u := s.hosts.origin(host) + prefix + "callback"
	if again {
		u += "?again=1"
	}
	return u
}

// keepPending writes the login cookie. A target that is too long for a cookie
// is cut to its path, and then to the root: better the wrong page than none.
func (s *Server) keepPending(v *visit, logins *session.Logins, p session.Pending) error {
	path, _, _ := strings.Cut(p.Next, "?")
	for _, next := range []string{p.Next, path, "/"} {
		p.Next = next
		kept := *logins
		err := s.cfg.Sessions.Start(v.Header(), &kept, p)
		if !errors.Is(err, session.ErrTooLong) {
			return err
		}
	}
	return session.ErrTooLong
}

// backFrom is where somebody goes who does not agree: to the page, if it does
// not need the profile, else to the front page, if that does not.
func (s *Server) backFrom(host, next string, needed bool) string {
	demands := func(target string) bool { return s.cfg.ConsentLogin || s.needsProfile(target) }
	switch {
	case !needed && !demands(next):
		return s.location(host, next)
	case next != "/" && !demands("/"):
		return s.location(host, "/")
	}
	return ""
}

// needsProfile reports that the rule for a page asks for more than a session.
func (s *Server) needsProfile(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return s.cfg.Rules.Match(http.MethodGet, path).level >= levelProfile
}

// withinRate counts a login step against its client address.
func (s *Server) withinRate(v *visit) bool {
	ok, wait := s.limit.allow(v.client)
	if !ok {
		s.failPage(v, rateLimited, nil, pageData{ActionURL: "", RetryAfter: int((wait + time.Second - 1) / time.Second)})
	}
	return ok
}

// cookieAdvice names the likely cause of a cookie that does not come back.
func (s *Server) cookieAdvice() pageDetail {
	if s.hosts.scheme == "http" {
		return detailHTTP
	}
	return detailCookies
}

// location is an absolute URL on a served host. The path has been judged by
// returnTo or is the request's own; bytes beyond ASCII are escaped, because a
// header carries none.
func (s *Server) location(host, pathAndQuery string) string {
	if strings.HasPrefix(pathAndQuery, "//") {
		pathAndQuery = "/"
	}
	var b strings.Builder
	b.WriteString(s.hosts.origin(host))
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(pathAndQuery); i++ {
		c := pathAndQuery[i]
		if c <= 0x20 || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
