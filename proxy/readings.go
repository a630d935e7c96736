package proxy

import (
	"path"
	"strings"
)

// plain reports that a path has one reading only: lower-case letters, digits
// and a few harmless signs, no empty segment and none that begins with a dot.
// Nearly every request takes this exit.
func plain(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '~', c == ',', c == '@', c == ':', c == '+', c == '=', c == '!', c == '*', c == '$', c == '&':
		case c == '.' || c == '/':
			if p[i-1] == '/' {
				// "//", "/./", "/../"; a hidden file like /.env is
				// sorted out by the slow path.
				return false
			}
		default:
			return false
		}
	}
	return true
}

// readings returns what an app may take the path for, in lower case, and
// whether the path is odd: not in its cleaned form, or with an encoded
// separator, dot, percent sign or control byte, so that no rule may call it
// public.
func readings(raw string) (all []string, odd bool) {
	seen := map[string]bool{}
	add := func(p string) {
		if p = strings.ToLower(p); !seen[p] {
			seen[p] = true
			all = append(all, p)
		}
	}
	once := unescape(raw)
	odd = oddBytes(raw, once)
	for _, p := range []string{raw, once, unescape(once)} {
		for _, q := range []string{p, cutAt(p), strings.ReplaceAll(p, `\`, "/"), strings.ReplaceAll(cutAt(p), `\`, "/")} {
			for _, r := range []string{q, withoutParams(q)} {
				add(r)
				add(clean(r))
				add(merged(r))
			}
		}
	}
	return all, odd
}

func oddBytes(raw, once string) bool {
	if clean(once) != once || strings.ContainsAny(raw, `\#`) {
		return true
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] < 0x21 || raw[i] == 0x7f {
			return true
		}
		if raw[i] != '%' {
			continue
		}
		c, ok := hexPair(raw[i:])
		if !ok || c < 0x20 || c == 0x7f || strings.IndexByte(`/\.%;?#`, c) >= 0 {
			return true
		}
	}
	return false
}

// unescape decodes once and leaves what is not a valid escape as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if c, ok := hexPair(s[i:]); ok {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexPair(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, ok1 := unhex(s[1])
	lo, ok2 := unhex(s[2])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// clean resolves dot segments and merges slashes, keeping a final slash.
func clean(p string) string {
	c := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}

// merged only merges slashes: an app may do that and keep dot segments.
func merged(p string) string {
	if !strings.Contains(p, "//") {
		return p
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); i++ {
		if p[i] != '/' || i == 0 || p[i-1] != '/' {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}

// cutAt ends the path where a careless parser would.
func cutAt(p string) string {
	if i := strings.IndexAny(p, "?#\x00"); i >= 0 {
		return p[:i]
	}
	return p
}

// withoutParams drops `;x` of every segment, as servlet containers do.
func withoutParams(p string) string {
	if strings.IndexByte(p, ';') < 0 {
		return p
	}
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}
