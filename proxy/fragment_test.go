package proxy

import (
	"net/http"
	"net/url"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

func TestLoginKeepsFragment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	origin := w.front.URL
	for next, want := range map[string]string{
		"/room/7?a=1#/seat/3?x=%2F#y":        "/room/7?a=1#/seat/3?x=%2F#y",
		"/#/":                                "/#/",
		"/a#":                                "/a",
		"/a#中":                               "/a#%E4%B8%AD",
		`/a#"><script>`:                      "/a#%22%3E%3Cscript%3E",
		origin + "/a#b":                      "/a#b",
		"https://evil.example/#b":            "/#b",
		"//evil.example/#//evil.example":     "/#//evil.example",
		"/.wxgate/logout#/.wxgate/logout":    "/#/.wxgate/logout",
		"/a#b\r\nSet-Cookie: a=b":            "/#b%0D%0ASet-Cookie:%20a=b",
		"/a%23b":                             "/a%23b",
		"#@evil.example/":                    "/#@evil.example/",
		"/\\evil.example#":                   "/",
		"https://evil.example#" + origin[7:]: "/#" + origin[7:],
	} {
		b := w.browser(iPhone).stay()
		res := b.open(b.begin(next))
		got := res.Header.Get("Location")
		if res.StatusCode != http.StatusSeeOther || got != origin+want {
			t.Errorf("next=%q leads to %d %s, want %s", next, res.StatusCode, got, want)
		}
		if u, err := whatwg.Parse(got); err != nil || u.Protocol()+"//"+u.Host() != origin {
			t.Errorf("next=%q leads a browser to %v, %v", next, u, err)
		}
	}
}

func TestLoginKeepsFragmentAcrossHosts(t *testing.T) {
	t.Parallel()
	s := &Server{hosts: testHosts("https")}
	const next = "https://shop.example.com/a?b#c?d#e"
	host, target := s.hosts.returnTo(next, "play.example.com")
	if got := s.location(host, withFragment(target, next)); got != next {
		t.Errorf("leads to %s", got)
	}
	u, err := url.Parse(s.loginURL("play.example.com", loginQuery{next: next}))
	if err != nil || u.Query().Get("next") != next {
		t.Errorf("does not pass through a login link: %v, %v", u, err)
	}
}
