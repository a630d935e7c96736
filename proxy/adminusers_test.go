package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session/boltstore"
	"wxgate/wechat/wechattest"
)

const nobody = "aaaaaaaaaaaaaaaaaaaaaaaaaa" // an id that no user has

// newPeopleWorld has an operator, two native clients, and a store that can be
// looked into.
func newPeopleWorld(t *testing.T, n int, app http.HandlerFunc, opts ...option) (*world, *operator, *spy) {
	t.Helper()
	w, store := newSpied(t, n, app, append(opts, operated, func(c *Config) { c.Mobile, c.Mini = testMobile, testMini })...)
	w.wechat.AddApp(wechattest.App{ID: testMobile.ID, Secret: testMobile.Secret, Kind: wechattest.Mobile, Bound: true})
	w.wechat.AddApp(wechattest.App{ID: testMini.ID, Secret: testMini.Secret, Kind: wechattest.MiniProgram, Bound: true})
	return w, w.operator(), store
}

// nativeClient is a native client: a bearer session.
type nativeClient struct {
	w     *world
	token string
	user  string
}

// native logs a player in with the mobile app or the mini program.
func (w *world) native(kind, player string) *nativeClient {
	w.t.Helper()
	app := testMobile
	if kind == "mini" {
		app = testMini
	}
	a, res := w.exchangeCode(kind, w.wechat.IssueCode(app.ID, player, ""), "app/1.0")
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("the exchange answered %d %s", res.StatusCode, res.body)
	}
	return &nativeClient{w, a.SessionToken, a.User.User}
}

func (c *nativeClient) fetch(path string) answer {
	c.w.t.Helper()
	return c.w.browser("app/1.0").do(http.MethodGet, path, "Authorization", "Bearer "+c.token)
}

// orders are all calls that are about one user by its id.
func orders(id string) map[string]string {
	at := "/admin/users/" + id
	return map[string]string{
		"GET " + at: "", "GET " + at + "/sessions": "", "DELETE " + at + "/sessions": "", "POST " + at + "/block": "", "POST " + at + "/unblock": "",
		"POST " + at + "/merge": `{"from":"` + nobody + `"}`, "POST " + at + "/split": `{"account":{"appid":"wx1","openid":"o1"}}`, "DELETE " + at: "",
	}
}

func TestUserLookup(t *testing.T) {
	t.Parallel()
	w, o, _ := newPeopleWorld(t, 2, nil)
	user := w.native("mobile", "xiaomei").user
	w.native("mini", "aqiang")
	openID, unionID := w.wechat.OpenID("xiaomei", testMobile.ID), w.wechat.UnionID("xiaomei", testMobile.ID)
	stored, _, err := w.replica(0).cfg.Users.User(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/" + user, "?appid=" + testMobile.ID + "&openid=" + openID, "?unionid=" + unionID, "?platform=default&unionid=" + unionID,
	} {
		res := o.call("GET", "/admin/users"+path, "")
		if want := string(must(json.Marshal(stored))) + "\n"; res.StatusCode != http.StatusOK || res.body != want || res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s, want %s", path, res.StatusCode, res.body, want)
		}
	}
	for _, path := range []string{
		"?appid=" + testMini.ID + "&openid=" + openID, "?appid=" + testMobile.ID + "&openid=nobody", "?unionid=nobody", "?unionid=" + unionID + "&platform=other", "?unionid=" + openID,
	} {
		res := o.call("GET", "/admin/users"+path, "")
		if e := res.jsonError(t); res.StatusCode != http.StatusNotFound || e.Error != "not_found" || e.Message != "There is no such user." {
			t.Errorf("%s: %d %s", path, res.StatusCode, res.body)
		}
	}
	for query, want := range map[string]string{
		"": "Ask by appid and openid", "?": "Ask by", "?appid=x": "Ask by", "?openid=x": "Ask by", "?appid=x&unionid=x": "Ask by", "?appid=x&openid=x&unionid=x": "Ask by",
		"?platform=x": "Ask by", "?appid=x&openid=x&platform=x": "Ask by", "?unionid=x&platform=x&appid=x": "Ask by",
		"?appid=x&openid=": "openid is empty", "?unionid=": "unionid is empty", "?unionid=x&platform=": "platform is empty", "?unionid": "unionid is empty",
		"?unionid=x&unionid=x": "unionid is there more than once", "?appid=x&openid=x&openid=y": "openid is there more than once",
		"?unionid=x&page=2": "unknown parameter", "?UnionID=x": "unknown parameter", "?unionid=%zz": "malformed", "?unionid=x;appid=y": "malformed",
		"?unionid=" + strings.Repeat("x", 129): "more than 128 bytes",
	} {
		res := o.call("GET", "/admin/users"+query, "")
		if e := res.jsonError(t); res.StatusCode != http.StatusBadRequest || e.Error != "bad_request" || !strings.Contains(e.Message, want) {
			t.Errorf("%s: %d %s, want %q", query, res.StatusCode, res.body, want)
		}
	}
	w.store.down.Store(true)
	for _, path := range []string{"/" + user, "?unionid=" + unionID} {
		res := o.call("GET", "/admin/users"+path, "")
		if e := res.jsonError(t); res.StatusCode != http.StatusServiceUnavailable || e.Error != "store_unavailable" || res.Header.Get("Retry-After") == "" {
			t.Errorf("without a store, %s: %d %s", path, res.StatusCode, res.body)
		}
	}
}

