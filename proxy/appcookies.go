package proxy

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// AppCookie is a cookie of the app that says who somebody is, by name and
// path. Where it outlives its user, the next one on the same phone is taken for
// the former.
type AppCookie struct{ Name, Path string }

// clearAppCookies makes the browser forget the app's cookies. A cookie is
// replaced only by one of the same name, path and domain (RFC 6265, section
// 5.3), and a request does not tell where its cookies came from, so every form
// that the app may have used on this host is expired: for the host alone, for
// the host and what lies below it, and for the shared domain; with and without
// a slash at the path's end, because "/h5" is what browsers take for a cookie
// that a page in /h5/ sets without a path.
func (s *Server) clearAppCookies(v *visit) {
	domains := []string{""}
	for _, domain := range []string{hostname(v.host), s.cfg.CookieDomain} {
		if strings.Contains(domain, ".") && net.ParseIP(domain) == nil && !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	for _, c := range s.cfg.ClearCookies {
		paths := []string{c.Path}
		if bare := strings.TrimSuffix(c.Path, "/"); bare != "" {
			paths = []string{bare, bare + "/"}
		}
		for _, domain := range domains {
			for _, path := range paths {
				expired := http.Cookie{Name: c.Name, Path: path, Domain: domain, MaxAge: -1, Secure: s.hosts.scheme == "https"}
				v.Header().Add("Set-Cookie", expired.String())
			}
		}
	}
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
