package yunxin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/yunxin/yunxintest"

	"github.com/google/go-cmp/cmp"
)

// The client is tested against the simulator over real connections, in both
// generations of the API.

// both runs a test with a fresh simulator for each generation.
func both(t *testing.T, cfg yunxintest.Config, test func(t *testing.T, sim *yunxintest.Server, api string)) {
	t.Helper()
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			sim := yunxintest.NewServer(cfg)
			t.Cleanup(sim.Close)
			test(t, sim, api)
		})
	}
}

// client returns a client of the simulator, on its clock.
func client(t *testing.T, sim *yunxintest.Server, api string, edit ...func(*Config)) *Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{
		AppKey:    yunxintest.AppKey,
		AppSecret: yunxintest.AppSecret,
		API:       api,
		URLs:      []string{base(sim, api)},
		HTTP:      &http.Client{Transport: transport},
		Now:       sim.Now,
	}
	for _, e := range edit {
		e(&cfg)
	}
	return New(cfg)
}

func base(sim *yunxintest.Server, api string) string {
	if api == "v1" {
		return sim.URL + "/nimserver"
	}
	return sim.URL
}

func wantKind(t *testing.T, err error, want Kind) *APIError {
	t.Helper()
	var e *APIError
	if !errors.As(err, &e) || e.Kind() != want {
		t.Fatalf("error %v, want one of kind %s", err, want)
	}
	return e
}

// codes lists what the calls of an interface were answered.
func codes(sim *yunxintest.Server, api string) []int {
	var list []int
	for _, e := range sim.Journal(api) {
		list = append(list, e.Code)
	}
	return list
}

func TestCreate(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		a := Account{Accid: "Wx_0001", Token: "t1", Name: "抓娃娃 A&B", Avatar: "https://thirdwx.qlogo.cn/mmopen/x/132"}
		accid, err := c.Create(t.Context(), a)
		if err != nil || accid != "wx_0001" {
			t.Fatalf("Create = %q, %v", accid, err)
		}
		want := yunxintest.Account{Accid: "wx_0001", Token: "t1", Name: a.Name, Avatar: a.Avatar}
		if got, _ := sim.Account("wx_0001"); got != want {
			t.Errorf("account %+v, want %+v", got, want)
		}

		_, err = c.Create(t.Context(), Account{Accid: "wx_0001", Token: "t2", Name: "x"})
		if !errors.Is(err, ErrExists) {
			t.Errorf("second Create: %v, want ErrExists", err)
		}
		wantKind(t, err, KindExists)
		if got, _ := sim.Account("wx_0001"); got != want {
			t.Errorf("a second Create changed the account to %+v", got)
		}
	})
}

// Without name, avatar and token nothing is sent for them, so that Yunxin's
// defaults apply.
func TestCreateBare(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		if _, err := client(t, sim, api).Create(t.Context(), Account{Accid: "a"}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[string]string{"accid": "a"}, sim.Journal("")[0].Params); d != "" {
			t.Error(d)
		}
	})
}

func TestWireV1(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	c := client(t, sim, "v1")
	c.Create(t.Context(), Account{Accid: "wx_0001", Name: "抓娃娃 A&B", Avatar: "https://thirdwx.qlogo.cn/mmopen/x/132"})
	c.SetToken(t.Context(), "wx_0001", "t")
	c.UpdateProfile(t.Context(), "wx_0001", "x", "")

	journal := sim.Journal("")
	paths := []string{"/nimserver/user/create.action", "/nimserver/user/update.action", "/nimserver/user/updateUinfo.action"}
	for i, e := range journal {
		if e.Method != "POST" || e.Path != paths[i] || e.Header.Get("Content-Type") != "application/x-www-form-urlencoded;charset=utf-8" || e.Code != 200 {
			t.Errorf("%s %s as %q answered %d", e.Method, e.Path, e.Header.Get("Content-Type"), e.Code)
		}
	}
	// Vector of the form encoding; the order of fields is free.
	want := "accid=wx_0001&name=%E6%8A%93%E5%A8%83%E5%A8%83+A%26B&icon=https%3A%2F%2Fthirdwx.qlogo.cn%2Fmmopen%2Fx%2F132"
	sorted := func(s string) []string { return slices.Sorted(slices.Values(strings.Split(s, "&"))) }
	if d := cmp.Diff(sorted(want), sorted(string(journal[0].Body))); d != "" {
		t.Error(d)
	}
	if form, _ := url.ParseQuery(string(journal[2].Body)); !form.Has("icon") {
		t.Error("an empty avatar is not sent, so it cannot clear")
	}
}

