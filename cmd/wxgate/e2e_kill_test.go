package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session/storetest"
	"wxgate/wechat/wechattest"
)

// killRounds bounds the tests that kill: each round kills at another moment.
const killRounds = 10

func TestKilledOnBolt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	survive(t, s, func(p *program) { p.kill() })
}

// TestKilledWithRedis kills the server that keeps everything together with wxgate: an acknowledged login was on the
// disk by then (appendfsync always).
func TestKilledWithRedis(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	s := newStage(t, "WXGATE_STORE_URL="+redis.URL)
	n := 0
	survive(t, s, func(p *program) {
		if n++; n%2 == 0 {
			redis.Stop()
			p.kill()
		} else {
			p.kill()
			redis.Stop()
		}
		redis.Restart()
	})
}

// survive crashes wxgate again and again while people log in, and looks for everything that it had promised.
func survive(t *testing.T, s *stage, crash func(*program)) {
	p := s.start()
	keys := s.keys()
	users := map[string]string{} // by player
	veteran := s.visitor("veteran-0")
	s.wechat.AddPlayer(wechattest.Player{ID: "veteran-0", Nickname: "老玩家"})
	users["veteran-0"] = veteran.login()

	for round := range killRounds {
		player := fmt.Sprintf("player-%d", round)
		s.wechat.AddPlayer(wechattest.Player{ID: player, Nickname: player})
		v := s.visitor(player)
		callback := v.begin(fmt.Sprintf("/page/%d", round))
		// The account at Yunxin cannot be made before the crash.
		s.im.hold(true)

		acknowledged := false
		switch moment := round % 5; moment {
		case 0: // the browser has its answer
			acknowledged = delivered(t, v, callback)
			crash(p)
			if !acknowledged {
				t.Fatal("an undisturbed callback did not log in")
			}
		case 1: // the session was used
			acknowledged = delivered(t, v, callback)
			users[player], _ = v.who()
			crash(p)
		default: // WeChat has the code, the answer is on its way, a little later each time
			asked := make(chan struct{})
			s.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Reached: sync.OnceFunc(func() { close(asked) })})
			done := make(chan bool)
			go func() { done <- delivered(t, v, callback) }()
			<-asked
			// Not a wait for anything: the delay is the moment that this round tries.
			<-time.After(time.Duration(round) * 500 * time.Microsecond)
			crash(p)
			acknowledged = <-done
		}
		s.im.hold(false)
		p = s.start()

		if got := s.keys(); got != keys {
			t.Fatalf("round %d: other keys after the restart:\n%s\n%s", round, keys, got)
		}
		if user, status := veteran.who(); user != users["veteran-0"] {
			t.Fatalf("round %d: the veteran is %q (%d), was %q", round, user, status, users["veteran-0"])
		}
		user, status := v.who()
		switch {
		case acknowledged && user == "":
			t.Fatalf("round %d: the login was acknowledged and is lost: %d", round, status)
		case !acknowledged && user != "":
			t.Fatalf("round %d: a session that nobody was told of", round)
		case !acknowledged:
			user = v.login()
		}
		if users[player] != "" && user != users[player] {
			t.Fatalf("round %d: %s was user %s and is now %s", round, player, users[player], user)
		}
		users[player] = user
	}

	// Nobody asks for the accounts or logs in again: the queue in the store is all that knows of them.
	eventually(t, 100*time.Second, "everybody has an account at Yunxin", func() bool {
		for _, user := range users {
			if _, ok := s.yunxin.Account(user); !ok {
				return false
			}
		}
		return true
	})
	if n := s.yunxin.Accounts(); n != len(users) {
		t.Errorf("%d accounts at Yunxin for %d users", n, len(users))
	}
	for player, user := range users {
		if again := s.visitor(player).login(); again != user {
			t.Errorf("%s is user %s in one browser and %s in another", player, user, again)
		}
	}
	for code, n := range s.wechat.Exchanges() {
		if n != 1 {
			t.Errorf("code %s was exchanged %d times", code, n)
		}
	}
}

// TestCallbackAgainAfterTheCrash delivers a callback whose first delivery died with wxgate: the code is not tried
// again, and the visitor is logged in all the same.
func TestCallbackAgainAfterTheCrash(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.start()
	v := s.visitor("aqiang")
	callback := v.begin("/page")
	asked, never := make(chan struct{}), make(chan struct{})
	defer close(never)
	s.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Processed: true, Reached: sync.OnceFunc(func() { close(asked) }), Hold: never})
	done := make(chan bool)
	go func() { done <- delivered(t, v, callback) }()
	<-asked
	p.kill()
	if <-done {
		t.Fatal("a login was acknowledged before WeChat had answered")
	}
	s.start()
	if a := v.open(callback); a.status != http.StatusOK || !strings.Contains(a.body, `id="path">/page<`) {
		t.Fatalf("the second delivery ended with %d %s", a.status, a.body)
	}
	for code, n := range s.wechat.Exchanges() {
		if n != 1 {
			t.Errorf("code %s was exchanged %d times", code, n)
		}
	}
}

// delivered brings a callback and reports whether the login was acknowledged: the redirect to the page, with a session.
func delivered(t *testing.T, v *visitor, callback string) bool {
	a, err := v.page(callback)
	if err != nil {
		return false // the crash came first
	}
	if a.status == http.StatusSeeOther && v.cookie() != "" {
		return true
	}
	// A killed Redis is an honest answer; everything else is not.
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("the callback was answered with %d %s %s", a.status, a.header.Get("Location"), a.body)
	}
	return false
}

// keys is what apps check assertions with, from both listeners.
func (s *stage) keys() string {
	s.t.Helper()
	status, inside := fetch("http://" + s.admin + "/jwks.json")
	_, outside := fetch("http://" + s.listen + "/.wxgate/jwks.json")
	if status != http.StatusOK || inside != outside {
		s.t.Fatalf("keys: %d %s, for browsers %s", status, inside, outside)
	}
	return inside
}
