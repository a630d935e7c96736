package proxy

import (
	"errors"
	"net/http"
	"strings"

	"wxgate/identity"
	"wxgate/session"
)

// The steps of a request that lie between its arrival and the app. They are
// the same whether the gateway forwards the request itself or only answers a
// front proxy's question about it, so that both ways can never disagree.

// maxPath bounds a path in bytes: all its readings are looked at.
const maxPath = 8 << 10

// locate finds out what a request asks for: a served host and a raw path.
func (s *Server) locate(v *visit) (*problem, error) {
	if v.host = s.hosts.find(v.r.Host); v.host == "" {
		return wrongHost, nil
	}
	if !methods[v.r.Method] {
		return methodNotAllowed, nil
	}
	if !strings.HasPrefix(v.r.RequestURI, "/") {
		return badRequest, errors.New("request target is not a path")
	}
	v.path, _, _ = strings.Cut(v.r.RequestURI, "?")
	if len(v.path) > maxPath {
		return badRequest, errors.New("the path is too long")
	}
	return nil, nil
}

// judge decides whether a located request may go to the app, and finds its
// session on the way. The error is the cause of the problem, where it has one.
func (s *Server) judge(v *visit) (demand, *problem, error) {
	d := s.cfg.Rules.Match(v.r.Method, v.path)
	for _, method := range otherMethods(v.r.Header) {
		d = d.and(s.cfg.Rules.Match(method, v.path))
		if answered, _ := s.cfg.Answers.find(method, v.path); answered != nil {
			return d, notFound, nil
		}
	}
	// What the gateway answers is not for the app, in no spelling; a front
	// proxy, which cannot be given the answer, is told so too.
	answered, near := s.cfg.Answers.find(v.r.Method, v.path)
	if d.reserved || d.level == levelDeny || answered != nil || near {
		return d, notFound, nil
	}
	if s.appPreflight(v) {
		return demand{level: levelPublic}, nil, nil
	}
	l, err := s.session(v)
	if err != nil && d.level != levelPublic {
		return d, storeUnavailable, err
	}
	if l != nil && d.level == levelPublic && l.user.Status == identity.StatusBlocked {
		l, v.live = nil, nil // anybody may see this, but nobody is to act as a blocked user
	}
	return d, s.admit(v, l, d), nil
}

// otherMethods are those that an app with a method override would read the
// request as (X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override, in any
// spelling): the request has to meet their rules too. The header itself goes
// on untouched.
func otherMethods(h http.Header) (methods []string) {
	for name, values := range h {
		if len(name) < len("X-Http-Method") || name[0]|0x20 != 'x' || !overridesMethod(name) {
			continue
		}
		for _, value := range values {
			methods = append(methods, strings.ToUpper(strings.TrimSpace(value)))
		}
	}
	return methods
}

func overridesMethod(name string) bool {
	letters := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r |= 0x20
		}
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, name)
	return letters == "xhttpmethodoverride" || letters == "xhttpmethod" || letters == "xmethodoverride"
}

// withhold removes what proves a session to us, and nothing else, from what
// the app is to see.
func withhold(h http.Header) {
	session.CutCookies(h)
	if _, ours := session.Bearer(h); ours {
		h.Del("Authorization")
	}
}

// identify says who the visitor is, if there is a session, and on routes that
// ask for it with which Yunxin token.
func (s *Server) identify(v *visit, h http.Header, token bool) {
	if v.live == nil {
		return
	}
	v.live.headers.Apply(h)
	if token {
		if t := s.im.tokenFor(v.live.user); t != "" {
			h[identity.HeaderYunxinToken] = []string{t}
		}
	}
}

// wayIn is the login that a page visit is led to when it was refused for p, if
// a login would help.
func wayIn(v *visit, p *problem) (q loginQuery, ok bool) {
	if !isPageVisit(v.r) {
		return loginQuery{}, false
	}
	switch p {
	case loginRequired:
		return loginQuery{next: v.r.RequestURI}, true
	case profileRequired:
		return loginQuery{next: v.r.RequestURI, profile: true, needed: true}, true
	}
	return loginQuery{}, false
}
