package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/component"
)

// problem is one way for a request to end without the app: what scripts and
// people are told. The table below is the only place where a failure gets its
// status and its words; the cause goes to the log alone.
type problem struct {
	status  int
	code    string // the word in the JSON error
	message string // the sentence beside it
	page    pageID
	outcome string
	retry   int // seconds, for Retry-After
}

var (
	loginRequired       = &problem{401, "login_required", "Log in with WeChat first.", pageLoginRequired, outcomeUnauthorized, 0}
	profileRequired     = &problem{403, "profile_required", "This needs the user's WeChat name and avatar.", pageProfileRequired, outcomeUnauthorized, 0}
	userBlocked         = &problem{403, "user_blocked", "This user is blocked.", pageUserBlocked, outcomeUnauthorized, 0}
	snapshotVisitor     = &problem{403, "snapshot_visitor", "This visitor has not opened the full page in WeChat yet.", pageSnapshotVisitor, outcomeUnauthorized, 0}
	loginRefused        = &problem{403, "login_refused", "WeChat does not let this person log in.", pageLoginRefused, outcomeUnauthorized, 0}
	foreignOrigin       = &problem{403, "bad_request", "Requests from this origin are not accepted.", pageBadRequest, outcomeError, 0}
	badRequest          = &problem{400, "bad_request", "The request is malformed.", pageBadRequest, outcomeError, 0}
	invalidCode         = &problem{400, "invalid_code", "WeChat does not accept this login code any more.", pageInvalidCode, outcomeError, 0}
	consentDenied       = &problem{400, "invalid_code", "The person did not agree.", pageDenied, outcomeError, 0}
	stateLost           = &problem{400, "invalid_code", "The browser did not keep the login that it began.", pageStateLost, outcomeError, 0}
	loopStopped         = &problem{400, "bad_request", "The browser does not keep its session.", pageLoopStopped, outcomeError, 0}
	openInWeChat        = &problem{200, "login_required", "Open this address in WeChat.", pageOpenInWeChat, outcomeOwn, 0}
	notFound            = &problem{404, "not_found", "There is nothing here.", pageNotFound, outcomeOwn, 0}
	methodNotAllowed    = &problem{405, "method_not_allowed", "This method is not allowed here.", pageMethodNotAllowed, outcomeError, 0}
	wrongHost           = &problem{421, "wrong_host", "This host is not served here.", pageWrongHost, outcomeError, 0}
	rateLimited         = &problem{429, "rate_limited", "Too many logins from this address; try again soon.", pageRateLimited, outcomeError, 1}
	upstreamDown        = &problem{502, "upstream_unavailable", "The application does not answer.", pageUpstreamUnavailable, outcomeError, 0}
	upstreamSlow        = &problem{504, "upstream_timeout", "The application took too long to answer.", pageUpstreamTimeout, outcomeError, 0}
	wechatUnavailable   = &problem{503, "wechat_unavailable", "WeChat does not answer; try again soon.", pageWeChatUnavailable, outcomeError, 5}
	wechatMisconfigured = &problem{503, "wechat_unavailable", "WeChat refuses this service's login; its operator has to act.", pageWeChatMisconfigured, outcomeError, 60}
	accountUnavailable  = &problem{503, "upstream_unavailable", "The chat account could not be prepared; try again soon.", pageUpstreamUnavailable, outcomeError, 5}
	storeUnavailable    = &problem{503, "store_unavailable", "Sessions cannot be read at the moment; try again soon.", pageStoreUnavailable, outcomeError, 5}
	internalError       = &problem{500, "internal", "Something went wrong on our side.", pageInternal, outcomeError, 0}
)

// ofWeChat translates a failed call to WeChat's login.
func ofWeChat(err error) *problem {
	var api *wechat.APIError
	switch {
	case errors.Is(err, errNoSuchApp):
		return invalidCode
	case errors.Is(err, component.ErrNotAuthorized), errors.Is(err, component.ErrNoGrant):
		return wechatMisconfigured
	}
	if !errors.As(err, &api) {
		return wechatUnavailable
	}
	switch api.Kind() {
	case wechat.KindCode:
		return invalidCode
	case wechat.KindUser:
		return loginRefused
	case wechat.KindConfig:
		return wechatMisconfigured
	}
	return wechatUnavailable
}

// fail answers with a problem: a page for people, JSON for scripts.
func (s *Server) fail(v *visit, p *problem, cause error) {
	s.failPage(v, p, cause, pageData{ActionURL: s.nextStep(v, p)})
}

// nextStep is the one thing that the page of a problem offers to do.
func (s *Server) nextStep(v *visit, p *problem) string {
	switch p {
	case wrongHost:
		return s.hosts.origin(s.hosts.public) + "/"
	case loginRequired:
		return s.loginURL(v.host, loginQuery{next: s.refererPath(v)})
	case profileRequired:
		return s.loginURL(v.host, loginQuery{next: s.refererPath(v), profile: true})
	case userBlocked, loginRefused, snapshotVisitor, badRequest, foreignOrigin:
		return ""
	}
	if isPageVisit(v.r) && !reserved(v.path) && v.path != "" && p != notFound {
		return s.location(v.host, v.r.RequestURI) // try the same page again
	}
	return "/"
}

// refererPath is the page that a script call came from, as the place to come
// back to: the address of the call itself is no page.
func (s *Server) refererPath(v *visit) string {
	if u, err := url.Parse(v.r.Referer()); err == nil && u.Scheme == s.hosts.scheme && s.hosts.find(u.Host) == v.host && u.Path != "" {
		_, next := s.hosts.returnTo(u.RequestURI(), v.host)
		return next
	}
	return "/"
}

func (s *Server) failPage(v *visit, p *problem, cause error, d pageData) {
	v.cause = cause
	v.outcome = p.outcome
	if errors.Is(cause, context.Canceled) && v.r.Context().Err() != nil {
		v.gone = true // or has closed its half, and may still read
	}
	h := v.Header()
	retry := max(p.retry, d.RetryAfter)
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(retry))
	}
	if isNavigation(v.r) {
		d.RetryAfter = retry
		s.page(v, p.status, p.page, d)
		return
	}
	h.Set("X-Request-Id", v.id)
	body := struct {
		Error     string `json:"error"`
		Message   string `json:"message"`
		LoginURL  string `json:"login_url,omitempty"`
		RequestID string `json:"request_id"`
	}{Error: p.code, Message: p.message, RequestID: v.id}
	if p == loginRequired || p == profileRequired || p == openInWeChat {
		body.LoginURL = s.loginURL(v.host, loginQuery{next: s.refererPath(v), profile: p == profileRequired})
		// The app's answers cannot have it: it tells wxgate.js who refused.
		h.Set(identity.HeaderLoginURL, body.LoginURL)
	}
	s.allowOrigin(v)
	s.writeJSON(v, p.status, body)
}

// page shows a person a page of ours, which is never kept and says by which id
// the log knows it.
func (s *Server) page(v *visit, status int, id pageID, d pageData) {
	noStore(v.Header())
	v.Header().Set("X-Request-Id", v.id)
	d.Host, d.RequestID = v.host, v.id
	writePage(v, v.r, status, id, d)
}

// statusClientGone is what the log says of a request whose client left before
// the answer, whatever was tried to tell it.
const statusClientGone = 499

func (s *Server) writeJSON(v *visit, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		v.cause = err
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	h := v.Header()
	noStore(h)
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	v.write(status, append(text, '\n'))
}
