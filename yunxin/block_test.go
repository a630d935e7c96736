package yunxin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/yunxin/yunxintest"

	"github.com/google/go-cmp/cmp"
)

// variants runs a test in both generations, and with both answers that Yunxin
// may give about a blocked account.
func variants(t *testing.T, test func(t *testing.T, sim *yunxintest.Server, api string)) {
	t.Helper()
	for name, behaviour := range map[string]yunxintest.Behaviour{"accepts": {}, "refuses": {BlockedRefuses: true}} {
		t.Run(name, func(t *testing.T) { both(t, yunxintest.Config{Behaviour: behaviour}, test) })
	}
}

func login(sim *yunxintest.Server, accid, token string) int {
	return sim.Login(yunxintest.AppKey, accid, token, 0)
}

// live lists the tokens with which an account's live sessions logged in.
func live(sim *yunxintest.Server, accid string) []string {
	var list []string
	for _, s := range sim.Sessions(accid) {
		if s.Live() {
			list = append(list, s.Token)
		}
	}
	return list
}

func isUnknown(t *testing.T, err error) {
	t.Helper()
	if wantKind(t, err, KindUnknownAccount); !errors.Is(err, ErrUnknownAccount) || errors.Is(err, ErrExists) {
		t.Errorf("%v is not ErrUnknownAccount, or ErrExists", err)
	}
}

func TestBlock(t *testing.T) {
	variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "cheat", Token: "t"})
		sim.Add(yunxintest.Account{Accid: "other", Token: "t", Live: 1})
		login(sim, "cheat", "t")
		login(sim, "cheat", "t")
		for range 3 {
			if err := c.Block(t.Context(), "Cheat"); err != nil {
				t.Fatal(err)
			}
			if got := login(sim, "cheat", "t"); got != 422 || len(live(sim, "cheat")) != 0 {
				t.Errorf("blocked: login %d, %d sessions live", got, len(live(sim, "cheat")))
			}
		}
		for _, s := range sim.Sessions("cheat") {
			if s.KickedBy != yunxintest.Block {
				t.Errorf("session %+v", s)
			}
		}
		for range 2 {
			if err := c.Unblock(t.Context(), "CHEAT"); err != nil {
				t.Fatal(err)
			}
			if got := login(sim, "cheat", "t"); got != 200 {
				t.Errorf("unblocked: login %d", got)
			}
		}
		if a, _ := sim.Account("other"); a.Live != 1 || a.Blocked {
			t.Errorf("another account: %+v", a)
		}
		isUnknown(t, c.Block(t.Context(), "nobody"))
		isUnknown(t, c.Unblock(t.Context(), "nobody"))
	})
}

