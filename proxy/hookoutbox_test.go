package proxy

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/component"
)

// told counts what the app was told about an account.
func (a *hookApp) told(appID string) (all []string) {
	for _, e := range a.events() {
		var n component.Notice
		if json.Unmarshal(e.body, &n) == nil && n.AppID == appID && e.taken {
			all = append(all, n.Type)
		}
	}
	return all
}

func TestHooksOfAuthorizers(t *testing.T) {
	t.Parallel()
	app := newHookApp(t)
	p := newPortal(t, 2, func(c *Config) { c.HookURL = app.URL + "/events" })
	read := verifier(t, p.world, p.replica(0).published(t, p.world))
	p.ticket()
	app.says(500)
	p.authorize(customerID)
	p.authorize(otherID)
	user := p.person("o", "")
	p.deliver(p.replica(0), 2*time.Second)
	if len(app.told(customerID)) != 0 || p.events(t) == 0 {
		t.Fatal("what the app refused is gone")
	}
	// What happens meanwhile waits behind it.
	code := p.wechat.Grant(portalID, customerID, 1, 2, 4)
	if _, err := p.wechat.PushAuthorized(t.Context(), portalID, customerID, code, "x"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the update is stored", func() bool {
		list, err := p.platform().Notices(t.Context(), customerID)
		return err == nil && len(list) == 2
	})
	if _, err := p.wechat.Deauthorize(t.Context(), portalID, customerID); err != nil {
		t.Fatal(err)
	}
	app.says(200)
	p.clock.advance(time.Minute)
	p.deliver(p.replica(0), 10*time.Second)
	if got, want := app.told(customerID), []string{"authorizer.authorized", "authorizer.updated", "authorizer.unauthorized"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if got := app.told(otherID); !slices.Equal(got, []string{"authorizer.authorized"}) || !slices.Contains(app.types(user), "user.created") {
		t.Errorf("of the other one: %v, of the user: %v", got, app.types(user))
	}
	for _, e := range app.events() {
		var n map[string]any
		if err := json.Unmarshal(e.body, &n); err != nil || n["id"] == "" || n["time"] == "" {
			t.Errorf("the app got %s", e.body)
		}
		if n["type"] == "authorizer.updated" && len(n["functions"].([]any)) != 3 {
			t.Errorf("the app got %s", e.body)
		}
		c, err := read(e.header.Get("X-Wxgate-Assertion"))
		if err != nil || c.SHA256 == "" {
			t.Errorf("the assertion says %+v, %v", c, err)
		}
	}
	if all := p.hookLog(slog.LevelWarn); len(all) == 0 || !strings.Contains(strings.Join(all, ""), `"status":500`) {
		t.Errorf("the log says %v", all)
	}
	// Entries of what was not written: one that is looked at just before its time is
	// over waits as long again.
	p.deliver(p.replica(1), 3*hookUnwritten)
	if n := p.events(t); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// Without a platform its entries wait for a replica that has one.
func TestHooksWithoutPlatform(t *testing.T) {
	t.Parallel()
	w, _, app := hookedWorld(t, 1)
	key := component.NoticeKey(customerID, "abcdefghijklmnopqrstuvwxyz")
	if err := w.store.Schedule(t.Context(), component.QueueNotices, key, w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.deliver(w.replica(0), 2*hookUnwritten)
	if n := w.events(t); n != 1 || len(app.events()) != 0 {
		t.Errorf("%d entries are left, %d posts", n, len(app.events()))
	}
}
