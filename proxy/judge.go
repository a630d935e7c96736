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
	for _, method := range s.otherMethods(v.r.Header) {
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
// spelling): the request has to meet their rules too, where rules or answers tell methods apart.
// The header itself goes on untouched.
func (s *Server) otherMethods(h http.Header) (methods []string) {
	if !s.cfg.Rules.byMethod && len(s.cfg.Answers.exact) == 0 {
		return nil
	}
	for name, values := range h {
		if !overridesMethod(name) {
			continue
		}
		for _, value := range values {
			methods = append(methods, strings.ToUpper(strings.TrimSpace(value)))
		}
	}
	return methods
}

func overridesMethod(name string) bool {
	if len(name) < len("X-Http-Method") || name[0]|0x20 != 'x' {
		return false
	}
	var letters [len("xhttpmethodoverride")]byte // those of the name, in lower case
	n := 0
	for i := 0; i < len(name); i++ {
		c := name[i] | 0x20
		if c < 'a' || c > 'z' {
			continue // the few other bytes that the bit changes do not become letters
		}
		if n == 1 && c != 'h' && c != 'm' || n == len(letters) {
			return false
		}
		letters[n] = c
		n++
	}
	switch string(letters[:n]) { // compiled without a copy
	case "xhttpmethodoverride", "xhttpmethod", "xmethodoverride":
		return true
	}
	return false
}

// withhold removes what proves a session to us, and nothing else, from what
// the app is to see.
func withhold(h http.Header) {
	session.CutCookies(h)
	if _, ours := session.Bearer(h); ours {
		h.Del("Authorization")
	}
}

// tell says of a request where it came from and by which names logs know it.
// The values lie in the visit, each with room for itself only: an append copies.
func (s *Server) tell(v *visit, h http.Header) {
	v.told = [...]string{v.from, v.r.Host, s.hosts.scheme, v.id, traceParent(h)}
	h["X-Forwarded-For"], h["X-Real-Ip"] = v.told[0:1:1], v.told[0:1:1]
	h["X-Forwarded-Host"] = v.told[1:2:2]
	h["X-Forwarded-Proto"] = v.told[2:3:3]
	h["X-Request-Id"] = v.told[3:4:4]
	h["Traceparent"] = v.told[4:5:5]
}

// identify says who the visitor is, if there is a session, and on routes that
// ask for it with which Yunxin token.
func (s *Server) identify(v *visit, h http.Header, token bool) {
	if v.live == nil {
		return
	}
	v.live.headers.Apply(h)
	if token {
		if s.im.dynamic() {
			if t := s.im.tokenFor(v.live.user); t != "" {
				h[identity.HeaderYunxinToken] = []string{t}
			}
		} else if v.live.imToken != nil {
			h[identity.HeaderYunxinToken] = v.live.imToken
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
