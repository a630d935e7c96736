package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"wxgate/identity"
	"wxgate/session"
)

// errProfileWanted says that the app asked for the visitor's profile instead
// of answering.
var errProfileWanted = errors.New("the app wants a profile")

// answer corrects the few things of an app's answer that cannot stay, and
// changes nothing else.
func (s *Server) answer(v *visit, res *http.Response) error {
	h := res.Header
	if v.live != nil && !v.live.snapshot && v.live.user.Profile == nil && first(h[identity.HeaderRequire]) == "profile" {
		return errProfileWanted
	}
	identity.StripAnswer(h)
	session.DropSetCookies(h)
	if h["Access-Control-Allow-Credentials"] != nil && !(s.originAllowed(v.r.Header.Get("Origin")) && s.mayHaveCredentials(h.Get("Access-Control-Allow-Origin"))) {
		h.Del("Access-Control-Allow-Credentials")
	}
	if loc := first(h["Location"]); loc != "" {
		if fixed := s.correctLocation(v, loc); fixed != loc {
			h.Set("Location", fixed)
		}
	}
	if v.live != nil && h["Cache-Control"] == nil && h["Expires"] == nil && h["Pragma"] == nil && isPageVisit(v.r) {
		// By its heuristics a browser would show such a page for days after
		// the session's end, and every call of it would fail.
		h.Set("Cache-Control", "private, no-cache")
	}
	if res.StatusCode != http.StatusSwitchingProtocols && res.ContentLength < 0 {
		identity.StripAnswer(res.Trailer)
		session.DropSetCookies(res.Trailer)
		body := &outgoing{ReadCloser: res.Body, res: res}
		key := ""
		if v.live != nil {
			key = v.live.key
		}
		events := strings.HasPrefix(first(h["Content-Type"]), "text/event-stream")
		body.leave = s.streams.join(key, &streamed{res.Body, events})
		res.Body = body
	}
	s.inject(v, res)
	return nil
}

// mayHaveCredentials judges the origin that an answer names: it may be kept
// and used for another request than the one that asked.
func (s *Server) mayHaveCredentials(allowed string) bool {
	return allowed == "*" || s.originAllowed(allowed) // browsers refuse "*" with credentials
}

// correctLocation mends redirects of apps that know only their own address or
// take the public scheme for http.
func (s *Server) correctLocation(v *visit, loc string) string {
	scheme, rest, ok := strings.Cut(loc, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return loc
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := strings.TrimSuffix(rest[:end], defaultPorts[strings.ToLower(scheme)]), rest[end:]
	if strings.EqualFold(authority, strings.TrimSuffix(v.target.host, defaultPorts[v.target.scheme])) && s.hosts.find(authority) == "" {
		return s.hosts.origin(v.host) + path
	}
	if host := s.hosts.find(authority); host != "" && !strings.EqualFold(scheme, s.hosts.scheme) {
		return s.hosts.origin(host) + path
	}
	return loc
}

// outgoing is an answer of unknown length: it may be a stream without end, so
// it is known to its session, and it may have trailers, which are looked at
// when they are there. An answer of known length has none on the way to the
// client, whatever the app's HTTP/2 has sent: HTTP/1.1 has no place for them.
type outgoing struct {
	io.ReadCloser
	res   *http.Response
	leave func()
}

// Ready reports that a Read would not have to wait for the app.
func (b *outgoing) Ready() bool { return ready(b.ReadCloser) }

func (b *outgoing) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		identity.StripAnswer(b.res.Trailer)
		session.DropSetCookies(b.res.Trailer)
	}
	return n, err
}

func (b *outgoing) Close() error {
	b.leave()
	return b.ReadCloser.Close()
}
