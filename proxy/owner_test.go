package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
)

func clearing(cookies ...AppCookie) option {
	return func(c *Config) { c.ClearCookies = cookies }
}

// sid tells which of the app's cookies a browser still has.
func (b *browser) sid() string { return b.cookies()["sid"] + b.cookies()["theme"] }

func (b *browser) keepSID() {
	b.setCookie("sid", "accid")
	b.setCookie("theme", "+dark")
}

func TestAppCookiesAtLogout(t *testing.T) {
	w := newWorld(t, 1, nil, clearing(AppCookie{"sid", "/"}))
	b := w.browser(iPhone)
	b.open("/")
	b.keepSID()
	b.do(http.MethodPost, "/.wxgate/logout", "Sec-Fetch-Site", "cross-site")
	if b.sid() != "accid+dark" {
		t.Errorf("another site's page took %q", b.sid())
	}
	b.do(http.MethodPost, "/.wxgate/logout", "Sec-Fetch-Site", "same-origin")
	if b.sid() != "+dark" {
		t.Errorf("after the logout %q", b.sid())
	}
}

func TestAppCookiesOfAnotherUser(t *testing.T) {
	for _, c := range []struct {
		name string
		// meanwhile is what happens between the first login and the second.
		meanwhile func(w *world, b *browser)
		next      string // player
		want      string
	}{
		{"the same again", func(w *world, b *browser) {}, "xiaomei", "accid+dark"},
		{"another", func(w *world, b *browser) {}, "aqiang", "+dark"},
		{"the same after the session ran out", func(w *world, b *browser) { w.clock.advance(721 * time.Hour) }, "xiaomei", "accid+dark"},
		{"another after the session ran out", func(w *world, b *browser) { w.clock.advance(721 * time.Hour) }, "aqiang", "+dark"},
		{"another after the browser lost its session", func(w *world, b *browser) { b.setCookie("wxgate", "") }, "aqiang", "+dark"},
		{"the same after the browser lost its session", func(w *world, b *browser) { b.setCookie("wxgate", "") }, "xiaomei", "accid+dark"},
		{"nobody knows who it was", func(w *world, b *browser) { b.setCookie("wxgate-login", ""); b.setCookie("wxgate", "") }, "xiaomei", "+dark"},
		{"under an id that was merged", func(w *world, b *browser) {
			user := b.open("/").user(w.t)
			_, err := w.replicas[0].cfg.Users.Update(w.t.Context(), user, func(u *identity.User) error { u.Aliases = append(u.Aliases, "former"); return nil })
			if err != nil {
				w.t.Fatal(err)
			}
			logins := *w.replicas[0].cfg.Sessions.Logins(http.Header{"Cookie": {"wxgate-login=" + b.cookies()["wxgate-login"]}})
			logins.Owner = ownerMark("former")
			h := http.Header{}
			if err := w.replicas[0].cfg.Sessions.WriteLogins(h, &logins); err != nil {
				w.t.Fatal(err)
			}
			value, _, _ := strings.Cut(strings.TrimPrefix(h.Get("Set-Cookie"), "wxgate-login="), ";")
			b.setCookie("wxgate-login", value)
		}, "xiaomei", "accid+dark"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1, nil, clearing(AppCookie{"sid", "/"}))
			b := w.browser(iPhone).as("xiaomei")
			b.open("/")
			b.keepSID()
			c.meanwhile(w, b)
			b.as(c.next)
			b.open("/.wxgate/login?next=/again")
			if b.sid() != c.want {
				t.Errorf("the browser has %q, want %q", b.sid(), c.want)
			}
			b.keepSID()
			b.open("/.wxgate/login?next=/again")
			if b.sid() != "accid+dark" {
				t.Errorf("the new user's next login took %q", b.sid())
			}
		})
	}
}

// Without ClearCookies the login cookie lives as short as ever and names nobody.
func TestNoOwnerWithoutNeed(t *testing.T) {
	for _, opts := range [][]option{nil, {clearing(AppCookie{"sid", "/"})}} {
		w := newWorld(t, 1, nil, opts...)
		b := w.browser(iPhone)
		res := b.stay().open(b.begin("/"))
		want := "Max-Age=600"
		if opts != nil {
			want = "Max-Age=34560000"
		}
		found := false
		for _, line := range res.Header["Set-Cookie"] {
			if strings.HasPrefix(line, "wxgate-login=") {
				found = true
				if !strings.Contains(line, want) {
					t.Errorf("%s, want %s", line, want)
				}
			}
		}
		if !found {
			t.Errorf("no login cookie in %v", res.Header)
		}
	}
}