// Every call, with every kind of id.
func TestUserIDs(t *testing.T) {
	t.Parallel()
	w, o, _ := newPeopleWorld(t, 2, nil)
	survivor, other, gone := w.native("mobile", "xiaomei").user, w.native("mobile", "aqiang").user, w.native("mobile", "faceless").user
	if u := o.user("POST", "/admin/users/"+survivor+"/merge", `{"from":"`+other+`"}`); u.ID != survivor || !slices.Contains(u.Aliases, other) {
		t.Fatalf("merged into %+v", u)
	}
	if res := o.call("DELETE", "/admin/users/"+gone, ""); res.StatusCode != http.StatusNoContent || res.body != "" {
		t.Fatalf("erasing answered %d %s", res.StatusCode, res.body)
	}
	for _, id := range []string{nobody, "x", strings.ToUpper(survivor), survivor + "a", survivor[:25], "%00", "..%2f" + survivor, url.PathEscape("玩家"), strings.Repeat("a", 5000), "null"} {
		for call, body := range orders(id) {
			method, path, _ := strings.Cut(call, " ")
			res := o.call(method, path, body)
			if e := res.jsonError(t); res.StatusCode != http.StatusNotFound || e.Error != "not_found" {
				t.Errorf("%.60s: %d %s", call, res.StatusCode, res.body)
			}
		}
	}
	// A tombstone can be seen and erased again.
	if u := o.user("GET", "/admin/users/"+gone, ""); u.ID != gone || u.Status != identity.StatusErased || len(u.Accounts)+len(u.Unionids) != 0 || u.Profile != nil {
		t.Errorf("erased, it is %+v", u)
	}
	for call, body := range orders(gone) {
		method, path, _ := strings.Cut(call, " ")
		res := o.call(method, path, body)
		switch {
		case path == "/admin/users/"+gone && method == "DELETE":
			if res.StatusCode != http.StatusNoContent {
				t.Errorf("erased again: %d %s", res.StatusCode, res.body)
			}
		case path == "/admin/users/"+gone:
		case res.StatusCode != http.StatusNotFound || res.jsonError(t).Error != "not_found":
			t.Errorf("%s of an erased user: %d %s", call, res.StatusCode, res.body)
		}
	}
	for _, query := range []string{"?appid=" + testMobile.ID + "&openid=" + w.wechat.OpenID("faceless", testMobile.ID), "?unionid=" + w.wechat.UnionID("faceless", testMobile.ID)} {
		if res := o.call("GET", "/admin/users"+query, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("the erased person is found by an account: %d %s", res.StatusCode, res.body)
		}
	}
	// The id of a merged user is the survivor's.
	for _, path := range []string{"GET /admin/users/" + other, "POST /admin/users/" + other + "/block", "POST /admin/users/" + other + "/unblock"} {
		method, path, _ := strings.Cut(path, " ")
		if u := o.user(method, path, ""); u.ID != survivor {
			t.Errorf("%s %s is about %s", method, path, u.ID)
		}
	}
	for body, want := range map[string]string{
		`{"from":"` + other + `"}`: "the same user", `{"from":"` + survivor + `"}`: "the same user",
		`{"from":"x"}`: "not a user id", `{"from":""}`: "not a user id", `{}`: "not a user id", `{"from":null}`: "not a user id",
		`{"from":1}`: "wrong type", ``: "ends too early", `{"from":"` + nobody: "ends too early", `[]`: "wrong type", `{"into":"x"}`: "unknown", `{"from":"x"} {}`: "more than one",
		`{"from":"` + strings.Repeat("a", maxOrder) + `"}`: "more than 4096 bytes",
	} {
		res := o.call("POST", "/admin/users/"+survivor+"/merge", body)
		if e := res.jsonError(t); res.StatusCode != http.StatusBadRequest || e.Error != "bad_request" || !strings.Contains(e.Message, want) {
			t.Errorf("merge %.40s: %d %s, want %q", body, res.StatusCode, res.body, want)
		}
	}
	for _, from := range []string{nobody, gone} {
		if res := o.call("POST", "/admin/users/"+survivor+"/merge", `{"from":"`+from+`"}`); res.StatusCode != http.StatusNotFound {
			t.Errorf("merge from %s: %d %s", from, res.StatusCode, res.body)
		}
	}
	mine := w.wechat.OpenID("xiaomei", testMobile.ID)
	for body, want := range map[string]string{
		`{"account":{"appid":"` + testMini.ID + `","openid":"` + mine + `"}}`: "no such account", `{"account":{"appid":"` + testMobile.ID + `","openid":"x"}}`: "no such account",
		`{"account":{"appid":"` + testMobile.ID + `"}}`: "needs appid and openid", `{"account":{"openid":"x"}}`: "needs appid and openid", `{}`: "needs appid and openid",
		`{"account":"x"}`: "wrong type", `{"account":{"channel":"mp","appid":"x","openid":"x"}}`: "unknown", ``: "ends too early",
	} {
		res := o.call("POST", "/admin/users/"+survivor+"/split", body)
		if e := res.jsonError(t); res.StatusCode != http.StatusBadRequest || e.Error != "bad_request" || !strings.Contains(e.Message, want) {
			t.Errorf("split %.40s: %d %s, want %q", body, res.StatusCode, res.body, want)
		}
	}
	single := w.native("mini", "longname").user
	body := `{"account":{"appid":"` + testMini.ID + `","openid":"` + w.wechat.OpenID("longname", testMini.ID) + `"}}`
	if e := o.call("POST", "/admin/users/"+single+"/split", body).jsonError(t); e.Error != "bad_request" || !strings.Contains(e.Message, "only one") {
		t.Errorf("splitting an only account: %+v", e)
	}
}

