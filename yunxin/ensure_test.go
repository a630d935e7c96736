package yunxin

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"wxgate/yunxin/yunxintest"
)

func TestEnsure(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		a := Account{Accid: "User1", Token: StaticToken([]byte("secret"), "User1", 0), Name: "阿强"}
		for range 3 {
			if accid, err := c.Ensure(t.Context(), a); err != nil || accid != "user1" {
				t.Fatalf("Ensure = %q, %v", accid, err)
			}
			if got := sim.Login(yunxintest.AppKey, "user1", a.Token, 0); got != 200 {
				t.Errorf("login %d", got)
			}
		}
		if got := len(sim.Journal(yunxintest.RefreshToken)); got != 0 {
			t.Errorf("%d refreshes, which throw out other tabs", got)
		}
	})
}

// An account that another back end made keeps its profile and gets our token,
// or, with dynamic tokens, is left alone altogether.
func TestEnsureExisting(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		sim.Add(yunxintest.Account{Accid: "old", Token: "theirs", Name: "Old"})
		if accid, err := c.Ensure(t.Context(), Account{Accid: "OLD", Name: "New"}); err != nil || accid != "old" {
			t.Fatalf("Ensure = %q, %v", accid, err)
		}
		if a, _ := sim.Account("old"); a.Token != "theirs" || a.Name != "Old" || len(sim.Journal("")) != 1 {
			t.Errorf("without a token: %+v after %d calls", a, len(sim.Journal("")))
		}
		if _, err := c.Ensure(t.Context(), Account{Accid: "OLD", Name: "New", Token: "ours"}); err != nil {
			t.Fatal(err)
		}
		if a, _ := sim.Account("old"); a.Token != "ours" || a.Name != "Old" {
			t.Errorf("with a token: %+v", a)
		}
	})
}

// The account is made, the reply is lost: no later attempt gets its token from
// Yunxin, so it must be the one that we chose.
func TestEnsureCommitThenDrop(t *testing.T) {
	for name, fault := range map[string]yunxintest.Fault{
		"drop":       {API: yunxintest.Create, Drop: true},
		"cut":        {API: yunxintest.Create, Cut: true},
		"drop twice": {API: yunxintest.Create, Drop: true, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
				c := client(t, sim, api)
				sim.Inject(fault)
				a := Account{Accid: "a", Token: "t1", Name: "n"}
				_, err := c.Ensure(t.Context(), a)
				if fault.Times == 2 {
					if unavailable(t, err); sim.Accounts() != 1 {
						t.Fatal("the fault has not let the account be made")
					}
					_, err = c.Ensure(t.Context(), a) // the background retry
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := sim.Login(yunxintest.AppKey, "a", "t1", 0); got != 200 {
					t.Errorf("login %d", got)
				}
				if got, _ := sim.Account("a"); got.Name != "n" || sim.Accounts() != 1 {
					t.Errorf("account %+v of %d", got, sim.Accounts())
				}
			})
		})
	}
}

// The same, with a reply that comes too late instead of never.
func TestEnsureCommitThenTimeout(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api, func(cfg *Config) { cfg.Timeout = time.Second })
		sim.Inject(yunxintest.Fault{API: yunxintest.Create, Delay: time.Minute})
		if _, err := c.Ensure(t.Context(), Account{Accid: "a", Token: "t1"}); err != nil {
			t.Fatal(err)
		}
		if got := sim.Login(yunxintest.AppKey, "a", "t1", 0); got != 200 || len(sim.Journal(yunxintest.Create)) != 2 {
			t.Errorf("login %d after %d creates", got, len(sim.Journal(yunxintest.Create)))
		}
	})
}