func TestBlockWire(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	sim.Add(yunxintest.Account{Accid: "a@b"})
	for _, api := range []string{"v1", "v2"} {
		c := client(t, sim, api)
		for _, err := range []error{
			c.Block(t.Context(), "a@b"), c.Unblock(t.Context(), "a@b"),
			c.Withdraw(t.Context(), "a@b", "t"), c.Withdraw(t.Context(), "a@b", ""),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for _, e := range sim.Journal("") {
		body := string(e.Body)
		if e.Version == "v1" {
			body, _ = url.QueryUnescape(body)
		}
		got = append(got, e.Method+" "+e.Path+" "+body)
	}
	want := []string{
		"POST /nimserver/user/block.action accid=a@b&needkick=true",
		"POST /nimserver/user/unblock.action accid=a@b",
		"POST /nimserver/user/update.action accid=a@b&token=t",
		"POST /nimserver/user/block.action accid=a@b&needkick=true",
		"POST /nimserver/user/unblock.action accid=a@b",
		"POST /nimserver/user/block.action accid=a@b&needkick=true",
		"POST /nimserver/user/unblock.action accid=a@b",
		`PATCH /im/v2/accounts/a@b/actions/disable {"enabled":false,"need_kick":true}`,
		`PATCH /im/v2/accounts/a@b/actions/disable {"enabled":true}`,
		`PATCH /im/v2/accounts/a@b {"need_kick":true,"token":"t"}`,
		`POST /im/v2/accounts/a@b/actions/kick {"type":1}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWithdraw(t *testing.T) {
	variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "a", Token: "old", Name: "n"})
		login(sim, "a", "old")
		login(sim, "a", "old")
		for range 2 {
			if err := c.Withdraw(t.Context(), "A", "new"); err != nil {
				t.Fatal(err)
			}
			if a, _ := sim.Account("a"); a.Token != "new" || a.Blocked || a.Live != 0 || a.Name != "n" {
				t.Errorf("account %+v", a)
			}
			if old, now := login(sim, "a", "old"), login(sim, "a", "new"); old != 302 || now != 200 {
				t.Errorf("logins: old token %d, new token %d", old, now)
			}
		}
		isUnknown(t, c.Withdraw(t.Context(), "nobody", "new"))
		isUnknown(t, c.Withdraw(t.Context(), "nobody", ""))
	})
}

// With dynamic tokens there is none to replace, and the static one, which
// nobody uses, is left alone.
func TestWithdrawWithoutToken(t *testing.T) {
	variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
		sim.Add(yunxintest.Account{Accid: "a", Token: "unused", Live: 3})
		if err := client(t, sim, api).Withdraw(t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
		if a, _ := sim.Account("a"); a.Token != "unused" || a.Live != 0 || a.Kicked != 3 || a.Blocked {
			t.Errorf("account %+v", a)
		}
	})
}

// withdrawSteps are the interfaces that Withdraw calls, in order.
var withdrawSteps = map[string][]string{
	"v1": {yunxintest.UpdateToken, yunxintest.Block, yunxintest.Unblock},
	"v2": {yunxintest.UpdateToken},
}

// Withdraw fails in each of its steps, before or after that had an effect, and
// the holder of the old token tries to come in at every moment. Repeated, it
// comes to the same end as if nothing had gone wrong.
func TestWithdrawInterrupted(t *testing.T) {
	faults := map[string]yunxintest.Fault{
		"not sent on": {Reset: true, Times: 2},
		"done, lost":  {Drop: true, Times: 2},
		"done, cut":   {Cut: true, Times: 2},
		"502":         {Status: 502, Times: 2},
		"500":         {Code: 500, Times: 2},
		"416":         {Code: 416},
		"auth":        {Code: 403},
	}
	for name, fault := range faults {
		for _, step := range withdrawSteps["v1"] {
			fault.API = step
			t.Run(name+" at "+step, func(t *testing.T) {
				variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
					if !slices.Contains(withdrawSteps[api], step) {
						t.Skip("no step of this generation")
					}
					c := client(t, sim, api)
					sim.Add(yunxintest.Account{Accid: "a", Token: "old"})
					login(sim, "a", "old")
					sim.Inject(fault)
					if err := c.Withdraw(t.Context(), "a", "new"); err == nil {
						t.Fatal("the fault went unnoticed")
					}
					login(sim, "a", "old")
					if name == "416" {
						sent := len(sim.Journal(step))
						wantKind(t, c.Withdraw(t.Context(), "a", "new"), KindRate)
						if len(sim.Journal(step)) != sent {
							t.Error("a shut interface was called")
						}
						login(sim, "a", "old")
						sim.Advance(shutFor + shutJitter)
					}
					if err := c.Withdraw(t.Context(), "a", "new"); err != nil {
						t.Fatal(err)
					}
					if a, _ := sim.Account("a"); a.Token != "new" || a.Blocked || a.Live != 0 {
						t.Errorf("account %+v", a)
					}
					if old, now := login(sim, "a", "old"), login(sim, "a", "new"); old != 302 || now != 200 {
						t.Errorf("logins: old token %d, new token %d", old, now)
					}
				})
			})
		}
	}
}

// One fault in any step is no failure yet.
func TestWithdrawRetries(t *testing.T) {
	for _, fault := range []yunxintest.Fault{{Reset: true}, {Drop: true}, {Cut: true}, {Status: 504}, {Code: 500}, {Code: 102449}} {
		variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
			sim.Add(yunxintest.Account{Accid: "a", Token: "old", Live: 2})
			for _, step := range withdrawSteps[api] {
				fault := fault
				fault.API = step
				sim.Inject(fault)
			}
			if err := client(t, sim, api).Withdraw(t.Context(), "a", "new"); err != nil {
				t.Fatalf("%+v: %v", fault, err)
			}
			if a, _ := sim.Account("a"); a.Token != "new" || a.Blocked || a.Live != 0 || len(sim.Journal("")) != 2*len(withdrawSteps[api]) {
				t.Errorf("%+v: account %+v after %d calls", fault, a, len(sim.Journal("")))
			}
		})
	}
}

// In v1 a Withdraw that finds the way back shut does not lock the player out,
// but the old token is dead all the same.
func TestWithdrawNotBegun(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	c := client(t, sim, "v1")
	sim.Add(yunxintest.Account{Accid: "a", Token: "old"})
	sim.Inject(yunxintest.Fault{API: yunxintest.Unblock, Code: 416})
	wantKind(t, c.Unblock(t.Context(), "a"), KindRate)
	err := c.Withdraw(t.Context(), "a", "new")
	if e := wantKind(t, err, KindRate); e.API != "unblock" || e.RetryAfter <= 0 {
		t.Errorf("%+v", e)
	}
	if a, _ := sim.Account("a"); a.Blocked || a.Token != "new" || len(sim.Journal(yunxintest.Block)) != 0 {
		t.Errorf("account %+v", a)
	}
}

// A Withdraw died while the account was blocked, and the next one has another
// token to set. Where Yunxin refuses that, it must not be left out.
func TestWithdrawAfterAnother(t *testing.T) {
	variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
		if api != "v1" {
			t.Skip("v2 needs no block")
		}
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "a", Token: "old", Live: 1})
		sim.Inject(yunxintest.Fault{API: yunxintest.Unblock, Reset: true, Times: 2})
		unavailable(t, c.Withdraw(t.Context(), "a", "newer"))
		if a, _ := sim.Account("a"); !a.Blocked || a.Token != "newer" {
			t.Fatalf("account %+v", a)
		}
		if err := c.Withdraw(t.Context(), "a", "newest"); err != nil {
			t.Fatal(err)
		}
		if a, _ := sim.Account("a"); a.Blocked || a.Token != "newest" || a.Live != 0 {
			t.Errorf("account %+v", a)
		}
	})
}

// v2 needs no block to kick, so it lifts none.
func TestWithdrawOfBlockedInV2(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		for _, token := range []string{"new", ""} {
			sim := yunxintest.NewServer(yunxintest.Config{Behaviour: yunxintest.Behaviour{BlockedRefuses: refuses}})
			defer sim.Close()
			sim.Add(yunxintest.Account{Accid: "a", Token: "old", Blocked: true})
			err := client(t, sim, "v2").Withdraw(t.Context(), "a", token)
			if refuses {
				wantKind(t, err, KindBlocked)
			} else if err != nil {
				t.Error(err)
			}
			if a, _ := sim.Account("a"); !a.Blocked {
				t.Errorf("account %+v", a)
			}
		}
	}
}

// Several replicas withdraw at once, with the same token.
func TestWithdrawParallel(t *testing.T) {
	variants(t, func(t *testing.T, sim *yunxintest.Server, api string) {
		replicas := []*Client{client(t, sim, api), client(t, sim, api), client(t, sim, api)}
		sim.Add(yunxintest.Account{Accid: "a", Token: "old", Live: 5})
		var wg sync.WaitGroup
		for _, c := range replicas {
			wg.Go(func() {
				// Refused in the middle of another one's block: repeated.
				for c.Withdraw(t.Context(), "a", "new") != nil && t.Context().Err() == nil {
				}
			})
		}
		wg.Wait()
		if a, _ := sim.Account("a"); a.Token != "new" || a.Blocked || a.Live != 0 {
			t.Errorf("account %+v", a)
		}
	})
}

// A kick that leaves a connection open is none, whatever code it comes with.
func TestWithdrawKickFails(t *testing.T) {
	for seed := range uint64(8) { // both forms of failed_list
		sim := yunxintest.NewServer(yunxintest.Config{Seed: seed, Behaviour: yunxintest.Behaviour{KickFails: true}})
		defer sim.Close()
		c := client(t, sim, "v2")
		sim.Add(yunxintest.Account{Accid: "a", Live: 1})
		err := c.Withdraw(t.Context(), "a", "")
		if e := wantKind(t, err, KindRetry); e.API != "kick" || e.Code != 500 || e.Desc != "internal server error" {
			t.Errorf("%+v", e)
		}
		sim.Change(func(b *yunxintest.Behaviour) { b.KickFails = false })
		if err := c.Withdraw(t.Context(), "a", ""); err != nil || len(live(sim, "a")) != 0 {
			t.Errorf("repeated: %v, %d live", err, len(live(sim, "a")))
		}
	}
}

func TestKickReplies(t *testing.T) {
	for list, failed := range map[string]bool{
		`[]`: false, `{}`: false, `null`: false, `"x"`: false, `[{}]`: false, `{"device_id":"","error_code":0}`: false,
		`[{"device_id":"d"}]`: true, `[{},{"error_code":7}]`: true, `{"device_id":"d"}`: true, `{"error_msg":"x"}`: true,
	} {
		r, err := decodeReply([]byte(`{"code":200,"data":{"success_list":[],"failed_list":` + list + `}}`))
		if _, _, got := r.failedKick(); got != failed || err != nil {
			t.Errorf("%s: failed %v, %v", list, got, err)
		}
	}
	for _, body := range []string{`{"code":200}`, `{"code":200,"data":[]}`, `{"code":200,"data":"x"}`} {
		if r, _ := decodeReply([]byte(body)); r.data != nil {
			if _, _, failed := r.failedKick(); failed {
				t.Errorf("%s failed", body)
			}
		}
	}
}

func TestBlockPrimaryDown(t *testing.T) {
	for _, api := range []string{"v1", "v2"} {
		primary, backup, c := pair(t, api)
		primary.Add(yunxintest.Account{Accid: "a", Token: "old", Live: 1})
		primary.Close()
		if err := c.Withdraw(t.Context(), "a", "new"); err != nil {
			t.Fatal(err)
		}
		if err := c.Block(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if a, _ := backup.Account("a"); a.Live != 0 || a.Token != "new" || !a.Blocked {
			t.Errorf("%s: account %+v", api, a)
		}
	}
}

// In v1 nothing but its text tells "no such account" from a wrong signature; to
// take that for "nothing to do" would leave a cheat in.
func TestUnknownIsNotAuth(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api, func(cfg *Config) { cfg.AppSecret = "wrong" })
		sim.Add(yunxintest.Account{Accid: "a", Token: "old", Live: 1})
		for _, err := range []error{c.Block(t.Context(), "a"), c.Unblock(t.Context(), "a"), c.Withdraw(t.Context(), "a", "t"), c.Withdraw(t.Context(), "a", "")} {
			if wantKind(t, err, KindAuth); errors.Is(err, ErrUnknownAccount) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestBlockBadRequests(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		for _, accid := range []string{"", "..", "a/b", "a/actions/kick", "\u212a", strings.Repeat("a", 33)} {
			wantKind(t, c.Block(t.Context(), accid), KindBadRequest)
			wantKind(t, c.Unblock(t.Context(), accid), KindBadRequest)
			wantKind(t, c.Withdraw(t.Context(), accid, ""), KindBadRequest)
		}
		wantKind(t, c.Withdraw(t.Context(), "a", strings.Repeat("t", 129)), KindBadRequest)
		if got := sim.Journal(""); len(got) != 0 {
			t.Errorf("%d calls were sent, first %s", len(got), got[0].Path)
		}
	})
}

func TestBlockObserve(t *testing.T) {
	want := map[string][]string{
		"v1": {"block ok", "unblock ok", "update_token ok", "block ok", "unblock ok", "block ok", "unblock ok"},
		"v2": {"block ok", "unblock ok", "update_token ok", "kick ok"},
	}
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		var seen []string
		c := client(t, sim, api, func(cfg *Config) {
			cfg.Observe = func(api, class string, _ time.Duration) { seen = append(seen, api+" "+class) }
		})
		sim.Add(yunxintest.Account{Accid: "a"})
		c.Block(t.Context(), "a")
		c.Unblock(t.Context(), "a")
		c.Withdraw(t.Context(), "a", "t")
		c.Withdraw(t.Context(), "a", "")
		if d := cmp.Diff(want[api], seen); d != "" {
			t.Error(d)
		}
	})
}

// UpdateProfile clears what a person left behind, given a neutral name.
func TestUpdateProfileClears(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		sim.Add(yunxintest.Account{Accid: "a", Token: "t", Name: "阿强", Avatar: "https://a/1"})
		if err := client(t, sim, api).UpdateProfile(t.Context(), "a", "玩家1234", ""); err != nil {
			t.Fatal(err)
		}
		if a, _ := sim.Account("a"); a.Name != "玩家1234" || a.Avatar != "" {
			t.Errorf("account %+v", a)
		}
		isUnknown(t, client(t, sim, api).UpdateProfile(t.Context(), "nobody", "玩家1234", ""))
	})
}

// A server that repeats all that it is given, also inside a kick's failed_list.
func TestBlockRedaction(t *testing.T) {
	const secret, token = "5ecre7value1", "70ken-of-the-player"
	for name, reply := range map[string]func(w http.ResponseWriter, echo string){
		"text": func(w http.ResponseWriter, echo string) {
			fmt.Fprintf(w, `{"code":414,"desc":%q,"msg":%q}`, echo, echo)
		},
		"kick": func(w http.ResponseWriter, echo string) {
			fmt.Fprintf(w, `{"code":200,"data":{"failed_list":{"error_code":1,"error_msg":%q}}}`, echo)
		},
		"body": func(w http.ResponseWriter, echo string) { io.WriteString(w, echo) },
	} {
		t.Run(name, func(t *testing.T) {
			var sums []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				sums = append(sums, r.Header.Get("CheckSum"))
				reply(w, fmt.Sprintf("%s %s %s\nforged log line", secret, r.Header.Get("CheckSum"), body))
			}))
			defer srv.Close()
			var texts []string
			for _, api := range []string{"v1", "v2"} {
				c := New(Config{AppKey: "key", AppSecret: secret, API: api, URLs: []string{srv.URL}, HTTP: srv.Client()})
				for _, err := range []error{c.Withdraw(t.Context(), "a", token), c.Withdraw(t.Context(), "a", ""), c.Block(t.Context(), "a"), c.Unblock(t.Context(), "a")} {
					if err != nil {
						structure, _ := json.Marshal(err)
						texts = append(texts, err.Error(), fmt.Sprintf("%+v", err), string(structure))
					}
				}
			}
			all := strings.Join(texts, "|")
			for _, private := range append(sums, secret, token) {
				if strings.Contains(all, private) {
					t.Errorf("%q in %s", private, all)
				}
			}
			if len(texts) < 6 || len(sums) == 0 || strings.Contains(all, "\nforged") {
				t.Errorf("%d texts: %s", len(texts), all)
			}
		})
	}
}
