package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// visitor is a browser without a screen: cookies, the User-Agent of WeChat on an iPhone, and the headers that tell a
// page visit from a script's call.
type visitor struct {
	t      *testing.T
	public string // origin of the gateway
	client *http.Client
}

// visitor comes as one of the simulator's players.
func (s *stage) visitor(player string) *visitor { return newVisitor(s.t, "http://"+s.listen, player) }

func newVisitor(t *testing.T, public, player string) *visitor {
	jar, _ := cookiejar.New(nil)
	v := &visitor{t: t, public: public, client: &http.Client{
		Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	// Cookies do not tell ports apart: the simulated WeChat on the same address gets it too.
	jar.SetCookies(v.url(), []*http.Cookie{{Name: wechattest.PlayerCookie, Value: player, Path: "/"}})
	return v
}

func (v *visitor) url() *url.URL {
	u, err := url.Parse(v.public)
	if err != nil {
		v.t.Fatal(err)
	}
	return u
}

// at is the same browser, whose requests for the gateway reach the one at this address.
func (v *visitor) at(address string) *visitor {
	public := v.url().Host
	client := *v.client
	client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		if to == public {
			to = address
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}}
	return &visitor{t: v.t, public: v.public, client: &client}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request and follows nothing. An error is the visitor's fate, not always the test's.
func (v *visitor) do(method, address string, headers ...string) (answer, error) {
	if strings.HasPrefix(address, "/") {
		address = v.public + address
	}
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("User-Agent", wechattest.UAIOS)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// page asks for one page as a person would.
func (v *visitor) page(address string) (answer, error) {
	return v.do(http.MethodGet, address, "Accept", "text/html,application/xhtml+xml")
}

// open asks for a page and follows redirects to the end.
func (v *visitor) open(address string) answer {
	v.t.Helper()
	for range 15 {
		a, err := v.page(address)
		if err != nil {
			v.t.Fatal(err)
		}
		if a.status < 300 || a.status > 399 {
			return a
		}
		address = a.header.Get("Location")
	}
	v.t.Fatalf("redirected for ever, at last to %s", address)
	return answer{}
}

// begin starts a login and returns the address that WeChat sends the browser back to, without going there.
func (v *visitor) begin(next string) (callback string) {
	v.t.Helper()
	address := "/.wxgate/login?next=" + url.QueryEscape(next)
	for range 2 {
		a, err := v.page(address)
		if err != nil || a.status != http.StatusFound {
			v.t.Fatalf("GET %s: %v, %d %s", address, err, a.status, a.body)
		}
		address = a.header.Get("Location")
	}
	return address
}

// who is the user that the app is told of when a script calls; empty with another status than 200.
func (v *visitor) who() (user string, status int) {
	v.t.Helper()
	a, err := v.do(http.MethodGet, "/who", "Accept", "*/*", "Sec-Fetch-Dest", "empty")
	if err != nil {
		v.t.Fatal(err)
	}
	if a.status != http.StatusOK {
		return "", a.status
	}
	var h http.Header
	if err := json.Unmarshal([]byte(a.body), &h); err != nil {
		v.t.Fatalf("the app answered %q", a.body)
	}
	return h.Get("X-Wxgate-User"), a.status
}

// login goes through WeChat to the app and returns the user id.
func (v *visitor) login() (user string) {
	v.t.Helper()
	if a := v.open("/"); a.status != http.StatusOK || !strings.Contains(a.body, `id="user"`) {
		v.t.Fatalf("the login ended with %d %s", a.status, a.body)
	}
	user, status := v.who()
	if len(user) != 26 {
		v.t.Fatalf("after the login the app was told of user %q (%d)", user, status)
	}
	return user
}

// cookie is the session cookie, empty without a session.
func (v *visitor) cookie() string {
	for _, c := range v.client.Jar.Cookies(v.url()) {
		if c.Name == "wxgate" {
			return c.Value
		}
	}
	return ""
}