// Several tabs on several replicas at a first login: one create wins, all end
// with the same valid token.
func TestEnsureParallel(t *testing.T) {
	both(t, yunxintest.Config{Behaviour: yunxintest.Behaviour{Contention: true}}, func(t *testing.T, sim *yunxintest.Server, api string) {
		replicas := []*Client{client(t, sim, api), client(t, sim, api), client(t, sim, api)}
		token := StaticToken([]byte("secret"), "a", 0)
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				accid, err := replicas[i%len(replicas)].Ensure(t.Context(), Account{Accid: "a", Token: token, Name: "n"})
				if err != nil || accid != "a" {
					t.Errorf("Ensure = %q, %v", accid, err)
				}
				if got := sim.Login(yunxintest.AppKey, "a", token, 0); got != 200 {
					t.Errorf("login %d", got)
				}
			})
		}
		wg.Wait()
		won := 0
		for _, code := range codes(sim, yunxintest.Create) {
			if code == 200 {
				won++
			}
		}
		if won != 1 || sim.Accounts() != 1 {
			t.Errorf("%d creates won, %d accounts", won, sim.Accounts())
		}
	})
}

// After a rotation of secrets the next Ensure sets the new secret's token; until
// then the old one stays valid.
func TestEnsureRotation(t *testing.T) {
	both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		older, newer := StaticToken([]byte("secret 1"), "a", 0), StaticToken([]byte("secret 2"), "a", 0)
		logins := func(want ...int) {
			t.Helper()
			if got := []int{sim.Login(yunxintest.AppKey, "a", older, 0), sim.Login(yunxintest.AppKey, "a", newer, 0)}; !slices.Equal(got, want) {
				t.Errorf("logins with older and newer token: %v, want %v", got, want)
			}
		}
		for _, step := range []struct {
			token        string
			older, newer int
		}{{older, 200, 302}, {newer, 302, 200}, {newer, 302, 200}} {
			if _, err := c.Ensure(t.Context(), Account{Accid: "a", Token: step.token}); err != nil {
				t.Fatal(err)
			}
			logins(step.older, step.newer)
		}
	})
}

func TestEnsureRefusedProfile(t *testing.T) {
	both(t, yunxintest.Config{Behaviour: yunxintest.Behaviour{AntispamWords: []string{"加微信"}}}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		a := Account{Accid: "a", Token: "t", Name: "快加微信", Avatar: "https://a/132", FallbackName: "玩家1234"}
		if _, err := c.Ensure(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		want := yunxintest.Account{Accid: "a", Token: "t", Name: "玩家1234"}
		if got, _ := sim.Account("a"); got != want {
			t.Errorf("account %+v, want %+v", got, want)
		}

		// A fallback that is no better is tried once, not for ever.
		sim.ClearJournal()
		if _, err := c.Ensure(t.Context(), Account{Accid: "b", Token: "t", Name: "加微信1", FallbackName: "加微信2"}); err == nil || len(sim.Journal("")) != 2 {
			t.Errorf("error %v after %d calls, want 2", err, len(sim.Journal("")))
		}
		sim.ClearJournal()
		if _, err := c.Ensure(t.Context(), Account{Accid: "b", Token: "t", FallbackName: "加微信2"}); err == nil || len(sim.Journal("")) != 1 {
			t.Errorf("error %v after %d calls, want 1", err, len(sim.Journal("")))
		}
		// Without any name Yunxin has nothing to refuse.
		if _, err := c.Ensure(t.Context(), Account{Accid: "b", Token: "t", Name: "加微信"}); err != nil {
			t.Error(err)
		}
	})
}

// Whatever v1 says to a name, with 405, 414 or 103451, the account is made.
func TestEnsureNameCodes(t *testing.T) {
	for _, code := range []int{405, 414, 103451} {
		both(t, yunxintest.Config{}, func(t *testing.T, sim *yunxintest.Server, api string) {
			sim.Inject(yunxintest.Fault{Code: code, Text: "name"})
			if _, err := client(t, sim, api).Ensure(t.Context(), Account{Accid: "a", Token: "t", Name: "n", FallbackName: "f"}); err != nil {
				t.Fatal(err)
			}
			if a, _ := sim.Account("a"); a.Name != "f" {
				t.Errorf("account %+v", a)
			}
		})
	}
}

