package proxy

import (
	"net/http"
	"strings"
)

// Pages of the listed origins (WXGATE_ALLOWED_ORIGINS) may call with the
// visitor's session. What that takes of us, by the Fetch Standard
// (https://fetch.spec.whatwg.org/#http-cors-protocol):
//
//   - Preflights carry no cookies, so they have no session. Those for the app go
//     to the app, which alone knows what it allows; those for our own endpoints
//     are answered here.
//   - What we answer in the app's place has to name the origin, or the page is
//     told nothing but "network error".
//
// The session cookie is SameSite=Lax: browsers send it along with such calls
// from origins of the same site (sub-domains, other ports). From other sites
// come only calls with a bearer token.

// corsEndpoints are those of ours that other origins may use.
var corsEndpoints = map[string]bool{"me": true, "yunxin": true, "jssdk": true, "logout": true}

// corsMaxAge is how long a browser may keep the answer to a preflight, in
// seconds. It bounds how long an origin is still tried that was taken off the
// list; the calls themselves are judged anew.
const corsMaxAge = "600"

// allowOrigin lets the page that asked read the answer, if it is of a served or
// listed origin. The answer depends on the origin from then on, whichever it is.
func (s *Server) allowOrigin(v *visit) bool {
	h := v.Header()
	h.Set("Vary", "Origin")
	origin := v.r.Header.Get("Origin")
	if origin == "" || !s.originAllowed(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
	return true
}

// ownCORS does for one of our endpoints what other origins need. It reports
// whether the request was a preflight and is answered.
func (s *Server) ownCORS(v *visit, name, method string) (answered bool) {
	if !corsEndpoints[name] || !s.allowOrigin(v) || !isPreflight(v.r) {
		return false
	}
	h := v.Header()
	noStore(h)
	h.Set("Vary", "Origin, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	if names := v.r.Header.Get("Access-Control-Request-Headers"); names != "" {
		// Which headers come along makes no difference to us.
		h.Set("Access-Control-Allow-Headers", names)
	}
	v.WriteHeader(http.StatusNoContent)
	return true
}

// appPreflight reports that a request is a preflight for the app from an origin
// that may ask. It needs no session, whatever the rule for its path, and gets no
// identity: everything is taken off it that says who asks. A browser's has
// nothing of the kind; whoever made another one could say anything.
func (s *Server) appPreflight(v *visit) bool {
	if !isPreflight(v.r) || !s.originAllowed(v.r.Header.Get("Origin")) {
		return false
	}
	v.r.Header.Del("Cookie")
	v.r.Header.Del("Authorization")
	return true
}

// isPreflight tells a CORS preflight from other OPTIONS requests, which some
// apps take for real calls. A browser's has no body and no header that a page
// could have chosen, so none that would have the app read another method. (Front
// proxies that ask about a request name its own.)
func isPreflight(r *http.Request) bool {
	h := r.Header
	if r.Method != http.MethodOptions || h.Get("Origin") == "" || h.Get("Access-Control-Request-Method") == "" ||
		r.ContentLength != 0 || isWebSocket(h) {
		return false
	}
	for name, values := range h {
		if name != "Access-Control-Request-Method" && strings.Contains(strings.ToLower(name), "method") && !(len(values) == 1 && values[0] == r.Method) {
			return false
		}
	}
	return true
}
