package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"wxgate/session"
)

// callback is where WeChat sends the visitor back to. Checks go from cheap and
// harmless to costly: the state has to be this browser's before the code is
// touched. It ends in a redirect to a clean URL or in a page, so that neither
// code nor state stays in a history, a Referer or a shared link.
func (s *Server) callback(v *visit) {
	if v.r.Method != http.MethodGet {
		v.Header().Set("Allow", http.MethodGet)
		s.fail(v, methodNotAllowed, nil)
		return
	}
	if !s.withinRate(v) {
		return
	}
	query, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil || len(query["code"]) > 1 || len(query["state"]) > 1 || len(query["appid"]) > 1 {
		s.fail(v, badRequest, errors.New("code, state or appid is doubled, or the query is malformed"))
		return
	}
	code, state := query.Get("code"), query.Get("state")
	logins := s.cfg.Sessions.Logins(v.r.Header)
	p, ok := logins.Find(state)
	if !ok || p.Channel == "" || s.homeOf(p) != v.host { // without a channel it is no login of WeChat's
		s.strayed(v, query.Has("again"))
		return
	}
	s.metrics.login(p.Channel, stepReturned)
	if !plausibleCode(code) {
		// Some devices come back without a code; a person who said no may.
		why := invalidCode
		if code == "" && p.Scope != scopeBase {
			why = consentDenied
		}
		s.metrics.login(p.Channel, stepDenied)
		s.retryLogin(v, p, why, errors.New("no usable code came back"))
		return
	}
	if query.Has("appid") && query.Get("appid") != p.AppID {
		// On behalf of an account WeChat names it. A code of another one would
		// be exchanged in vain at best.
		s.retryLogin(v, p, invalidCode, errors.New("the code that came back is another account's"))
		return
	}

	id := v.id
	out, replayed, err := s.redeemer.Redeem(v.r.Context(), p.AppID, code, p.State, func(ctx context.Context, x *session.Redemption) session.Outcome {
		return s.finishLogin(ctx, x, id, p, code)
	})
	switch {
	case errors.Is(err, session.ErrForeignCode):
		s.strayed(v, p.Again)
		return
	case errors.Is(err, session.ErrCodeLost):
		s.retryLogin(v, p, wechatUnavailable, err)
		return
	case err != nil:
		s.metrics.login(p.Channel, stepFailed)
		if !s.goesOn(v, p) {
			s.failPage(v, storeUnavailable, err, pageData{ActionURL: s.retryURL(v, p)})
		}
		return
	}
	s.conclude(v, logins, p, out, replayed)
}

// arrive gives the browser its session and sends it where it wanted to go.
func (s *Server) arrive(v *visit, logins *session.Logins, p session.Pending, token string) {
	s.keepLogin(v, logins, p, token)
	s.land(v, s.target(v, p))
}

func (s *Server) keepLogin(v *visit, logins *session.Logins, p session.Pending, token string) {
	logins.Finish(p.State, s.now())
	s.changeOwner(v, logins, token)
	if err := s.cfg.Sessions.WriteLogins(v.Header(), logins); err != nil {
		v.cause = err // the session stands without it
	}
	s.cfg.Sessions.SetCookie(v.Header(), token)
}

// plausibleCode keeps out what cannot be a code. WeChat documents no form;
// codes seen are 32 letters and digits.
func plausibleCode(code string) bool {
	if code == "" || len(code) > 512 {
		return false
	}
	for i := 0; i < len(code); i++ {
		if code[i] <= 0x20 || code[i] >= 0x7f {
			return false
		}
	}
	return true
}

// land ends a way through WeChat at a clean address. WeChat's authorize link
// ends in #wechat_redirect, and browsers carry a fragment over redirects that
// name none (https://fetch.spec.whatwg.org/#http-redirect-fetch): a hash-routed
// app would start on a foreign route. An empty fragment of our own stops that.
// Other clients carry nothing over and are told the address as it is.
func (s *Server) land(v *visit, location string) {
	if v.r.Header.Get("Sec-Fetch-Mode") != "" && !strings.Contains(location, "#") {
		location += "#"
	}
	s.redirect(v, http.StatusSeeOther, location)
}

// target is the page that a login was begun for.
func (s *Server) target(v *visit, p session.Pending) string {
	host := p.Host
	if host == "" {
		host = v.host
	}
	return s.location(host, p.Next)
}

