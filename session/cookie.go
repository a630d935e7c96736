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
//
// It is small enough to be inlined: then the values need no memory of their own.
func cookieValues(h http.Header, name string) []string {
	var few [maxOwnCookies]string
	return appendCookieValues(few[:0], h["Cookie"], name)
}

func appendCookieValues(values, lines []string, name string) []string {
	for _, line := range lines {
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
	if len(values) == 0 {
		return nil
	}
	return values
}

// CutCookies removes our cookies, in every spelling, from a request that goes
// to the app. All other bytes of the header stay as they are, and so do the
// lines themselves, which another map may share.
func CutCookies(h http.Header) {
	lines := h["Cookie"]
	for i, line := range lines {
		rest, cut := cutLine(line)
		if !cut {
			continue
		}
		kept := append([]string(nil), lines[:i]...)
		if rest != "" {
			kept = append(kept, rest)
		}
		for _, line := range lines[i+1:] {
			if rest, cut := cutLine(line); rest != "" || !cut {
				kept = append(kept, rest)
			}
		}
		if len(kept) == 0 {
			delete(h, "Cookie")
		} else {
			h["Cookie"] = kept
		}
		return
	}
}

// cutLine removes our cookies from one header line. What it keeps takes memory
// of its own only where ours stand between others; where they stand at an end,
// as they mostly do, it is a piece of the line.
func cutLine(line string) (rest string, cut bool) {
	if !strings.Contains(line, "wxgate") {
		return line, false
	}
	var joined strings.Builder
	kept := 0 // the line is dealt with up to here
	keep := func(piece string) {
		switch {
		case rest == "" && cut:
			rest = strings.TrimLeft(piece, " \t;")
		case rest == "":
			rest = strings.TrimLeft(piece, ";")
		default:
			if joined.Len() == 0 {
				joined.Grow(len(rest) + 1 + len(line) - kept)
				joined.WriteString(rest)
			}
			joined.WriteByte(';')
			joined.WriteString(piece)
		}
	}
	for start := 0; start <= len(line); {
		end := len(line)
		if i := strings.IndexByte(line[start:], ';'); i >= 0 {
			end = start + i
		}
		name, _, _ := strings.Cut(line[start:end], "=")
		if own(strings.TrimSpace(name)) {
			if kept < start {
				keep(line[kept : start-1])
			}
			kept, cut = end+1, true
		}
		start = end + 1
	}
	if !cut {
		return line, false
	}
	if kept <= len(line) {
		keep(line[kept:])
	}
	if joined.Len() > 0 {
		rest = joined.String()
	}
	return strings.TrimSpace(rest), true
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
