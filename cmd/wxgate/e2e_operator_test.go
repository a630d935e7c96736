package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"wxgate/session/storetest"
	"wxgate/wechat/wechattest"
)

const stageOperator = "theOperatorOfTheseTests"

// operate makes a call of the admin API.
func (s *stage) operate(method, path, body string) (status int, answer string) {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://"+s.admin+"/admin/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+stageOperator)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// must is operate for what has to work.
func (s *stage) must(method, path, body string) string {
	s.t.Helper()
	status, answer := s.operate(method, path, body)
	if status < 200 || status > 299 {
		s.t.Fatalf("%s /admin/%s: %d %s", method, path, status, answer)
	}
	return answer
}

// hooked is the app's side of the hook: it answers 500 until it is opened, and keeps what it took.
type hooked struct {
	open atomic.Bool
	mu   sync.Mutex
	took []hookEvent
}

type hookEvent struct{ ID, Type, User, From, Into, Reason string }

func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e hookEvent
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.Header.Get("X-Wxgate-Assertion") == "" || !h.open.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.ContainsFunc(h.took, func(o hookEvent) bool { return o.ID == e.ID }) { // at least once is more than once
		h.took = append(h.took, e)
	}
}

// about are the types of the events about a user, in the order in which they came.
func (h *hooked) about(user string) (types []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.took {
		if e.User == user {
			types = append(types, e.Type)
		}
	}
	return types
}

func newHook(t *testing.T) (*hooked, string) {
	h := &hooked{}
	at := httptest.NewServer(h)
	t.Cleanup(at.Close)
	return h, at.URL
}

// What an operator was told is done stays done, and the app hears of it, however wxgate ends.
func TestDecisionsSurviveKills(t *testing.T) {
	t.Parallel()
	hook, at := newHook(t)
	s := newStage(t, "WXGATE_ADMIN_TOKEN="+stageOperator, "WXGATE_HOOK_URL="+at)
	p := s.start()
	again := func() {
		p.kill()
		p = s.start()
	}
	player := func(id string) *visitor {
		s.wechat.AddPlayer(wechattest.Player{ID: id, Nickname: id})
		return s.visitor(id)
	}
	cheat, twin, other, leaver := player("cheat"), player("twin"), player("other"), player("leaver")
	cheatID, twinID, otherID, leaverID := cheat.login(), twin.login(), other.login(), leaver.login()
	eventually(t, patience, "accounts at Yunxin", func() bool { return s.yunxin.Accounts() == 4 })

	s.must("POST", "users/"+cheatID+"/block", "")
	again()
	if _, status := cheat.who(); status != http.StatusForbidden {
		t.Errorf("a blocked user got %d", status)
	}
	eventually(t, patience, "the block at Yunxin", func() bool { a, _ := s.yunxin.Account(cheatID); return a.Blocked })

	s.must("POST", "users/"+twinID+"/merge", `{"from":"`+otherID+`"}`)
	again()
	if user, status := other.who(); user != twinID {
		t.Errorf("the merged user's session is of %q (%d), not of %s", user, status, twinID)
	}
	s.must("DELETE", "users/"+twinID+"/sessions", "")
	again()
	for _, v := range []*visitor{twin, other} {
		if _, status := v.who(); status != http.StatusUnauthorized {
			t.Errorf("an ended session got %d", status)
		}
	}
	openID := s.wechat.OpenID("leaver", stageAppID)
	s.must("DELETE", "users/"+leaverID, "")
	again()
	if _, status := leaver.who(); status != http.StatusUnauthorized {
		t.Errorf("an erased user's session got %d", status)
	}
	if back := leaver.login(); back == leaverID {
		t.Error("an erased user came back as the same")
	}
	if answer := s.must("GET", "users/"+leaverID, ""); strings.Contains(answer, openID) || !strings.Contains(answer, `"erased"`) {
		t.Errorf("the tombstone: %s", answer)
	}

	hook.open.Store(true)
	for id, want := range map[string][]string{
		cheatID:  {"user.created", "user.blocked"},
		twinID:   {"user.created", "user.merged"},
		otherID:  {"user.created"},
		leaverID: {"user.created", "user.erased"},
	} {
		eventually(t, 2*patience, "events", func() bool { return slices.Equal(hook.about(id), want) })
	}
	eventually(t, patience, "an empty outbox", func() bool {
		_, body := fetch("http://" + s.admin + "/metrics")
		return strings.Contains(body, "\nwxgate_hooks_pending 0\n")
	})
}

