package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestLogoutIsForOurOwnPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.AllowedHosts = []string{"other.example"} })
	b := w.browser(iPhone)
	b.login()
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "Same-Origin"},
		{"Sec-Fetch-Site", "cross-site", "Origin", w.front.URL},
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", "https" + w.front.URL[len("http"):]}, {"Origin", w.front.URL + "0"}, {"Origin", "http://127.0.0.1"}, {"Origin", "http://other.example"},
	} {
		res := b.do(http.MethodPost, "/.wxgate/logout", headers...)
		if res.StatusCode != http.StatusForbidden || len(res.Header["Set-Cookie"]) != 0 {
			t.Errorf("%q: %d, cookies %q", headers, res.StatusCode, res.Header["Set-Cookie"])
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut} {
		if res := b.do(method, "/.wxgate/logout", "Sec-Fetch-Site", "same-origin"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
		}
	}
	if b.stay().open("/x").user(t) == "" {
		t.Error("the visitor was logged out")
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	page := []string{"Accept", "text/html", "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin"}
	for name, tt := range map[string]struct {
		path     string
		headers  []string
		status   int
		location string
	}{
		"script":                 {"/.wxgate/logout", []string{"Sec-Fetch-Site", "same-origin"}, 204, ""},
		"script, by Origin":      {"/.wxgate/logout?next=/bye", []string{"Origin", "OURS"}, 204, ""},
		"native client":          {"/.wxgate/logout", nil, 204, ""},
		"form":                   {"/.wxgate/logout", page, 303, "/"},
		"form with a target":     {"/.wxgate/logout?next=%2Fbye%3Fa%3D1", page, 303, "/bye?a=1"},
		"form, foreign target":   {"/.wxgate/logout?next=https://evil.example/", page, 303, "/"},
		"form in an old browser": {"/.wxgate/logout?next=/bye", []string{"Accept", "text/html", "Origin", "OURS"}, 303, "/bye"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := newSpied(t, 2, nil)
			b := w.browser(iPhone)
			b.login()
			old := b.cookies()["wxgate"]
			for range 4 { // known to both replicas
				b.fetch("/x")
			}
			headers := slices.Clone(tt.headers)
			for i, h := range headers {
				if h == "OURS" {
					headers[i] = w.front.URL
				}
			}
			res := b.stay().do(http.MethodPost, tt.path, headers...)
			want := tt.location
			if want != "" {
				want = w.front.URL + want
			}
			if res.StatusCode != tt.status || res.Header.Get("Location") != want || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("answered %d to %s, %v", res.StatusCode, res.Header.Get("Location"), res.Header)
			}
			if left := b.cookies(); left["wxgate"] != "" || left["wxgate-login"] != "" {
				t.Errorf("the browser keeps %v", left)
			}
			if n := len(store.keys(t, "s:")); n != 0 {
				t.Errorf("%d sessions are stored", n)
			}
			w.clock.advance(settled)
			for range 4 {
				if res := w.with(old, "/x"); res.StatusCode != http.StatusUnauthorized {
					t.Fatalf("a copy of the cookie still gets %d", res.StatusCode)
				}
			}
		})
	}
}

func TestLogoutEndsAtOnceWhereItHappens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	b := w.browser(iPhone)
	b.login()
	here, there := w.replica(0), w.replica(1)
	for _, g := range []*Server{here, there} {
		if rec := b.peek(g, "/x"); rec.Code != http.StatusOK {
			t.Fatalf("answered %d", rec.Code)
		}
	}
	copied := w.browser(iPhone)
	copied.setCookie("wxgate", b.cookies()["wxgate"])
	w.route(here)
	b.do(http.MethodPost, "/.wxgate/logout")
	if rec := copied.peek(here, "/x", "Sec-Fetch-Dest", "empty"); rec.Code != http.StatusUnauthorized {
		t.Errorf("where it was ended it still gets %d", rec.Code)
	}
	w.clock.advance(settled)
	if rec := copied.peek(there, "/x", "Sec-Fetch-Dest", "empty"); rec.Code != http.StatusUnauthorized {
		t.Errorf("on the other replica it still gets %d after five seconds", rec.Code)
	}
}

func TestLogoutWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for _, cookie := range []string{"", "wxgate=garbage"} {
		res := w.browser(iPhone).do(http.MethodPost, "/.wxgate/logout", "Cookie", cookie)
		if res.StatusCode != http.StatusNoContent || len(res.Header["Set-Cookie"]) != 2 {
			t.Errorf("%q: %d, cookies %q", cookie, res.StatusCode, res.Header["Set-Cookie"])
		}
	}
}

// A stream must not outlive its session, on whichever replica it runs.
func TestLogoutClosesStreams(t *testing.T) {
	t.Parallel()
	app := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			echo(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: hello\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for _, where := range []string{"here", "on another replica"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, app)
			b := w.browser(iPhone)
			b.login()
			here, there := w.replica(0), w.replica(1)
			w.route(here)
			r, _ := http.NewRequest(http.MethodGet, w.front.URL+"/events", nil)
			r.Header.Set("User-Agent", iPhone)
			res, err := b.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			events := bufio.NewReader(res.Body)
			if line, err := events.ReadString('\n'); err != nil || line != "data: hello\n" {
				t.Fatalf("%q, %v", line, err)
			}
			here.watchStreams(t.Context()) // must leave it alone
			if where == "here" {
				b.do(http.MethodPost, "/.wxgate/logout")
			} else {
				w.route(there)
				b.do(http.MethodPost, "/.wxgate/logout")
				w.clock.advance(settled / 2)
				here.watchStreams(context.Background())
			}
			var timeout net.Error
			if rest, err := io.ReadAll(events); err == nil || len(rest) > 1 || errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("the stream went on with %q, %v", rest, err)
			}
		})
	}
}

func TestLogoutFormNamesTheNextPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for _, form := range []string{"next=%2Fbye%3Fa%3D1", "next=%2Fbye%3Fa%3D1&junk=" + strings.Repeat("x", 100)} {
		r, _ := http.NewRequest(http.MethodPost, w.front.URL+"/.wxgate/logout", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		res, err := direct.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != w.front.URL+"/bye?a=1" {
			t.Errorf("%d to %s", res.StatusCode, res.Header.Get("Location"))
		}
	}
}
