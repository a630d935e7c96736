package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"path"
	"slices"
	"strings"
)

const adminPrefix = "/admin/"

// adminCalls are the operator's calls, by pattern below adminPrefix and method.
type adminCalls map[string]map[string]func(*apiCall) error

// operators puts the operator's API before what else the admin listener has.
// Without a token in the configuration there is no such API.
//
// The token comes first: who has none learns nothing, not even which paths
// there are. It is taken from the Authorization header alone. Browsers send
// that only for scripts that know the token, so no page on the operator's
// machine can act for the operator.
func (s *Server) operators(calls adminCalls, others http.Handler) http.Handler {
	if s.cfg.AdminToken == "" {
		return others
	}
	mux := http.NewServeMux()
	for pattern, methods := range calls {
		mux.Handle(adminPrefix+pattern, s.api(func(c *apiCall) error { return c.dispatch(methods) }))
	}
	refuse := func(p *problem, message string) http.Handler {
		return s.api(func(*apiCall) error { return refused(p, "%s", message) })
	}
	unknown, tokenless := refuse(notFound, notFound.message), refuse(loginRequired, "This needs a bearer token.")
	mux.Handle("/", unknown)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch at := r.URL.EscapedPath(); {
		case r.URL.Path+"/" != adminPrefix && !strings.HasPrefix(r.URL.Path, adminPrefix):
			others.ServeHTTP(w, r)
		case !s.isOperator(r.Header):
			w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750, section 3
			tokenless.ServeHTTP(w, r)
		case path.Clean(at) != at:
			unknown.ServeHTTP(w, r) // the mux would redirect
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// isOperator tells whether a request brings the token. Right or wrong, absent
// or malformed, it takes the same steps: hashes have one length.
func (s *Server) isOperator(h http.Header) bool {
	token := ""
	if values := h["Authorization"]; len(values) == 1 {
		scheme, rest, _ := strings.Cut(values[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimLeft(rest, " ")
		}
	}
	given, wanted := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.cfg.AdminToken))
	return subtle.ConstantTimeCompare(given[:], wanted[:]) == 1
}

// dispatch serves a call by its method. HEAD is a GET whose body nobody sees.
func (c *apiCall) dispatch(methods map[string]func(*apiCall) error) error {
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if serve := methods[method]; serve != nil {
		return serve(c)
	}
	var allowed []string
	for m := range methods {
		allowed = append(allowed, m)
		if m == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	c.Header().Set("Allow", strings.Join(allowed, ", "))
	return refused(methodNotAllowed, "%s", methodNotAllowed.message)
}
