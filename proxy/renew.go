package proxy

import (
	"net/url"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

const (
	// renewPart is the last part of a session's life, a tenth, in which a page
	// visit renews it.
	renewPart = 10
	// renewEvery is how long one attempt counts. It has to be shorter than the
	// login cookie lives, which remembers it.
	renewEvery = 5 * time.Minute
	// renewSpare is how much of its login rate an address must have left: the
	// start and the return take one each, and a third is for a neighbour.
	renewSpare = 3
	// renewMaxTarget is the longest address, in bytes, that is sure to survive
	// the login: it has to fit into a cookie.
	renewMaxTarget = 2000
)

// renew leads a page visit through a silent login when its session is about to
// end, so that no player is thrown out in the middle of a game. It reports
// whether it answered.
//
// Whatever fails on the way, the visitor must get in with the session that they
// still have: an attempt is made only where the login can begin, it is not made
// again for some minutes, and a silent login that fails leads on to its target
// where there is a session (retryLogin, loginFailed). The attempt is remembered
// twice. The browser's cookie knows it on every replica; the cached session
// knows it even if the browser loses that cookie, which would otherwise send it
// round in circles.
func (s *Server) renew(v *visit, l *live) bool {
	if l == nil || l.snapshot {
		return false
	}
	now, who := v.start, l.session
	if who.ExpiresAt.Sub(now) >= who.ExpiresAt.Sub(who.CreatedAt)/renewPart || !isPageVisit(v.r) {
		return false
	}
	if (account{who.Channel, who.AppID}) != s.accountOn(v.host) || l.user.Status != identity.StatusActive {
		return false // by another account the visitor might come back as another user
	}
	if browser := wechat.Detect(v.r.UserAgent()); !browser.InWeChat || browser.WeCom {
		return false
	}
	if s.cfg.ConsentLogin && s.hosts.home(v.host) != v.host && !s.sharesCookies(v.host) {
		return false // the login host does not see this session and would ask for consent
	}
	next := v.r.RequestURI
	if _, kept := s.hosts.returnTo(next, v.host); kept != next || len(next) > renewMaxTarget {
		return false
	}
	logins := s.cfg.Sessions.Logins(v.r.Header)
	if logins.Looping(now) || recently(now, logins.Renewed) || !s.limit.spare(v.client, renewSpare) || !s.sessions.renewing(l.key, now) {
		return false
	}
	logins.Renewed = now.Unix()
	if err := s.cfg.Sessions.WriteLogins(v.Header(), logins); err != nil {
		return false
	}
	s.leadToLogin(v, loginQuery{next: next, renew: true})
	return true
}

// renewal reports that a login renews a session: it stays silent also where
// other logins ask for consent.
func (s *Server) renewal(v *visit, query url.Values) bool {
	if query.Get("renew") != "1" {
		return false
	}
	l, err := s.session(v)
	return err == nil && l != nil
}

// goesOn sends the visitor on whose silent login failed but who has a session
// all the same. It reports whether it answered.
func (s *Server) goesOn(v *visit, p session.Pending) bool {
	if p.Scope != scopeBase {
		return false // they were asked something, and are owed an answer
	}
	l, err := s.session(v)
	if err != nil || l == nil {
		return false
	}
	s.land(v, s.target(v, p))
	return true
}

// renewing notes an attempt to renew a session, unless there was one lately.
func (c *sessions) renewing(key string, now time.Time) bool {
	e := c.entries.byKey(key)
	if e == nil {
		return false // the cache is full; better no renewal than one without end
	}
	last := e.renewed.Load()
	return !recently(now, last) && e.renewed.CompareAndSwap(last, now.Unix())
}

func recently(now time.Time, attempt int64) bool {
	return attempt != 0 && now.Sub(time.Unix(attempt, 0)).Abs() < renewEvery
}