// A push of WeChat's that was acknowledged is followed, however wxgate ends.
func TestRevocationSurvivesKill(t *testing.T) {
	t.Parallel()
	hook, at := newHook(t)
	hook.open.Store(true)
	push := wechattest.PushSettings{Token: "tokenOfTheStage", AESKey: strings.Repeat("stage", 9)[:43], Mode: wechattest.PushSafe}
	s := newStage(t, "WXGATE_ADMIN_TOKEN="+stageOperator, "WXGATE_HOOK_URL="+at, "WXGATE_MP_TOKEN="+push.Token, "WXGATE_MP_AES_KEY="+push.AESKey)
	push.URL = "http://" + s.listen + "/.wxgate/messages"
	p := s.start()
	if err := s.wechat.VerifyPush(t.Context(), stageAppID, push); err != nil {
		t.Fatal(err)
	}
	v := s.visitor("xiaomei")
	id := v.login()
	eventually(t, patience, "an account at Yunxin", func() bool { return s.yunxin.Accounts() == 1 })
	if pushed := s.wechat.PushEvent(t.Context(), stageAppID, "xiaomei", "user_authorization_revoke"); pushed.Err != nil {
		t.Fatal(pushed.Err)
	}
	p.kill()
	s.start()
	if _, status := v.who(); status != http.StatusUnauthorized {
		t.Errorf("after the revocation the session got %d", status)
	}
	eventually(t, patience, "the block at Yunxin", func() bool { a, _ := s.yunxin.Account(id); return a.Blocked })
	eventually(t, patience, "the event", func() bool { return slices.Equal(hook.about(id), []string{"user.created", "user.revoked"}) })
	if again := v.login(); again != id {
		t.Errorf("the person came back as %s, was %s", again, id)
	}
	eventually(t, patience, "the account at Yunxin is open again", func() bool { a, _ := s.yunxin.Account(id); return !a.Blocked })
}

// Export from the embedded store, import into Redis: the way to more replicas.
func TestMigrationToRedis(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	s := newStage(t, "WXGATE_ADMIN_TOKEN="+stageOperator)
	p := s.start()
	first, second := s.visitor("xiaomei"), s.visitor("aqiang")
	firstID, secondID := first.login(), second.login()
	s.must("POST", "users/"+firstID+"/merge", `{"from":"`+secondID+`"}`)
	export := s.must("GET", "users/export", "")
	p.kill()
	s.env["WXGATE_STORE_URL"] = redis.URL
	s.start()
	for range 2 { // a second time changes nothing
		report := s.must("POST", "users/import", export)
		if !strings.Contains(report, `"failed":0`) {
			t.Fatal(report)
		}
	}
	if after := s.must("GET", "users/export", ""); after != export {
		t.Errorf("the export changed on its way:\n%s%s", export, after)
	}
	for _, player := range []string{"xiaomei", "aqiang"} {
		if id := s.visitor(player).login(); id != firstID {
			t.Errorf("%s is %s now, was %s", player, id, firstID)
		}
	}
	if answer := s.must("GET", "users/"+secondID, ""); !strings.Contains(answer, `"id":"`+firstID+`"`) {
		t.Errorf("the merged id leads to %s", answer)
	}
}

// The app's listener on a unix socket, which a killed wxgate leaves behind.
func TestAppListenerOnSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "app.sock")
	s := newStage(t, "WXGATE_APP_LISTEN=unix://"+socket)
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	for range 2 {
		p := s.start()
		id := s.visitor("xiaomei").login()
		res, err := client.Post("http://wxgate/users/batch", "application/json", bytes.NewBufferString(`{"ids":["`+id+`"]}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), id) {
			t.Errorf("%v, %d %s", err, res.StatusCode, body)
		}
		second := launch(t, s.env, "serve") // the other addresses are taken, too; nobody takes the socket over
		if code := second.exit(); code == exitOK {
			t.Error("a second one runs on the same addresses")
		}
		if _, err := client.Get("http://wxgate/users/" + id); err != nil {
			t.Errorf("after another one tried: %v", err)
		}
		p.kill()
	}
}
