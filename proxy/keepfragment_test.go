package proxy

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var (
	nonceOf  = regexp.MustCompile(`script-src 'nonce-([0-9A-Za-z]+)'`)
	scriptOf = regexp.MustCompile(`<script nonce="([0-9A-Za-z]+)">location\.replace\("(.*)" \+ encodeURIComponent\(location\.hash\) \+ "(.*)"\)</script>`)
)

// locationReplaced is where the page's script sends a browser with this fragment.
func locationReplaced(t *testing.T, res answer, hash string) string {
	t.Helper()
	m := scriptOf.FindStringSubmatch(res.body)
	nonce := nonceOf.FindStringSubmatch(res.Header.Get("Content-Security-Policy"))
	if m == nil || nonce == nil || m[1] != nonce[1] {
		t.Fatalf("no script that may run in %v %s", res.Header, res.body)
	}
	unescape := strings.NewReplacer(`\u0026`, "&", `\/`, "/", `\u003d`, "=")
	return unescape.Replace(m[2]) + url.QueryEscape(hash) + unescape.Replace(m[3])
}

func TestKeepFragment(t *testing.T) {
	w := newWorld(t, 1, nil, func(c *Config) { c.KeepFragment = true }, rules("profile /named"))
	b := w.browser(iPhone)
	res := b.stay().open("/app?from=share&x=%2F")
	if h := res.Header; res.StatusCode != 200 || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		t.Errorf("%d %v", res.StatusCode, h)
	}
	if len(b.cookies()) != 0 {
		t.Errorf("cookies %v for a login that nobody began", b.cookies())
	}
	if again := b.stay().open("/app"); nonceOf.FindString(again.Header.Get("Content-Security-Policy")) == nonceOf.FindString(res.Header.Get("Content-Security-Policy")) {
		t.Error("the nonce repeats itself")
	}
	if !strings.Contains(res.body, `<noscript><a href="`+w.front.URL+`/.wxgate/login?next=%2Fapp%3Ffrom%3Dshare%26x%3D%252F">`) {
		t.Errorf("no way on without scripts: %s", res.body)
	}
	login := locationReplaced(t, res, "#/room/7?seat=%E5%A8%83&x")
	if landed := b.open(login).Request.URL.String(); landed != w.front.URL+"/app?from=share&x=%2F#/room/7?seat=%E5%A8%83&x" {
		t.Errorf("landed at %s", landed)
	}

	// A call of a script and a visit with HEAD have no fragment to keep.
	other := w.browser(iPhone).stay()
	if res := other.fetch("/app"); res.StatusCode != 401 {
		t.Errorf("a script's call: %d", res.StatusCode)
	}
	if res := other.do("HEAD", "/app", "Accept", "text/html"); res.StatusCode != 302 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}

	res = b.stay().open("/named?a=1")
	login = locationReplaced(t, res, "#/x")
	if !strings.Contains(login, "next=%2Fnamed%3Fa%3D1%23%2Fx&profile=1") {
		t.Errorf("for a profile it goes to %s", login)
	}
	if res := b.open(login); !strings.Contains(res.body, "agreed=1") || !strings.Contains(res.body, "%23%2Fx") {
		t.Errorf("the question for consent forgot the place: %s", res.body)
	}
}

// A path cannot break out of the page's script.
func TestKeepFragmentOfHostilePaths(t *testing.T) {
	w := newWorld(t, 1, nil, func(c *Config) { c.KeepFragment = true })
	for _, path := range []string{`/"+alert(1)+"`, "/</script><script>alert(1)</script>", "/%22%3c", "/?a='\"<>&", "/\u2028"} {
		r := path
		if u, err := url.Parse(path); err == nil {
			r = u.String()
		}
		res := w.browser(iPhone).stay().open(r)
		if strings.Count(res.body, "<script") != 1 || strings.Count(res.body, "alert(1)") > 0 && strings.Contains(res.body, `"+alert`) {
			t.Errorf("%s: %s", path, res.body)
		}
		u, err := url.Parse(locationReplaced(t, res, "#x"))
		if err != nil || u.Path != "/.wxgate/login" || !strings.HasSuffix(u.Query().Get("next"), "#x") {
			t.Errorf("%s goes to %v (%v)", path, u, err)
		}
	}
}
