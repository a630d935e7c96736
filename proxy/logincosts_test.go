package proxy

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// listedTrips are the lists in the comment of finishLogin.
func listedTrips(t *testing.T) map[string][]string {
	t.Helper()
	source, err := os.ReadFile("finish.go")
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for _, line := range regexp.MustCompile(`(?m)^//\t([a-z, ]+): +(.+)$`).FindAllStringSubmatch(string(source), -1) {
		lists[line[1]] = strings.Split(line[2], ", ")
	}
	return lists
}

const maxTrips = 6 // as the comment says

// begins starts a login, silent or by consent, and returns where WeChat sends
// the browser back.
func (b *browser) begins(consent bool) (callback string) {
	b.w.t.Helper()
	if !consent {
		return b.begin("/")
	}
	b.w.wechat.Set(func(x *wechattest.Behaviour) { x.AutoConsent = true })
	s := b.stay()
	address := "/.wxgate/login?profile=1&agreed=1&next=/"
	for range 3 {
		res := s.open(address)
		if res.StatusCode != http.StatusFound {
			b.w.t.Fatalf("%s answered %d %s", address, res.StatusCode, res.body)
		}
		if address = res.Header.Get("Location"); strings.HasPrefix(address, b.w.front.URL+"/.wxgate/callback") {
			return address
		}
	}
	b.w.t.Fatalf("the login leads to %s", address)
	return ""
}

// loginScenes are the logins of finishLogin's list, in an order in which each
// finds what it needs. w belongs to the accounts of one open platform.
func loginScenes(w *world, login func(name string, b *browser, consent bool)) {
	silent, consented := w.browser(iPhone).as("aqiang"), w.browser(iPhone).as("faceless")
	fresh := func(b *browser) *browser {
		player := map[*browser]string{silent: "aqiang", consented: "faceless"}[b]
		return w.browser(iPhone).as(player)
	}
	login("first login, silent", silent, false)
	login("returning, silent", fresh(silent), false)
	login("first login, by consent", consented, true)
	login("unionid just learned", fresh(silent), true)
	w.clock.advance(2 * time.Hour)
	login("returning, silent, later", fresh(silent), false)
	login("returning, by consent, later", fresh(consented), true)
}

// returns makes the last step of a login: from WeChat to the session.
func (b *browser) returns(callback string) {
	b.w.t.Helper()
	if res := b.stay().open(callback); res.StatusCode != http.StatusSeeOther || sessionOf(res.Response) == "" {
		b.w.t.Fatalf("the callback answered %d %s", res.StatusCode, res.body)
	}
}

func withoutYunxin(c *Config) { c.Yunxin = nil }

func TestLoginCosts(t *testing.T) {
	t.Parallel()
	store := &tolled{backend: openSpy(t).Store}
	w := newWorldOn(t, store, 1, nil, withoutYunxin).bound()
	lists := listedTrips(t)
	check := func(name string, b *browser, consent bool) {
		callback := b.begins(consent)
		store.took()
		b.returns(callback)
		took := store.took()
		if !slices.Equal(took, lists[name]) || len(took) == 0 {
			t.Errorf("%s:\n  takes  %s\n  listed %s", name, strings.Join(took, ", "), strings.Join(lists[name], ", "))
		}
		if len(took) > maxTrips {
			t.Errorf("%s: %d round trips", name, len(took))
		}
		delete(lists, name)
	}
	loginScenes(w, check)
	// Another account of the same person: as if the openid were not known.
	w.forgetAccount(t, store, "faceless")
	check("new account of a known person", w.browser(iPhone).as("faceless"), true)
	for name := range lists {
		t.Errorf("listed and not tested: %s", name)
	}
}

// What the comment names beyond its lists.
func TestLoginCostsBeyond(t *testing.T) {
	t.Parallel()
	costs := func(t *testing.T, do func(w *world, b *browser) string, opts ...option) string {
		t.Helper()
		store := &tolled{backend: openSpy(t).Store}
		w := newWorldOn(t, store, 1, nil, append([]option{withoutYunxin}, opts...)...)
		b := w.browser(iPhone)
		callback := do(w, b)
		store.took()
		b.returns(callback)
		return strings.Join(store.took(), ", ")
	}
	returning := func(w *world, b *browser) string {
		w.browser(iPhone).login()
		return b.begin("/")
	}
	base := costs(t, returning)
	for _, c := range []struct {
		name  string
		do    func(w *world, b *browser) string
		more  string
		extra []option
	}{
		{"with a living session", func(w *world, b *browser) string {
			b.login()
			w.clock.advance(2 * time.Second) // it is older than the login that follows
			return b.begin("/")
		}, ", delete s", nil},
		{"with one that is not known here", func(w *world, b *browser) string {
			b.login()
			w.clock.advance(2 * time.Second)
			w.restart(withoutYunxin)
			return b.begin("/")
		}, ", read s+u, delete s", nil},
		{"clearing cookies", returning, ", read s+u", []option{clearing(AppCookie{"sid", "/"})}},
	} {
		if got := costs(t, c.do, c.extra...); got != base+c.more {
			t.Errorf("%s: %s, want %s", c.name, got, base+c.more)
		}
	}
	// Yunxin's accounts are made beside the login; that one is to be made is noted before.
	store := &tolled{backend: openSpy(t).Store}
	w := newWorldOn(t, store, 1, nil)
	b := w.browser(iPhone)
	callback := b.begin("/")
	store.took()
	b.returns(callback)
	took := store.took()
	for _, want := range []string{"create c", "read a", "create u", "create a", "schedule yunxin", "write c+s+w"} {
		i := slices.Index(took, want)
		if i < 0 {
			t.Fatalf("no %s in order: %s", want, took)
		}
		took = took[i+1:]
	}
}

func TestLoginCostsOnRedis(t *testing.T) {
	t.Parallel()
	w, trips, _ := onRedis(t)
	w.bound()
	for range 2 {
		w.browser(iPhone).as("nameless").login() // connections are made, and the server learns its script
	}
	lists := listedTrips(t)
	loginScenes(w, func(name string, b *browser, consent bool) {
		callback := b.begins(consent)
		before := trips.trips.Load()
		b.returns(callback)
		if n := trips.trips.Load() - before; n != int64(len(lists[name])) || n > maxTrips {
			t.Errorf("%s: %d round trips on the wire, %d are listed", name, n, len(lists[name]))
		}
	})
}

// forgetAccount turns a person's account into another one that nobody knows:
// entry and record do not name it any more.
func (w *world) forgetAccount(t *testing.T, store backend, player string) {
	t.Helper()
	openID := w.wechat.OpenID(player, testAppID)
	u := w.account(player)
	key := "u:" + u.ID
	raw, _, err := store.Get(t.Context(), key)
	if err == nil {
		err = store.Put(t.Context(), key, []byte(strings.ReplaceAll(string(raw), `"openid":"`+openID, `"openid":"o_other`)), 0)
	}
	if err == nil {
		err = store.Delete(t.Context(), "a:"+testAppID+"/"+openID)
	}
	if err != nil {
		t.Fatal(err)
	}
}
