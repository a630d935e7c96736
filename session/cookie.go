package session

import (
	"net/http"
	"strings"
	"time"
)

// maxCookieValue bounds a cookie's value in bytes. Browsers keep at least 4096
// bytes of name, value and attributes together (RFC 6265, section 6.1).
const maxCookieValue = 3800

// maxOwnCookies is how many cookies of one of our names a request may carry
// before it is read as having none.
const maxOwnCookies = 8

// cookieNames are every spelling that our cookies ever have. All of them are
// cut from what the app sees, whichever of them is in use.
var cookieNames = [...]string{
	"__Host-wxgate", "__Host-wxgate-login",
	"__Secure-wxgate", "__Secure-wxgate-login",
	"wxgate", "wxgate-login",
}

// jar knows the names and attributes of the two cookies.
type jar struct {
	session, login string
	domain         string
	secure         bool
}

// newJar picks the prefix. __Host- makes the browser itself refuse the cookie
// from any other host, path or plain http; it forbids Domain, so a shared
// domain falls back to __Secure-; on plain http neither prefix is accepted.
func newJar(secure bool, domain string) jar {
	prefix := ""
	switch {
	case secure && domain == "":
		prefix = "__Host-"
	case secure:
		prefix = "__Secure-"
	}
	return jar{session: prefix + "wxgate", login: prefix + "wxgate-login", domain: domain, secure: secure}
}

// set writes one cookie; maxAge <= 0 removes it.
func (j jar) set(h http.Header, name, value string, maxAge time.Duration) {
	seconds := int(maxAge / time.Second)
	if seconds <= 0 {
		seconds, value = -1, ""
	}
	c := http.Cookie{
		Name: name, Value: value, Path: "/", Domain: j.domain, MaxAge: seconds,
		HttpOnly: true, Secure: j.secure,
		// Lax and not Strict: the return from WeChat is a navigation from
		// another site and has to bring the cookie along.
		SameSite: http.SameSiteLaxMode,
	}
	h.Add("Set-Cookie", c.String())
}

// cookieValues finds the values of one cookie name in the raw header. The
// standard parser gives up on the whole header beyond a number of cookies,
// which would turn a padded header into "nobody is logged in" while the header
// itself still travelled on.
func cookieValues(h http.Header, name string) []string {
	var values []string
	for _, line := range h["Cookie"] {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			n, value, ok := strings.Cut(part, "=")
			if ok && strings.TrimSpace(n) == name {
				if len(values) == maxOwnCookies {
					return nil
				}
				values = append(values, strings.TrimSpace(value))
			}
		}
	}
	return values
}

// CutCookies removes our cookies, in every spelling, from a request that goes
// to the app. All other bytes of the header stay as they are.
func CutCookies(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0:0]
	changed := false
	for _, line := range lines {
		rest, cut := cutLine(line)
		changed = changed || cut
		if rest != "" || !cut {
			kept = append(kept, rest)
		}
	}
	if !changed {
		return
	}
	if len(kept) == 0 {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = kept
}

// cutLine removes our cookies from one header line.
func cutLine(line string) (rest string, cut bool) {
	if !strings.Contains(line, "wxgate") {
		return line, false
	}
	var b strings.Builder
	for remaining, more := line, true; more; {
		var part string
		part, remaining, more = strings.Cut(remaining, ";")
		name, _, _ := strings.Cut(part, "=")
		if own(strings.TrimSpace(name)) {
			cut = true
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		} else if cut {
			part = strings.TrimLeft(part, " \t") // the cut cookie was the first
		}
		b.WriteString(part)
	}
	if !cut {
		return line, false
	}
	return strings.TrimSpace(b.String()), true
}

func own(name string) bool {
	for _, n := range cookieNames {
		if n == name {
			return true
		}
	}
	return false
}

// DropSetCookies removes answers' attempts to set a cookie of ours: the app,
// or whoever makes the app echo a header, must not be able to log anyone in or
// out.
func DropSetCookies(h http.Header) {
	lines := h["Set-Cookie"]
	for i, line := range lines {
		if !setsOwn(line) {
			continue
		}
		kept := append([]string(nil), lines[:i]...)
		for _, l := range lines[i+1:] {
			if !setsOwn(l) {
				kept = append(kept, l)
			}
		}
		if len(kept) == 0 {
			h.Del("Set-Cookie")
		} else {
			h["Set-Cookie"] = kept
		}
		return
	}
}

func setsOwn(line string) bool {
	pair, _, _ := strings.Cut(line, ";")
	name, value, _ := strings.Cut(pair, "=")
	if strings.TrimSpace(name) == "" {
		// A cookie without a name comes back as its bare value, and "=a=b"
		// then reads like the cookie a.
		name, _, _ = strings.Cut(value, "=")
	}
	return own(strings.TrimSpace(name))
}