// listed is what the operator is shown of a user's sessions.
func (o *operator) listed(user string) (list []sessionAnswer) {
	o.w.t.Helper()
	var a struct{ Sessions []sessionAnswer }
	o.into(&a, "GET", "/admin/users/"+user+"/sessions", "")
	if a.Sessions == nil {
		o.w.t.Fatal("no list at all")
	}
	return a.Sessions
}

func TestUserSessions(t *testing.T) {
	t.Parallel()
	w, o, store := newPeopleWorld(t, 2, nil)
	b := w.browser(iPhone)
	user := b.login()
	w.clock.advance(time.Minute)
	second := w.browser(android)
	second.login()
	w.browser(android).as("aqiang").login()
	w.clock.advance(2 * time.Minute)
	b.fetch("/x")
	newest := claims(t, second.fetch("/x").echoed(t).Header.Get("X-Wxgate-Assertion"))
	oldest := b.fetch("/x").echoed(t)
	list := o.listed(user)
	if len(list) != 2 || list[0].SID != newest.SessionID || list[1].SID != claims(t, oldest.Header.Get("X-Wxgate-Assertion")).SessionID {
		t.Fatalf("%+v", list)
	}
	m := b.me()
	if s := list[1]; s.Channel != "mp" || !s.CreatedAt.Equal(m.Session.CreatedAt) || !s.ExpiresAt.Equal(m.Session.ExpiresAt) || s.LastSeen.Sub(s.CreatedAt) < 3*time.Minute {
		t.Errorf("%+v", s)
	}
	res := o.call("GET", "/admin/users/"+user+"/sessions", "")
	var raw struct{ Sessions []map[string]any }
	if err := json.Unmarshal([]byte(res.body), &raw); err != nil || len(raw.Sessions[0]) != 5 || !strings.HasSuffix(raw.Sessions[0]["created_at"].(string), "Z") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v", res.body, err)
	}
	for _, key := range store.keys(t, "s:") {
		if strings.Contains(res.body, key) {
			t.Error("a store key shows")
		}
	}
	for _, cookie := range []string{b.cookies()["wxgate"], second.cookies()["wxgate"]} {
		if strings.Contains(res.body, cookie) {
			t.Error("a token shows")
		}
	}
	b.do(http.MethodPost, "/.wxgate/logout")
	if list := o.listed(user); len(list) != 1 || list[0].SID != newest.SessionID {
		t.Errorf("after a logout %+v", list)
	}
	w.clock.advance(169 * time.Hour)
	if list := o.listed(user); len(list) != 0 {
		t.Errorf("idle: %+v", list)
	}
	if list := o.listed(w.native("mini", "faceless").user); len(list) != 1 || list[0].Channel != "mini" {
		t.Errorf("a native client: %+v", list)
	}
}

