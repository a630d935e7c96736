package proxy

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"wxgate/identity"
)

// Forward authentication: a front proxy keeps a request and asks, with the
// request's own headers, whether it may go to the app. nginx (auth_request) and
// ingress-nginx name the request in X-Original-URL and X-Original-Method,
// Traefik (ForwardAuth) and Caddy (forward_auth) in X-Forwarded-Uri, -Method
// and -Host.
//
// The answer carries the caller's assertion and is meant for the front proxy's
// eyes only. Whoever is not one finds nothing at this address.

const authPath = prefix + "auth"

// question is the request that a front proxy asks about.
type question struct {
	method string
	host   string // as the client wrote it
	target string // raw path and query
	err    error  // why it cannot be answered
}

// question reads a front proxy's question, or returns nil where a request is
// none. It has to be called before the headers are stripped.
func (s *Server) question(r *http.Request) *question {
	if !s.cfg.ForwardAuth {
		return nil
	}
	if path, _, _ := strings.Cut(r.RequestURI, "?"); path != authPath {
		return nil
	}
	if !within(s.cfg.TrustedProxies, peerAddress(r)) {
		return nil
	}
	q := askedAbout(r)
	return &q
}

// peerAddress is the other end of the connection, whatever the headers say.
func peerAddress(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// askedAbout finds the original request in the headers.
//
// A front proxy writes one family of headers and passes the client's own along
// with them, so the other family may be the client's invention. Only where
// both name the very same request is that no lie: a client can bring about a
// refusal, never a verdict on another request than the one that it made. For
// the same reason nothing is guessed where one header of a family is missing.
func askedAbout(r *http.Request) question {
	var found []question
	h := r.Header
	if h["X-Original-Url"] != nil || h["X-Original-Method"] != nil {
		q := question{method: only(h["X-Original-Method"])}
		q.host, q.target = splitURL(only(h["X-Original-Url"]), r.Host)
		found = append(found, q)
	}
	if h["X-Forwarded-Uri"] != nil || h["X-Forwarded-Method"] != nil {
		q := question{method: only(h["X-Forwarded-Method"]), host: r.Host, target: only(h["X-Forwarded-Uri"])}
		if h["X-Forwarded-Host"] != nil {
			q.host = only(h["X-Forwarded-Host"])
		}
		found = append(found, q)
	}
	switch {
	case len(found) == 0:
		return question{err: errors.New("the front proxy does not say which request it asks about")}
	case len(found) == 2 && found[0] != found[1]:
		return question{err: errors.New("X-Original-* and X-Forwarded-* name different requests; the front proxy should overwrite both")}
	}
	q := found[0]
	if q.method == "" || !wellFormed(q.target) {
		q.err = errors.New("the front proxy names the request's method or address badly, or not at all")
	}
	return q
}

// only is the value of a header that is there once.
func only(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return ""
}

// splitURL takes a URL, or a path on the given host, apart. The authority ends
// at the first slash and nowhere else: proxies build the URL from the client's
// Host header, and one like "play.example.com?" must not turn the path into a
// query.
func splitURL(text, host string) (string, string) {
	if strings.HasPrefix(text, "/") {
		return host, text
	}
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(text, "http://")
	}
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 0 {
		return "", ""
	}
	return rest[:slash], rest[slash:]
}

// wellFormed reports that the HTTP server would have let a request with this
// target in.
func wellFormed(target string) bool {
	for i := 0; i < len(target); i++ {
		if target[i] <= ' ' || target[i] == 0x7f {
			return false
		}
	}
	_, err := url.ParseRequestURI(target)
	return err == nil && target[0] == '/'
}

// auth answers a question: 202 with the identity for the app, 401 or 403 with
// the address of the login where one would help, 503 when the store is down.
// Front proxies take every other status for a failure of ours (nginx makes 500
// of it), so all other refusals are 403 too.
func (s *Server) auth(v *visit, q *question) {
	asked := v.r.Method
	if asked != http.MethodGet && asked != http.MethodHead {
		v.Header().Set("Allow", http.MethodGet)
		s.fail(v, methodNotAllowed, nil)
		return
	}
	original := *v.r
	original.Method, original.Host, original.RequestURI = q.method, q.host, q.target
	if original.Header["Sec-Websocket-Key"] != nil {
		// Upgrade belongs to one connection and does not travel with the
		// question; this header does, and no handshake goes without it
		// (RFC 6455, section 4.1).
		original.Header["Upgrade"] = []string{"websocket"}
	}
	v.r = &original

	var d demand
	p, err := badRequest, q.err
	if err == nil {
		p, err = s.locate(v)
	}
	if p == nil {
		d, p, err = s.judge(v)
	}
	if p != nil {
		s.forbid(v, p, err, asked)
		return
	}
	v.outcome = outcomeAnonymous
	if v.live != nil {
		v.outcome = outcomeForwarded
	}
	h := v.Header()
	noStore(h)
	h.Set("X-Request-Id", v.id)
	s.identify(v, h, d.token)
	// What the app may see of these two; a front proxy copies them like the
	// identity, and the session stays between the browser and us.
	withhold(v.r.Header)
	if lines := v.r.Header["Cookie"]; len(lines) > 0 {
		h.Set("Cookie", strings.Join(lines, "; "))
	}
	if values := v.r.Header["Authorization"]; len(values) > 0 {
		h["Authorization"] = values
	}
	v.WriteHeader(http.StatusAccepted)
}

// forbid answers that a request may not go to the app. Refresh is there for
// page visits only: it makes a browser that is shown this answer go to login,
// and tells a front proxy that can redirect by itself when to do so.
func (s *Server) forbid(v *visit, p *problem, cause error, asked string) {
	action := s.nextStep(v, p)
	if p == loginRequired || p == profileRequired {
		if q, ok := wayIn(v, p); ok {
			action = s.loginURL(v.host, q)
			v.Header().Set("Refresh", "0;url="+action)
		}
		v.Header().Set(identity.HeaderLoginURL, action)
	}
	switch p.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable:
	default:
		refusal := *p
		refusal.status = http.StatusForbidden
		p = &refusal
	}
	// Whether the answer has a body depends on the method of the question.
	method := v.r.Method
	v.r.Method = asked
	s.failPage(v, p, cause, pageData{ActionURL: action})
	v.r.Method = method
}