func TestWireV2(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{})
	defer sim.Close()
	// The vendor's SDK reaches v2 below v1's prefix, and a slash at the base's end is a slip.
	c := client(t, sim, "v2", func(cfg *Config) { cfg.URLs = []string{sim.URL + "/nimserver/"} })
	c.Create(t.Context(), Account{Accid: "a@b", Token: "t", Name: "n", Avatar: "https://a/1"})
	c.SetToken(t.Context(), "a@b", "t")
	c.UpdateProfile(t.Context(), "a@b", "", "")

	var got []string
	var bodies []any
	for _, e := range sim.Journal("") {
		if e.Header.Get("Content-Type") != "application/json" || e.Code != 200 {
			t.Errorf("%s as %q answered %d", e.Path, e.Header.Get("Content-Type"), e.Code)
		}
		var body any
		json.Unmarshal(e.Body, &body)
		got, bodies = append(got, e.Method+" "+e.Path), append(bodies, body)
	}
	want := []string{"POST /nimserver/im/v2/accounts", "PATCH /nimserver/im/v2/accounts/a@b", "PATCH /nimserver/im/v2/users/a@b"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wantBodies := []any{
		map[string]any{"account_id": "a@b", "token": "t", "user_information": map[string]any{"name": "n", "avatar": "https://a/1"}},
		map[string]any{"token": "t"},
		map[string]any{"avatar": ""},
	}
	if d := cmp.Diff(wantBodies, bodies); d != "" {
		t.Error(d)
	}
}

func TestHeaders(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		sim.Inject(yunxintest.Fault{Reset: true, Times: 1})
		sim.Inject(yunxintest.Fault{Code: 500, After: 1})
		c := client(t, sim, api, func(cfg *Config) {
			cfg.AppKey, cfg.AppSecret = "\ufeff"+cfg.AppKey+"\n", cfg.AppSecret+" \r\n"
		})
		for _, accid := range []string{"a", "b", "c"} {
			if _, err := c.Create(t.Context(), Account{Accid: accid}); err != nil {
				t.Fatal(err)
			}
		}
		if c.AppKey() != yunxintest.AppKey {
			t.Errorf("AppKey %q", c.AppKey())
		}
		nonces := make(map[string]bool)
		journal := sim.Journal("")
		for _, e := range journal {
			nonces[e.Header.Get("Nonce")] = true
			for _, name := range []string{"RequestId", "X-Custom-Traceid"} {
				if e.Header.Get(name) != "" {
					t.Errorf("header %s is sent", name)
				}
			}
		}
		if len(journal) != 5 || len(nonces) != len(journal) {
			t.Errorf("%d attempts with %d nonces, want 5 with one each", len(journal), len(nonces))
		}
	})
}

func TestSetToken(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "a", Token: "old"})
		if err := c.SetToken(t.Context(), "A", "new"); err != nil {
			t.Fatal(err)
		}
		if old, now := sim.Login(yunxintest.AppKey, "a", "old", 0), sim.Login(yunxintest.AppKey, "a", "new", 0); old != 302 || now != 200 {
			t.Errorf("old token %d, new token %d", old, now)
		}
		wantKind(t, c.SetToken(t.Context(), "nobody", "t"), KindUnknownAccount)
		sim.Change(func(b *yunxintest.Behaviour) { b.BlockedRefuses = true })
		sim.Add(yunxintest.Account{Accid: "cheat", Blocked: true})
		wantKind(t, c.SetToken(t.Context(), "cheat", "t"), KindBlocked)

		sim.ClearJournal()
		wantKind(t, c.SetToken(t.Context(), "a", ""), KindBadRequest)
		wantKind(t, c.SetToken(t.Context(), "a", strings.Repeat("t", 129)), KindBadRequest)
		if len(sim.Journal("")) != 0 {
			t.Error("an impossible token was sent")
		}
	})
}

func TestUpdateProfile(t *testing.T) {
	both(t, yunxintest.Config{Behaviour: yunxintest.Behaviour{AntispamWords: []string{"加微信"}}}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "a", Token: "t", Name: "old", Avatar: "https://a/old"})
		steps := []struct{ name, avatar, wantName, wantAvatar string }{
			{" new\n", "https://a/new", "new", "https://a/new"},
			{"\u200b", "https://a/newer", "new", "https://a/newer"}, // nothing left of the name
			{"x", "", "x", ""},
		}
		for _, step := range steps {
			if err := c.UpdateProfile(t.Context(), "a", step.name, step.avatar); err != nil {
				t.Fatal(err)
			}
			if a, _ := sim.Account("a"); a.Name != step.wantName || a.Avatar != step.wantAvatar || a.Token != "t" {
				t.Errorf("after %q, %q: %+v", step.name, step.avatar, a)
			}
		}
		if err := c.UpdateProfile(t.Context(), "a", "加微信", ""); err == nil {
			t.Error("a refused name passed")
		}
		wantKind(t, c.UpdateProfile(t.Context(), "nobody", "x", ""), KindUnknownAccount)
	})
}