// A login whose session cannot be listed is no login.
func TestSessionThatCannotBeListed(t *testing.T) {
	t.Parallel()
	w, o, store := newPeopleWorld(t, 1, nil)
	for _, step := range []string{"Create w:", "Get w:", "Replace w:"} {
		b := w.browser(iPhone)
		store.failing(func(method, key string) error {
			if method+" "+key[:min(2, len(key))] == step {
				return errDown
			}
			return nil
		})
		before := len(store.keys(t, "s:"))
		b.open("/x").page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
		if n := len(store.keys(t, "s:")); n != before || b.cookies()["wxgate"] != "" {
			t.Errorf("%s: %d sessions more", step, n-before)
		}
		store.failing(nil)
		user := b.login() // the visitor tries again
		if len(o.listed(user)) != before+1 {
			t.Errorf("%s: listed are %+v", step, o.listed(user))
		}
	}
}

func TestEndingSessions(t *testing.T) {
	t.Parallel()
	w, o, store := newPeopleWorld(t, 2, nil)
	b, second, other := w.browser(iPhone), w.browser(android), w.browser(android).as("aqiang")
	user := b.login()
	second.login()
	stranger := other.login()
	for range 4 { // both replicas know them
		b.fetch("/x")
		second.fetch("/x")
	}
	if res := o.call("DELETE", "/admin/users/"+user+"/sessions", ""); res.StatusCode != http.StatusNoContent || res.body != "" {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	w.clock.advance(settled)
	for range 4 {
		for _, b := range []*browser{b, second} {
			if e := b.fetch("/x").jsonError(t); e.Error != "login_required" {
				t.Errorf("%+v", e)
			}
		}
	}
	if list := o.listed(user); len(list) != 0 {
		t.Errorf("listed are %+v", list)
	}
	if n := len(store.keys(t, "s:")); n != 1 {
		t.Errorf("%d sessions are stored, want the other user's", n)
	}
	if got := other.fetch("/x").user(t); got != stranger || len(o.listed(stranger)) != 1 {
		t.Errorf("the other user's session is %s's", got)
	}
	if b.login() != user || len(o.listed(user)) != 1 {
		t.Error("the person cannot come back")
	}
	// The records are a matter of tidiness: what decides is the user.
	store.failing(func(method, key string) error {
		if method == "Delete" && strings.HasPrefix(key, "s:") {
			return errDown
		}
		return nil
	})
	if res := o.call("DELETE", "/admin/users/"+user+"/sessions", ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("answered %d %s", res.StatusCode, res.body)
	}
	store.failing(nil)
	w.clock.advance(settled)
	if e := b.fetch("/x").jsonError(t); e.Error != "login_required" || len(o.listed(user)) != 0 {
		t.Errorf("%+v, listed are %+v", e, o.listed(user))
	}
	w.store.down.Store(true)
	if e := o.call("DELETE", "/admin/users/"+user+"/sessions", "").jsonError(t); e.Error != "store_unavailable" {
		t.Errorf("%+v", e)
	}
}

// raw is all that the store holds, deleted pages of the file apart.
func raw(t *testing.T, store *boltstore.Store) []byte {
	t.Helper()
	var all bytes.Buffer
	err := store.List(t.Context(), "", func(key string, value []byte) error {
		all.WriteString(key + "\n")
		all.Write(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

func TestErasure(t *testing.T) {
	t.Parallel()
	w, o, store := newPeopleWorld(t, 2, nil)
	b := w.browser(iPhone)
	silent := b.login()
	phone, mini := w.native("mobile", "xiaomei"), w.native("mini", "xiaomei")
	// An operator knows that these are one person; one id is an alias then.
	user := phone.user
	if user != mini.user || user == silent {
		t.Fatalf("%s, %s, %s", silent, phone.user, mini.user)
	}
	o.user("POST", "/admin/users/"+user+"/merge", `{"from":"`+silent+`"}`)
	w.clock.advance(settled)
	im := b.im()
	if im.Account != user || w.admitted(im) != 200 {
		t.Fatal("no account at Yunxin")
	}
	stranger := w.native("mobile", "faceless")
	secrets := []string{
		w.wechat.OpenID("xiaomei", testAppID), w.wechat.OpenID("xiaomei", testMobile.ID), w.wechat.OpenID("xiaomei", testMini.ID), w.wechat.UnionID("xiaomei", testMobile.ID),
		"小美", "thirdwx.qlogo.cn",
	}
	before := raw(t, store.Store)
	for _, secret := range secrets {
		if !bytes.Contains(before, []byte(secret)) {
			t.Fatalf("%s is not stored; the test proves nothing", secret)
		}
	}
	if res := o.call("DELETE", "/admin/users/"+silent, ""); res.StatusCode != http.StatusNoContent {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	w.clock.advance(settled)
	// Index entries are given up with a second to live, lest somebody who comes back right now be forgotten.
	for _, secret := range secrets {
		eventually(t, "nothing is stored of "+secret, func() bool { return !bytes.Contains(raw(t, store.Store), []byte(secret)) })
	}
	for _, id := range []string{user, silent} {
		eventually(t, "the list is gone", func() bool { return !slices.Contains(store.keys(t, "w:"), "w:"+id) })
	}
	if n := len(store.keys(t, "s:")); n != 1 {
		t.Errorf("%d sessions are stored", n)
	}
	for range 4 {
		for what, res := range map[string]answer{"browser": b.fetch("/x"), "mobile": phone.fetch("/x"), "mini": mini.fetch("/x")} {
			if e := res.jsonError(t); e.Error != "login_required" {
				t.Errorf("%s: %+v", what, e)
			}
		}
	}
	account, _ := w.yunxin.Account(im.Account)
	if w.admitted(im) == 200 || !account.Blocked || account.Live != 0 || strings.Contains(account.Name, "小美") || account.Avatar != "" {
		t.Errorf("at Yunxin remains %+v", account)
	}
	for _, id := range []string{user, silent} {
		if u := o.user("GET", "/admin/users/"+id, ""); u.ID != user || u.Status != identity.StatusErased || len(u.Accounts) != 0 || len(u.Unionids) != 0 || u.Profile != nil {
			t.Errorf("%s is %+v", id, u)
		}
	}
	if res := o.call("DELETE", "/admin/users/"+user, ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("again: %d %s", res.StatusCode, res.body)
	}
	if stranger.fetch("/x").user(t) != stranger.user {
		t.Error("another user is gone, too")
	}
	// Who comes back is somebody new, and one person again.
	back, again := w.native("mobile", "xiaomei"), w.native("mini", "xiaomei")
	if back.user != again.user || back.user == user || back.user == silent {
		t.Errorf("came back as %s and %s", back.user, again.user)
	}
	if u := o.user("GET", "/admin/users/"+back.user, ""); len(u.Aliases) != 0 || len(u.Accounts) != 2 {
		t.Errorf("came back as %+v", u)
	}
}

// The process dies right after it was decided: another one finishes.
func TestErasureIsFinishedByTheQueue(t *testing.T) {
	t.Parallel()
	w, _, store := newPeopleWorld(t, 1, nil)
	phone := w.native("mobile", "xiaomei")
	phone.fetch("/x")
	if _, err := w.replica(0).cfg.Users.Erase(t.Context(), phone.user); err != nil {
		t.Fatal(err)
	}
	openID := []byte(w.wechat.OpenID("xiaomei", testMobile.ID))
	if len(store.keys(t, "s:")) != 1 || !bytes.Contains(raw(t, store.Store), openID) {
		t.Fatal("it was finished already")
	}
	g := w.restart()
	w.clock.advance(time.Minute)
	// A store that fails on the way leaves it to the next attempt.
	for _, step := range []string{"Get w:", "Delete s:", "Replace w:"} {
		store.failing(func(method, key string) error {
			if method+" "+key[:min(2, len(key))] == step {
				return errDown
			}
			return nil
		})
		if err := g.settleDue(t.Context()); err == nil {
			t.Errorf("%s fails, and nobody says so", step)
		}
		w.clock.advance(2 * settleLease)
	}
	store.failing(nil)
	if err := g.settleDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(store.keys(t, "s:")); n != 0 {
		t.Errorf("%d sessions are stored", n)
	}
	eventually(t, "nothing is stored of the person", func() bool { return !bytes.Contains(raw(t, store.Store), openID) })
}

// A process dies in a merge, and who should have remained is erased: what the
// merged user's record still names goes as well.
func TestErasureInTheMiddleOfAMerge(t *testing.T) {
	t.Parallel()
	w, o, store := newPeopleWorld(t, 1, nil)
	into, from := w.native("mobile", "aqiang"), w.native("mini", "xiaomei")
	eventually(t, "accounts at Yunxin, so that nobody else writes", func() bool {
		n, err := w.replica(0).cfg.Queue.QueueLen(t.Context(), imQueue)
		return err == nil && n == 0
	})
	dead := false
	store.failing(func(method, key string) error {
		if dead {
			return errDown
		}
		dead = method == "Replace" && key == "u:"+from.user // the deciding write
		return nil
	})
	if res := o.call("POST", "/admin/users/"+into.user+"/merge", `{"from":"`+from.user+`"}`); res.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	store.failing(nil)
	if res := o.call("DELETE", "/admin/users/"+into.user, ""); res.StatusCode != http.StatusNoContent {
		t.Fatalf("answered %d %s", res.StatusCode, res.body)
	}
	openID := []byte(w.wechat.OpenID("xiaomei", testMini.ID))
	if len(store.keys(t, "s:")) != 1 || !bytes.Contains(raw(t, store.Store), openID) {
		t.Fatal("it was finished already")
	}
	w.clock.advance(time.Minute)
	if err := w.replica(0).settleDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(store.keys(t, "s:")); n != 0 {
		t.Errorf("%d sessions are stored", n)
	}
	eventually(t, "nothing is stored of the person", func() bool { return !bytes.Contains(raw(t, store.Store), openID) })
}
