package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
)

// second gives a world another host, which shares no cookies with the first.
func second(c *Config) { c.AllowedHosts = []string{"localhost:" + c.PublicURL.Port()} }

func (w *world) other() string {
	u, _ := url.Parse(w.front.URL)
	return "http://localhost:" + u.Port()
}

func TestLoginOnASecondHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil, second)
	b := w.browser(iPhone)
	res := b.open(w.other() + "/room/7?x=%2F")
	e := res.echoed(t)
	if e.URI != "/room/7?x=%2F" || !strings.HasPrefix(w.other(), "http://"+e.Host) || len(e.Header.Get("X-Wxgate-User")) != 26 {
		t.Errorf("landed at %s%s as %q", e.Host, e.URI, e.Header.Get("X-Wxgate-User"))
	}
	for _, address := range b.trail {
		if strings.HasPrefix(address, w.other()) && strings.Contains(address, "code=") {
			t.Errorf("the code reached the second host: %s", address)
		}
	}
	// Who is logged in at one host is so at the other, without WeChat.
	before := len(w.wechat.Exchanges())
	if other := b.open("/").user(t); other != e.Header.Get("X-Wxgate-User") {
		t.Errorf("the public host has user %s", other)
	}
	if n := len(w.wechat.Exchanges()); n != before {
		t.Errorf("%d codes were exchanged for it", n-before)
	}
}

func TestTicketIsForOneBrowserOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil, second)
	b := w.browser(iPhone)
	ticket := ""
	s := b.stay()
	at := w.other() + "/room/7"
	for ticket == "" {
		res := s.open(at)
		if at = res.Header.Get("Location"); at == "" {
			t.Fatalf("stopped with %d %s", res.StatusCode, res.body)
		}
		if strings.Contains(at, "/handover?") {
			ticket = at
		}
	}
	thief := w.browser(iPhone).as("aqiang").stay()
	if res := thief.open(ticket); sessionOf(res.Response) != "" {
		t.Error("another browser got a session of the ticket")
	}
	if res := s.open(strings.Replace(ticket, w.other(), w.front.URL, 1)); sessionOf(res.Response) != "" {
		t.Error("another host took the ticket")
	}
	if res := s.open(ticket[:len(ticket)-1] + "_x"); sessionOf(res.Response) != "" {
		t.Error("a changed ticket was taken")
	}
	first, again := s.open(ticket), s.open(ticket)
	if first.StatusCode != http.StatusSeeOther || first.Header.Get("Location") != w.other()+"/room/7" {
		t.Errorf("answered %d to %s", first.StatusCode, first.Header.Get("Location"))
	}
	if a, c := sessionOf(first.Response), sessionOf(again.Response); a == "" || a != c {
		t.Errorf("two deliveries gave the sessions %q and %q", a, c)
	}
	w.clock.advance(time.Minute)
	if res := s.open(ticket); sessionOf(res.Response) != "" {
		t.Error("an old ticket was taken")
	}
}

func TestSharedCookieDomainNeedsNoTicket(t *testing.T) {
	t.Parallel()
	s := &Server{cfg: Config{CookieDomain: "example.com"}, hosts: hosts{public: "play.example.com"}}
	for host, want := range map[string]bool{
		"play.example.com": true, "www.example.com": true, "example.com": true, "a.b.example.com": true,
		"badexample.com": false, "example.org": false, "example.com.evil.org": false,
	} {
		if got := s.sharesCookies(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// A ticket is a promise about a session that may be ended before it is kept.
func TestTicketOfAnEndedSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, b *browser){
		"logout": func(w *world, b *browser) {
			if res := b.do(http.MethodPost, "/.wxgate/logout", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "empty"); res.StatusCode != http.StatusNoContent {
				t.Errorf("logout: %d", res.StatusCode)
			}
		},
		"blocked": func(w *world, b *browser) {
			w.replicas[0].cfg.Users.Update(t.Context(), b.me().User, func(u *identity.User) error {
				u.Status = identity.StatusBlocked
				return nil
			})
		},
	} {
		w := newWorld(t, 1, nil, second)
		b := w.browser(iPhone)
		b.open("/")
		s := b.stay()
		at, ticket := w.other()+"/room/7", ""
		for ticket == "" {
			if at = s.open(at).Header.Get("Location"); strings.Contains(at, "/handover?") {
				ticket = at
			}
		}
		end(w, b)
		if res := s.open(ticket); sessionOf(res.Response) != "" {
			t.Errorf("%s: the ticket gave a session all the same", name)
		}
	}
}

// Handing a login over does not lengthen it.
func TestHandedOverSessionEndsWithItsLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, second)
	b := w.browser(iPhone)
	b.open("/")
	begun := b.me().Session
	w.clock.advance(time.Hour)
	b.open(w.other() + "/")
	var there meAnswer
	if err := json.Unmarshal([]byte(b.fetch(w.other()+"/.wxgate/me").body), &there); err != nil || there.User == "" {
		t.Fatalf("%+v, %v", there, err)
	}
	if there.Session != begun {
		t.Errorf("the session there is %v, the login was %v", there.Session, begun)
	}
}