func TestEnsureNastyNames(t *testing.T) {
	both(t, yunxintest.Config{PerSecond: 1000}, func(t *testing.T, sim *yunxintest.Server, api string) {
		c := client(t, sim, api)
		for i, nick := range nastyNames {
			a := Account{Accid: fmt.Sprintf("n%d", i), Token: "t", Name: nick, Avatar: nick, FallbackName: "玩家1234"}
			if _, err := c.Ensure(t.Context(), a); err != nil {
				t.Fatalf("%.40q: %v", nick, err)
			}
			got, _ := sim.Account(a.Accid)
			want := CleanName(nick)
			if want == "" {
				want = "玩家1234"
			}
			if got.Name != want {
				t.Errorf("%.40q became %q, want %q", nick, got.Name, want)
			}
		}
		if got := len(sim.Journal("")); got != len(nastyNames) {
			t.Errorf("%d calls for %d names: one was refused", got, len(nastyNames))
		}
	})
}

var nastyNames = []string{
	"", " ", "\x00", "\u202e\u200b", "<script>alert(1)</script>", `"},{"token":"x`, "a&accid=b&token=c", "a\r\nSet-Cookie: x",
	strings.Repeat("🎣", 10<<8), strings.Repeat("抓", 10<<10), strings.Repeat(" x", 10<<10), strings.Repeat("\u0301", 10<<10),
	"\xff\xfe\xfd", "abc\xf0\x9f\x8e", "\ud7ff\ufffe\ufdd0", "👨‍👩‍👧‍👦", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F",
	strings.Repeat("👨‍👩‍👧‍👦", 20), "%00%0a", "\u2028\u2029", "\ufeffBOM", "عربي", "'; DROP TABLE users;--",
}

func TestCleanName(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"阿强", "阿强"},
		{"  a \t\n b\u3000c  ", "a b c"},
		{"a\x00b\x7fc\u0085d", "abc d"},
		{"\u202eevil\u202c\u2066x\u2069", "evilx"},
		{"a\u200bb\ufeffc\u2060d", "abcd"},
		{"a\xffb\xf0\x9f", "ab"},
		{"a\ufffdb", "a\ufffdb"},
		{"a\ufffeb\ufdd0", "ab"},
		{"👨‍👩‍👧", "👨‍👩‍👧"},
		{"\u200d", ""},
		{strings.Repeat("a", 65), strings.Repeat("a", 64)},
		{strings.Repeat("🎣", 33), strings.Repeat("🎣", 32)},
		{"a" + strings.Repeat("🎣", 32), "a" + strings.Repeat("🎣", 31)}, // no half of a pair
		{strings.Repeat("a", 63) + " b", strings.Repeat("a", 63)},
		{strings.Repeat("a", 61) + "👨\u200d👩", strings.Repeat("a", 61) + "👨"},
	} {
		if got := CleanName(c.in); got != c.want {
			t.Errorf("CleanName(%.80q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, nick := range nastyNames {
		f.Add(nick)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := CleanName(s)
		if !utf8.ValidString(got) || len(utf16.Encode([]rune(got))) > 64 || bytes.ContainsAny([]byte(got), "\x00\r\n\t\x7f\u202e\u200b") {
			t.Errorf("CleanName(%q) = %q", s, got)
		}
		if again := CleanName(got); again != got {
			t.Errorf("cleaned twice, %q becomes %q", got, again)
		}
	})
}

func TestCleanAvatar(t *testing.T) {
	good := "https://thirdwx.qlogo.cn/mmopen/x/132?a=b"
	for in, want := range map[string]string{
		good: good, "": "", "https://a/" + strings.Repeat("x", 1014): "https://a/" + strings.Repeat("x", 1014),
		"https://a/" + strings.Repeat("x", 1015): "", "https://a/\xff": "", "https://a/ b": "", "https://a/\n": "",
	} {
		if got := cleanAvatar(in); got != want {
			t.Errorf("cleanAvatar(%.40q) = %.40q", in, got)
		}
	}
}
