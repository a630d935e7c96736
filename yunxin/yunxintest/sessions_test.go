package yunxintest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Which sessions ended, when, by what, and which call the journal blames.
func TestSessions(t *testing.T) {
	now := time.Unix(1760000000, 0)
	s := New(Config{Now: func() time.Time { return now }, Behaviour: Behaviour{DynamicLogin: true}})
	s.Add(Account{Accid: "Ann", Token: "t"})
	s.Add(Account{Accid: "bob", Token: "t"})
	s.Login(AppKey, "ANN", "t", 0)
	s.Login(AppKey, "bob", "t", 0)
	s.Login(AppKey, "ann", "wrong", 0)
	s.Advance(time.Minute)
	s.Login(AppKey, "ann", "t", 0)
	s.Advance(time.Minute)
	wantCode(t, v1(t, s, "block", "accid", "ann", "needkick", "true"), 200, "")
	s.Advance(time.Minute)
	wantCode(t, v1(t, s, "block", "accid", "ann", "needkick", "true"), 200, "") // nobody is left
	wantCode(t, v1(t, s, "unblock", "accid", "ann"), 200, "")
	s.Login(AppKey, "ann", "t", 0)

	want := []Session{
		{Device: "device-1", Token: "t", Opened: now, Kicked: now.Add(2 * time.Minute), KickedBy: Block},
		{Device: "device-3", Token: "t", Opened: now.Add(time.Minute), Kicked: now.Add(2 * time.Minute), KickedBy: Block},
		{Device: "device-4", Token: "t", Opened: now.Add(3 * time.Minute)},
	}
	if d := cmp.Diff(want, s.Sessions("aNN")); d != "" {
		t.Error(d)
	}
	if list := s.Sessions("bob"); len(list) != 1 || !list[0].Live() {
		t.Errorf("somebody else's sessions: %+v", list)
	}
	if list := s.Sessions("nobody"); list != nil {
		t.Errorf("sessions of nobody: %+v", list)
	}
	var kicked []int
	for _, e := range s.Journal(Block) {
		kicked = append(kicked, e.Kicked)
	}
	if d := cmp.Diff([]int{2, 0}, kicked); d != "" {
		t.Error(d)
	}
	s.Sessions("ann")[2].Token = "changed"
	if s.Sessions("ann")[2].Token != "t" {
		t.Error("the caller has the simulator's own list")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := New(Config{})
	s.Add(Account{Accid: "a", Token: "t", Live: maxSessions + 10, Kicked: 1})
	if n := len(s.Sessions("a")); n > maxSessions || n < maxSessions/2 {
		t.Errorf("%d sessions", n)
	}
}

// v1 has one call that kicks. A parameter that belongs to another is ignored.
func TestOnlyBlockKicksInV1(t *testing.T) {
	s := New(Config{})
	s.Add(Account{Accid: "a", Token: "t", Live: 1})
	for _, action := range []string{"update", "unblock", "refreshToken", "updateUinfo"} {
		v1(t, s, action, "accid", "a", "needkick", "true", "enabled", "false")
		if a, _ := s.Account("a"); a.Live != 1 || a.Blocked {
			t.Errorf("%s: %+v", action, a)
		}
	}
	v1(t, s, "block", "accid", "a", "needkick", "false")
	if a, _ := s.Account("a"); a.Live != 1 || !a.Blocked {
		t.Errorf("block: %+v", a)
	}
}

func TestKickTypes(t *testing.T) {
	for body, want := range map[string]string{
		`{"type":1}`: "",
		`{"type":1,"device_id_list":null,"kick_notify_extension":"x"}`: "",
		`{"type":2,"device_id_list":["device-1","device-9"]}`:          "device-2 device-3",
		`{"type":3,"device_id_list":["device-1"]}`:                     "device-1",
		`{"type":2}`:                      "device-1 device-2 device-3",
		`{}`:                              "414",
		`{"type":4}`:                      "414",
		`{"type":2,"device_id_list":"x"}`: "414",
		`{"type":2,"device_id_list":[1]}`: "414",
		`{"type":2,"device_id_list":[` + strings.TrimSuffix(strings.Repeat(`"d",`, 21), ",") + `]}`: "414",
	} {
		s := New(Config{})
		s.Add(Account{Accid: "a", Token: "t", Live: 3})
		reply := v2(t, s, "POST", "accounts/a/actions/kick", body)
		var live []string
		for _, session := range s.Sessions("a") {
			if session.Live() {
				live = append(live, session.Device)
			}
		}
		if got := strings.Join(live, " "); reply["code"] == 200.0 && got != want || reply["code"] == 414.0 && (want != "414" || len(live) != 3) {
			t.Errorf("%s: %v left, reply %v, want %q", body, got, reply, want)
		}
	}
}

// failed_list comes as a list and as an object, empty or not.
func TestKickReply(t *testing.T) {
	forms := make(map[string]bool)
	for seed := range uint64(40) {
		for _, fails := range []bool{false, true} {
			s := New(Config{Seed: seed, Behaviour: Behaviour{KickFails: fails}})
			s.Add(Account{Accid: "a", Token: "t", Live: 1})
			data := v2(t, s, "POST", "accounts/a/actions/kick", `{"type":1}`)["data"].(map[string]any)
			_, object := data["failed_list"].(map[string]any)
			forms[fmt.Sprint(fails, object)] = true
			a, _ := s.Account("a")
			if done := len(data["success_list"].([]any)); fails != (a.Live == 1) || fails != (done == 0) || fails != strings.Contains(fmt.Sprint(data["failed_list"]), "device-1") {
				t.Errorf("fails %v: %v, account %+v", fails, data, a)
			}
		}
	}
	if len(forms) != 4 {
		t.Errorf("forms of the reply seen: %v", forms)
	}
}

func TestV2Block(t *testing.T) {
	s := New(Config{Behaviour: Behaviour{Plain: true}})
	s.Add(Account{Accid: "a", Token: "t", Live: 1})
	disable := func(path, body string, live int, blocked bool) {
		t.Helper()
		got := v2(t, s, "PATCH", path, body)
		want := map[string]any{"code": 200.0, "msg": "success", "data": map[string]any{
			"account_id": "a", "configuration": map[string]any{"enabled": !blocked, "p2p_chat_banned": false},
		}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if a, _ := s.Account("a"); a.Live != live || a.Blocked != blocked {
			t.Errorf("%s %s: %+v", path, body, a)
		}
	}
	disable("accounts/a/actions/disable", `{"enabled":false}`, 1, true)
	disable("accounts/a/actions/disable", `{"enabled":true}`, 1, false)
	disable("accounts/a", `{"configuration":{"enabled":false}}`, 1, true)
	disable("accounts/a", `{"token":"u"}`, 1, true)
	disable("accounts/a/actions/disable", `{"enabled":true,"need_kick":true}`, 0, false)
	s.Add(Account{Accid: "a", Token: "t", Live: 1, Kicked: 2})
	if a, _ := s.Account("a"); a.Live != 1 || a.Kicked != 2 {
		t.Errorf("account %+v", a)
	}
	disable("accounts/a", `{"configuration":{"enabled":true},"need_kick":true}`, 0, false)
	if a, _ := s.Account("a"); a.Kicked != 3 {
		t.Errorf("account %+v", a)
	}
	v2(t, s, "POST", "accounts", `{"account_id":"b","configuration":{"enabled":false}}`)
	if b, _ := s.Account("b"); !b.Blocked {
		t.Errorf("made blocked: %+v", b)
	}
}

// Blocking and unblocking are one interface in v2, so they share its limit.
func TestV2BlockFrequency(t *testing.T) {
	now := time.Unix(1760000000, 0)
	s := New(Config{PerSecond: 1, Now: func() time.Time { return now }})
	s.Add(Account{Accid: "a"})
	v2(t, s, "PATCH", "accounts/a/actions/disable", `{"enabled":false}`)
	wantCode(t, v2(t, s, "PATCH", "accounts/a/actions/disable", `{"enabled":true}`), 416, "api call frequency limit")
}

func TestGetAccounts(t *testing.T) {
	s := New(Config{Behaviour: Behaviour{Plain: true}})
	s.Add(Account{Accid: "a", Token: "secret"})
	s.Add(Account{Accid: "b", Blocked: true})
	got := v2(t, s, "GET", "accounts?account_ids=A,nobody,b", "")["data"]
	want := map[string]any{
		"success_list": []any{
			map[string]any{"account_id": "a", "configuration": map[string]any{"enabled": true}},
			map[string]any{"account_id": "b", "configuration": map[string]any{"enabled": false}},
		},
		"failed_list": []any{map[string]any{"account_id": "nobody", "error_code": 102404.0, "error_msg": "account not exist"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if e := s.Journal(GetAccounts)[0]; e.Path != "/im/v2/accounts" || e.Query != "account_ids=A,nobody,b" || e.Method != http.MethodGet {
		t.Errorf("journal %+v", e)
	}
	for _, query := range []string{"", "?account_ids=", "?account_ids=" + strings.Repeat("a,", 100) + "a"} {
		wantCode(t, v2(t, s, "GET", "accounts"+query, ""), 414, "parameter error")
	}
}