// What does not fit into an account id never gets near a URL, nor does a
// letter that folding would turn into another account's id.
func TestBadAccid(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		for _, accid := range []string{"", ".", "..", "a/b", "a b", "a%2fb", "a?b", "抓", "a\n", "\u212a", strings.Repeat("a", 33)} {
			_, err := c.Ensure(t.Context(), Account{Accid: accid, Token: "t"})
			wantKind(t, err, KindBadRequest)
			wantKind(t, c.SetToken(t.Context(), accid, "t"), KindBadRequest)
			wantKind(t, c.UpdateProfile(t.Context(), accid, "n", ""), KindBadRequest)
		}
		_, err := c.Create(t.Context(), Account{Accid: "a", Token: strings.Repeat("t", 129)})
		wantKind(t, err, KindBadRequest)
		if got := sim.Journal(""); len(got) != 0 {
			t.Errorf("%d calls were sent, first %s", len(got), got[0].Path)
		}
	})
}

// A reply that names another account must not be believed: this user would
// play as that one.
func TestMismatch(t *testing.T) {
	for api, body := range map[string]string{
		"v1":           `{"code":200,"info":{"accid":"other","token":"t"}}`,
		"v1 in string": `{"code":200,"info":"{\"accid\":\"other\"}"}`,
		"v2":           `{"code":200,"msg":"success","data":{"account_id":"other","token":"t"}}`,
		"v2 upper":     `{"code":200,"msg":"success","data":{"account_id":"A"}}`,
	} {
		t.Run(api, func(t *testing.T) {
			sim := yunxintest.NewServer(yunxintest.Config{})
			defer sim.Close()
			sim.Inject(yunxintest.Fault{Status: 200, Body: body})
			accid, err := client(t, sim, api[:2]).Ensure(t.Context(), Account{Accid: "a", Token: "t"})
			if !errors.Is(err, ErrMismatch) || accid != "" || len(sim.Journal("")) != 1 {
				t.Errorf("Ensure = %q, %v after %d calls", accid, err, len(sim.Journal("")))
			}
		})
	}
}

// Variants of a good reply that the documents leave open.
func TestLenientReplies(t *testing.T) {
	for name, body := range map[string]string{
		"v1 bare":            `{"code":200}`,
		"v1 object":          `{"info":{"name":"","accid":"a"},"code":200}`,
		"v1 string":          `{"info":"{\"accid\":\"a\"}","code":200}`,
		"v1 string, no JSON": `{"info":"created","code":200}`,
		"v1 code as string":  `{"code":"200","desc":null}`,
		"v2 success.":        `{"code":200,"msg":"success.","data":{"account_id":"a"},"later":[1]}`,
		"v2 odd msg":         `{"code":200,"msg":7,"data":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			sim := yunxintest.NewServer(yunxintest.Config{})
			defer sim.Close()
			sim.Inject(yunxintest.Fault{Status: 200, Body: body})
			if accid, err := client(t, sim, name[:2]).Create(t.Context(), Account{Accid: "A"}); accid != "a" || err != nil {
				t.Errorf("Create = %q, %v", accid, err)
			}
		})
	}
}

func TestObserve(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		var mu sync.Mutex
		var seen []string
		c := client(t, sim, api, func(cfg *Config) {
			cfg.Observe = func(api, class string, took time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				if took <= 0 {
					t.Errorf("%s took %v", api, took)
				}
				seen = append(seen, api+" "+class)
			}
		})
		sim.Inject(yunxintest.Fault{Status: 502})
		sim.Inject(yunxintest.Fault{API: yunxintest.UpdateToken, Code: 416})
		sim.Inject(yunxintest.Fault{API: yunxintest.UpdateProfile, Code: 500})
		c.Create(t.Context(), Account{Accid: "a"})
		c.Create(t.Context(), Account{Accid: "a"})
		c.SetToken(t.Context(), "a", "t")
		c.SetToken(t.Context(), "a", "t") // not sent
		c.UpdateProfile(t.Context(), "a", "n", "")
		c.UpdateProfile(t.Context(), "..", "n", "") // not sent
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		c.Create(gone, Account{Accid: "b"})
		want := []string{
			"create unavailable", "create ok", "create exists", "update_token rate",
			"update_profile retry", "update_profile ok", "create canceled",
		}
		if d := cmp.Diff(want, seen); d != "" {
			t.Error(d)
		}
	})
}

func TestNewRefusesUnknownAPI(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("API v3 was taken")
		}
	}()
	New(Config{API: "v3"})
}

func TestDefaults(t *testing.T) {
	for api, want := range map[string][]string{
		"":   {"https://open.yunxinapi.com", "https://open-bak.yunxinapi.com"},
		"v2": {"https://open.yunxinapi.com", "https://open-bak.yunxinapi.com"},
		"v1": {"https://api.yunxinapi.com/nimserver", "https://api-cn-bak.yunxinapi.com/nimserver"},
	} {
		c := New(Config{API: api})
		if !slices.Equal(c.urls, want) || c.timeout != 5*time.Second {
			t.Errorf("%q: %v, %v", api, c.urls, c.timeout)
		}
	}
}