// retryURL begins the same login anew.
func (s *Server) retryURL(v *visit, p session.Pending) string {
	consent := p.Scope == scopeUserInfo
	return s.loginURL(v.host, loginQuery{next: s.nextOf(p), profile: consent, agreed: consent, bind: p.Bind, via: s.viaOf(v, p)})
}

// nextOf is a pending login's target as a login link says it.
func (s *Server) nextOf(p session.Pending) string {
	if p.Host == "" {
		return p.Next
	}
	return s.location(p.Host, p.Next)
}

// strayed handles a return that is not of this browser's logins: a shared
// link, a lost cookie, an expired attempt, or somebody else's code. The code
// is never used. Who has a session goes on; else the login begins anew, once.
func (s *Server) strayed(v *visit, again bool) {
	l, err := s.session(v)
	switch {
	case err != nil:
		s.fail(v, storeUnavailable, err)
	case l != nil:
		s.land(v, s.location(v.host, "/"))
	case !again || s.overtaken(v):
		s.toLogin(v, loginQuery{next: "/", again: true})
	default:
		d := pageData{ActionURL: s.loginURL(v.host, loginQuery{next: "/"})}
		if len(s.cfg.Sessions.Logins(v.r.Header).Pending) == 0 {
			d.Detail = s.cookieAdvice()
		}
		s.metrics.login(s.accountOn(v.host).channel, stepStateLost)
		s.failPage(v, stateLost, errors.New("the login did not come back with this browser's cookie, again"), d)
	}
}

// maxRestarts bounds how often a browser that keeps its cookies restarts by
// itself: each time takes three redirects of the twenty that browsers follow.
const maxRestarts = 2

// overtaken reports that the browser keeps our cookies and lacks just this
// login: tabs that begin at the same moment overwrite one another's cookie,
// and all but the last of them have to begin anew.
func (s *Server) overtaken(v *visit) bool {
	logins := s.cfg.Sessions.Logins(v.r.Header)
	return len(logins.Pending) > 0 && logins.Restarts() < maxRestarts
}

// retryLogin handles an attempt that failed in a way that a fresh one may
// mend. Who has a session is where they wanted to be; else one more try runs
// by itself, and after it the visitor decides.
func (s *Server) retryLogin(v *visit, p session.Pending, why *problem, cause error) {
	l, err := s.session(v)
	switch {
	case err != nil:
		s.fail(v, storeUnavailable, err)
	case l != nil:
		s.land(v, s.target(v, p))
	case !p.Again && p.Scope == scopeBase:
		v.cause = cause
		s.toLogin(v, loginQuery{next: s.nextOf(p), again: true, bind: p.Bind, via: s.viaOf(v, p)})
	default:
		s.metrics.login(p.Channel, stepFailed)
		s.failPage(v, why, cause, pageData{ActionURL: s.retryURL(v, p)})
	}
}

// The failures of an exchange, as they are kept for a second delivery.
const (
	failedCode     = "invalid_code"
	failedRefused  = "login_refused"
	failedConfig   = "wechat_misconfigured"
	failedWeChat   = "wechat_unavailable"
	failedSnapshot = "snapshot_visitor"
	failedBlocked  = "user_blocked"
	failedStore    = "store_unavailable"
	failedAccount  = "account_unavailable"
)

// problemOf is what clients are told of a failure.
func problemOf(failure string) *problem {
	switch failure {
	case failedCode:
		return invalidCode
	case failedRefused:
		return loginRefused
	case failedConfig:
		return wechatMisconfigured
	case failedWeChat:
		return wechatUnavailable
	case failedSnapshot:
		return snapshotVisitor
	case failedBlocked:
		return userBlocked
	case failedStore:
		return storeUnavailable
	case failedAccount:
		return accountUnavailable
	}
	return internalError
}

func (s *Server) loginFailed(v *visit, p session.Pending, failure string) {
	cause := errors.New("login failed: " + failure)
	switch failure {
	case failedCode:
		s.retryLogin(v, p, invalidCode, cause)
	case failedSnapshot:
		s.snapshot(v, p)
	default:
		if failure != failedBlocked && s.goesOn(v, p) {
			return
		}
		why := problemOf(failure)
		action := s.retryURL(v, p)
		if why == loginRefused || why == userBlocked {
			action = ""
		}
		s.failPage(v, why, cause, pageData{ActionURL: action})
	}
}
