package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// fuzzRules are kinds of rules that differ in what surrounds them.
var fuzzRules = []string{
	"public /",
	"public /pub/; user /pub/in/; deny /host/",
	"public /; user /user/; profile /shop/; deny /host/; deny /Host2/",
	"public /assets/; public /index.html; public /.well-known/; deny /assets/private",
	"public GET /api/; user /api/me; deny POST /api/",
	"public /App/; user /app/in/; deny /x",
}

// transforms are what apps and servers in front of them are known to do to a
// path before they look at it.
var transforms = map[string]func(string) string{
	"clean":         clean,
	"decode once":   unescape,
	"decode twice":  func(p string) string { return unescape(unescape(p)) },
	"strip ;x":      withoutParams,
	"\\ to /":       func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	"merge slashes": merged,
	"lower case":    strings.ToLower,
	"cut":           cutAt,
	"trim slash":    trimSlash,
	"decode, clean": func(p string) string { return clean(unescape(p)) },
	"decode, strip ;x, clean": func(p string) string {
		return clean(withoutParams(unescape(p)))
	},
	"strip ;x, decode, clean": func(p string) string { return clean(unescape(withoutParams(p))) },
	"cut, \\ to /, clean": func(p string) string {
		return clean(strings.ReplaceAll(cutAt(unescape(p)), `\`, "/"))
	},
}

// trimSlash is what many frameworks do before they look for a handler. The root
// of a subtree that a rule names with its slash stays what the rule says.
func trimSlash(p string) string {
	for _, text := range fuzzRules {
		if strings.Contains(strings.ToLower(text)+";", " "+strings.ToLower(p)+";") {
			return p
		}
	}
	return strings.TrimSuffix(p, "/")
}

// FuzzDecision: what is public in the gateway's reading is public in every
// other; what some reading denies is denied; nothing reads as our own prefix.
func FuzzDecision(f *testing.F) {
	for _, p := range []string{
		"/", "/pub/x", "/pub/../host/x", "/pub/%2e%2e/host/x", "/pub/..%2fhost/x", "/pub/%2e%2e%2fhost/x", "/pub//x", "//pub/x", "/pub/..;/host/x", "/pub/;/x",
		"/pub/%252e%252e/host/x", `/pub/..\host/x`, "/pub/%5c../host", "/PUB/in/x", "/pub/x#/../host", "/pub/x%23", "/pub/x%3f/../", "/pub/x%00", "/host%2fx", "/Host2/x", "/host2/x",
		"/.wxgate/me", "/%2ewxgate/me", "/.WXGATE/me", "//.wxgate/me", "/.wxgate;x/me", `/.wxgate\me`, "/pub/../.wxgate/", "/.wxgate%2fme", "/.wxgate", "/.env", "/.well-known/x", "/.well-known/../x", "/assets/private;a", "/assets/privat%65",
		"/app/x", "/App/x", "/App/in/x", "/app/in/x", "/pub/%c0%ae%c0%ae/host", "/a/%%32%65/b", "/pub/./x", "/pub/x/.", "/pub/x/..", "/x/", "/index.html/", "/assets/private/", "/pub/in", "/pub/in%2f", "/pub/..;x=%2e./host/",
	} {
		for i := range fuzzRules {
			f.Add(p, byte(i), i%2 == 0)
		}
	}
	parsed := make([]Rules, len(fuzzRules))
	for i, text := range fuzzRules {
		var err error
		if parsed[i], err = ParseRules(text); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, p string, which byte, get bool) {
		if !strings.HasPrefix(p, "/") || strings.Contains(p, "?") {
			return // never gets as far
		}
		rs := parsed[int(which)%len(parsed)]
		method := http.MethodPost
		if get {
			method = http.MethodGet
		}
		d := rs.Match(method, p)
		for name, transform := range transforms {
			q := transform(p)
			if q == "" || q[0] != '/' {
				continue
			}
			for _, rule := range rs.exact {
				covers := rule.path == q || rule.subtree && strings.HasPrefix(q, rule.path)
				if rule.level == levelDeny && covers && find(rs.exact, method, q).level == levelDeny && d.level != levelDeny {
					t.Errorf("%q is let through, %q (%s) is denied by %+v", p, q, name, rule)
				}
			}
			if reserved(q) && !d.reserved {
				t.Errorf("%q is forwarded, %q (%s) is the gateway's own", p, q, name)
			}
			if d.level != levelPublic || d.reserved {
				continue
			}
			if other := find(rs.exact, method, q); other.level != levelPublic && find(rs.folded, method, strings.ToLower(q)).level != levelPublic {
				t.Errorf("%q is public, %q (%s) is not", p, q, name)
			}
		}
	})
}

func TestReadings(t *testing.T) {
	for _, c := range []struct {
		raw  string
		odd  bool
		want []string
	}{
		{"/A/b", false, []string{"/a/b"}},
		{"/中文", false, nil},
		{"/%e4%b8%ad", false, []string{"/中"}},
		{"/a%20b", false, []string{"/a b"}},
		{"/a;x=1/b", false, []string{"/a/b"}},
		{"/.env", false, nil},
		{"/a/../b", true, []string{"/b", "/a/../b"}},
		{"/a//b", true, []string{"/a/b"}},
		{"//a", true, []string{"/a"}},
		{"/a/.", true, []string{"/a"}},
		{"/%2e%2e/a", true, []string{"/a"}},
		{"/a%2fb", true, []string{"/a/b"}},
		{"/a%252fb", true, []string{"/a/b", "/a%2fb"}},
		{`/a\b`, true, []string{"/a/b"}},
		{"/a%5Cb", true, []string{"/a/b"}},
		{"/a%3bx", true, []string{"/a"}},
		{"/a#b", true, []string{"/a"}},
		{"/a%00b", true, []string{"/a"}},
		{"/a%3Fb", true, []string{"/a"}},
		{"/a%0d%0ab", true, nil},
		{"/a%", true, nil},
		{"/a%u002e", true, nil},
		{"/a/..;/b", false, []string{"/b"}},
	} {
		all, odd := readings(c.raw)
		if odd != c.odd {
			t.Errorf("%q: odd is %v", c.raw, odd)
		}
		for _, want := range c.want {
			if !slices.Contains(all, want) {
				t.Errorf("%q: %q is not among the readings %q", c.raw, want, all)
			}
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, p := range []string{"/a/b.css", "/a.b/c-d_e", "/", "/a..b", "/a.", "/@x:y"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if !plain(p) {
			return
		}
		if all, odd := readings(p); odd || len(all) != 1 || all[0] != p {
			t.Errorf("%q was taken for plain but reads as %q (odd: %v)", p, all, odd)
		}
	})
}
