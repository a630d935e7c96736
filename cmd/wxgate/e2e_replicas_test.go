package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wxgate/session/storetest"
	"wxgate/wechat/wechattest"
)

// revocation is how long an ended session may live on at another replica.
const revocation = 5 * time.Second

// newReplicas starts two processes on one Redis behind a proxy that draws one of them for every request.
func newReplicas(t *testing.T) (s *stage, public string, replicas []string) {
	t.Helper()
	redis := storetest.StartRedis(t)
	s = newStage(t, "WXGATE_STORE_URL="+redis.URL)
	replicas = []string{s.listen, freeAddress(t)}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", replicas[rand.IntN(len(replicas))]
			r.Out.Host = r.In.Host
		},
	})
	t.Cleanup(front.Close)
	s.env["WXGATE_PUBLIC_URL"] = front.URL
	s.start()
	other := &stage{t: t, listen: replicas[1], admin: freeAddress(t), env: maps.Clone(s.env)}
	other.env["WXGATE_LISTEN"], other.env["WXGATE_ADMIN_LISTEN"] = other.listen, other.admin
	other.start()
	return s, front.URL, replicas
}

func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	s, public, replicas := newReplicas(t)
	const crowd = 50
	users := make([]string, crowd)
	var everybody sync.WaitGroup
	for i := range crowd {
		player := fmt.Sprintf("crowd-%d", i)
		s.wechat.AddPlayer(wechattest.Player{ID: player, Nickname: player})
		everybody.Go(func() { users[i] = comesTwice(t, newVisitor(t, public, player), replicas, i) })
	}
	everybody.Wait()
	distinct := map[string]bool{}
	for i, user := range users {
		if len(user) != 26 {
			t.Errorf("visitor %d is user %q", i, user)
		}
		distinct[user] = true
	}
	if len(distinct) != crowd {
		t.Errorf("%d users for %d people", len(distinct), crowd)
	}
	exchanges := s.wechat.Exchanges()
	for code, n := range exchanges {
		if n != 1 {
			t.Errorf("code %s was exchanged %d times", code, n)
		}
	}
	if len(exchanges) != crowd {
		t.Errorf("%d codes were exchanged for %d people", len(exchanges), crowd)
	}
	if n := s.yunxin.Accounts(); n != crowd {
		t.Errorf("%d accounts at Yunxin for %d people", n, crowd)
	}
}

// comesTwice logs a person in whose callback arrives at both replicas at once, and returns the one user of it.
func comesTwice(t *testing.T, v *visitor, replicas []string, i int) (user string) {
	callback := v.begin(fmt.Sprintf("/page/%d", i))
	before := v.cookie()
	answers := make([]answer, len(replicas))
	var both sync.WaitGroup
	for j, address := range replicas {
		both.Go(func() {
			var err error
			if answers[j], err = v.at(address).page(callback); err != nil {
				t.Errorf("visitor %d at replica %d: %v", i, j, err)
			}
		})
	}
	both.Wait()
	var sessions []string
	for j, a := range answers {
		if want := fmt.Sprintf("%s/page/%d", v.public, i); a.status != http.StatusSeeOther || strings.TrimSuffix(a.header.Get("Location"), "#") != want {
			t.Errorf("visitor %d at replica %d: %d to %q, want 303 to %q", i, j, a.status, a.header.Get("Location"), want)
		}
		for _, line := range a.header["Set-Cookie"] {
			if c, err := http.ParseSetCookie(line); err == nil && c.Name == "wxgate" {
				sessions = append(sessions, c.Value)
			}
		}
	}
	if len(sessions) != 2 || sessions[0] != sessions[1] || sessions[0] == before {
		t.Errorf("visitor %d got the sessions %q, before %q", i, sessions, before)
	}
	for _, address := range replicas {
		got, status := v.at(address).who()
		if user != "" && got != user {
			t.Errorf("visitor %d is user %q at one replica and %q (%d) at the other", i, user, got, status)
		}
		user = got
	}
	// Whichever replica the page asks, the account is that of this user.
	eventually(t, patience, "the account at Yunxin", func() bool {
		a, err := v.do(http.MethodGet, "/.wxgate/yunxin")
		if err == nil && a.status == http.StatusOK && !strings.Contains(a.body, `"account":"`+user+`"`) {
			t.Errorf("visitor %d, user %s, got the account %s", i, user, a.body)
		}
		return err == nil && a.status == http.StatusOK
	})
	return user
}

func TestOnePersonAtBothReplicas(t *testing.T) {
	t.Parallel()
	_, public, replicas := newReplicas(t)
	const browsers = 20
	users := make([]string, browsers)
	var all sync.WaitGroup
	for i := range browsers {
		v := newVisitor(t, public, "aqiang")
		all.Go(func() { users[i] = v.at(replicas[i%2]).login() })
	}
	all.Wait()
	for _, user := range users {
		if user != users[0] {
			t.Fatalf("one person became the users %q", users)
		}
	}
}

func TestLogoutReachesTheOtherReplica(t *testing.T) {
	t.Parallel()
	_, public, replicas := newReplicas(t)
	v := newVisitor(t, public, "aqiang")
	user := v.login()
	here, there := v.at(replicas[0]), v.at(replicas[1])
	bystander := newVisitor(t, public, "xiaomei").at(replicas[1])
	bystander.login()
	conn := there.websocket()
	if got, _ := there.who(); got != user {
		t.Fatalf("the other replica knows user %q, want %q", got, user)
	}
	// A copy of the cookie, as a thief has it: logout takes the visitor's own away.
	stolen := "wxgate=" + v.cookie()
	asThief := func() int {
		r, _ := http.NewRequest(http.MethodGet, "http://"+replicas[1]+"/who", nil)
		u, _ := url.Parse(public)
		r.Host = u.Host
		r.Header.Set("Cookie", stolen)
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if status := asThief(); status != http.StatusOK {
		t.Fatalf("a copy of the cookie got %d", status)
	}

	closed := make(chan time.Time, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("the WebSocket at the other replica ended with %v, want close status 1001", err)
		}
		closed <- time.Now()
	}()
	a, err := here.do(http.MethodPost, "/.wxgate/logout", "Origin", public)
	ended := time.Now()
	if err != nil || a.status != http.StatusNoContent {
		t.Fatalf("logout: %v, %d %s", err, a.status, a.body)
	}
	eventually(t, revocation, "the session is over at the other replica", func() bool { return asThief() == http.StatusUnauthorized })
	if late := (<-closed).Sub(ended); late > revocation {
		t.Errorf("the WebSocket lived on for %v", late)
	}
	if _, status := bystander.who(); status != http.StatusOK {
		t.Errorf("somebody else's session got %d", status)
	}
	// The logout is no lock: the same person comes back as the same user.
	if again := v.login(); again != user {
		t.Errorf("after the logout the user is %q, before %q", again, user)
	}
	if a := v.open("/more"); a.status != http.StatusOK || !strings.Contains(a.body, user) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
