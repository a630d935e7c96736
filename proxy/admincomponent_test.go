package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/session/boltstore"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// platformCalls are all calls about the platform, with a body that each takes.
var platformCalls = map[string]string{
	"GET ": "", "GET /authorizers": "", "GET /authorizers/" + opShopID: "", "POST /links": "{}", "POST /sync": "",
	"GET /authorizers/" + opShopID + "/options/voice_recognize": "",
	"PUT /authorizers/" + opShopID + "/options/voice_recognize": `{"option_value":"1"}`,
	"GET /templates": "", "GET /drafts": "", "POST /templates": `{"draft_id":1}`, "DELETE /templates/1": "",
	"POST /fastregister": `{"name":"抓娃娃有限公司","code":"91440300MA5EXAMPLE","component_phone":"0755-12345678"}`,
}

func TestAdminWithoutAPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, operated)
	o := w.operator()
	for call, body := range platformCalls {
		method, path, _ := strings.Cut(call, " ")
		o.wants(method, "/admin/component"+path, body, 404, "not_found", "give WXGATE_COMPONENT_APP_ID")
		if res := o.bare(method, "/admin/component"+path, body); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d %s", call, res.StatusCode, res.body)
		}
	}
}

func TestAdminPlatformMethods(t *testing.T) {
	t.Parallel()
	_, o := newPlatformWorld(t, 1)
	for path, allowed := range map[string]string{
		"": "GET, HEAD", "/authorizers": "GET, HEAD", "/authorizers/x": "GET, HEAD", "/authorizers/x/options/voice_recognize": "GET, HEAD, PUT",
		"/links": "POST", "/sync": "POST", "/templates": "GET, HEAD, POST", "/templates/1": "DELETE", "/drafts": "GET, HEAD", "/fastregister": "POST",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if slices.Contains(strings.Split(allowed, ", "), method) {
				continue
			}
			res := o.call(method, "/admin/component"+path, "{}")
			if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != allowed {
				t.Errorf("%s %s: %d, Allow %q", method, path, res.StatusCode, res.Header.Get("Allow"))
			}
		}
	}
	for _, path := range []string{"/", "/authorizers/", "/authorizers/x/options", "/authorizers/x/options/voice_recognize/1", "/templates/1/2", "/nothing", "s"} {
		o.wants("GET", "/admin/component"+path, "", 404, "not_found", "")
	}
}

func TestPlatformOverview(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 2)
	var before, after component.Overview
	o.into(&before, "GET", "/admin/component", "")
	if before.AppID != opPlatformID || before.Ticket.Valid || !before.Ticket.Stale || before.Ticket.AgeSeconds != nil || before.Token.Valid {
		t.Errorf("before the first ticket: %+v", before)
	}
	w.opTicket()
	w.opAuthorize(opShopID)
	w.clock.advance(10 * time.Minute)
	o.into(&after, "GET", "/admin/component", "")
	if age := after.Ticket.AgeSeconds; !after.Ticket.Valid || after.Ticket.Stale || age == nil || *age < 600 || *age > 660 || !after.Token.Valid || after.Authorizers["authorized"] != 1 {
		t.Errorf("after: %+v", after)
	}
	w.store.down.Store(true)
	o.wants("GET", "/admin/component", "", 503, "store_unavailable", "")
}

// backwards is a store whose lists are not in the order of the keys.
type backwards struct{ *boltstore.Store }

func (b backwards) List(ctx context.Context, prefix string, fn func(string, []byte) error) error {
	var keys []string
	values := map[string][]byte{}
	err := b.Store.List(ctx, prefix, func(key string, value []byte) error {
		keys, values[key] = append(keys, key), slices.Clone(value)
		return nil
	})
	for _, key := range slices.Backward(keys) {
		if err == nil {
			err = fn(key, values[key])
		}
	}
	return err
}

type listedAccounts struct {
	Authorizers []component.Authorizer `json:"authorizers"`
}

func TestPlatformAuthorizers(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorldOn(t, backwards{openSpy(t).Store}, 2)
	if res := o.call("GET", "/admin/component/authorizers", ""); res.StatusCode != 200 || res.body != `{"authorizers":[]}`+"\n" {
		t.Errorf("nobody: %d %s", res.StatusCode, res.body)
	}
	w.opTicket()
	for i := range 40 {
		// In no order, and only known by a push whose code is worth nothing.
		w.opHears("authorized", w.clock.now(), "AuthorizerAppid", fmt.Sprintf("wx%016x", (i*17)%40), "AuthorizationCode", "queryauthcode@@@none")
	}
	w.opAuthorize(opGameID, 18, 25)
	w.opAuthorize(opShopID, 1, 15)

	var list listedAccounts
	o.into(&list, "GET", "/admin/component/authorizers", "")
	if len(list.Authorizers) != 42 || !slices.IsSortedFunc(list.Authorizers, func(a, b component.Authorizer) int { return strings.Compare(a.AppID, b.AppID) }) {
		t.Fatalf("%d accounts: %+v", len(list.Authorizers), list)
	}
	var shop, game component.Authorizer
	o.into(&shop, "GET", "/admin/component/authorizers/"+opShopID, "")
	o.into(&game, "GET", "/admin/component/authorizers/"+opGameID, "")
	if shop.Kind != "mp" || shop.Name != "一号店" || !slices.Equal(shop.Functions, []int{1, 15}) || !shop.HasRefreshToken || shop.TokenExpiresAt == nil || game.Kind != "mini" {
		t.Errorf("got %+v and %+v", shop, game)
	}
	if text := string(must(json.Marshal(list.Authorizers))); !strings.Contains(text, string(must(json.Marshal(shop)))) || strings.Contains(text, "refreshtoken@@@") {
		t.Errorf("the list has %s", text)
	}
	for _, id := range []string{"wx", "%2e%2e", url.PathEscape("玩家"), strings.Repeat("a", 5000), "null", "wx1%2Foptions"} {
		o.wants("GET", "/admin/component/authorizers/"+id, "", 404, "not_found", "never authorized")
	}

	w.opHears("unauthorized", w.clock.now().Add(time.Minute), "AuthorizerAppid", opShopID)
	o.into(&shop, "GET", "/admin/component/authorizers/"+opShopID, "")
	if shop.Status != "unauthorized" || shop.UnauthorizedAt == nil {
		t.Errorf("after it took its grant back: %+v", shop)
	}
	w.store.down.Store(true)
	o.wants("GET", "/admin/component/authorizers/"+opShopID, "", 503, "store_unavailable", "")
}

// A list that breaks off is no JSON, and the connection says so.
func TestPlatformAuthorizersBreakOff(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil, operated, withOpPlatform)
	for _, id := range []string{"wxa", "wxb", "wxc"} {
		w.opHears("authorized", w.clock.now(), "AuthorizerAppid", id, "AuthorizationCode", "queryauthcode@@@none")
	}
	o := w.operator()
	store.failing(func(method, key string) error {
		if method == "Get" && strings.HasSuffix(key, "account/wxc") {
			return errDown // when the first two are on their way
		}
		return nil
	})
	r, err := http.NewRequest("GET", o.url+"/admin/component/authorizers", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testAdminToken)
	res, err := o.client.Do(r)
	if err != nil {
		return // cut before the header went
	}
	defer res.Body.Close()
	var list listedAccounts
	if err := json.NewDecoder(res.Body).Decode(&list); err == nil {
		t.Errorf("half a list passes for a whole one: %d %+v", res.StatusCode, list)
	}
}

var linkForm = regexp.MustCompile(`^(.*)/\.wxgate/component/authorize\?auth_type=([0-9])(?:&biz_appid=([0-9A-Za-z_-]+))?&token=([0-9A-Z]{26})$`)

func TestPlatformLinks(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 2)
	type link struct {
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expires_at"`
		Ready     *bool     `json:"ready"`
	}
	seen := map[string]bool{}
	for body, want := range map[string]component.Link{
		`{}`:                                   {AuthType: 3},
		`{"auth_type":null,"biz_appid":""}`:    {AuthType: 3},
		`{"auth_type":1}`:                      {AuthType: 1},
		`{"auth_type":2,"mobile":true}`:        {AuthType: 2, Mobile: true},
		`{"auth_type":8}`:                      {AuthType: 8},
		`{"biz_appid":"` + opShopID + `"}`:     {AuthType: 3, BizAppID: opShopID},
		`{"auth_type":6,"biz_appid":"wx_a-b"}`: {AuthType: 6, BizAppID: "wx_a-b"},
	} {
		var made link
		o.into(&made, "POST", "/admin/component/links", body)
		m := linkForm.FindStringSubmatch(made.URL)
		if m == nil || m[1] != w.front.URL || m[2] != fmt.Sprint(want.AuthType) || m[3] != want.BizAppID || seen[made.URL] {
			t.Fatalf("%s: %s", body, made.URL)
		}
		seen[made.URL] = true
		if made.Ready == nil || *made.Ready {
			t.Errorf("%s: without a ticket it is ready", body)
		}
		if left := made.ExpiresAt.Sub(w.clock.now()); left < 24*time.Hour-time.Minute || left > 24*time.Hour {
			t.Errorf("%s: good for %s", body, left)
		}
		got, _, err := w.opPlatform().OpenLink(t.Context(), m[4], func(string) bool { return false })
		if want.Expires = got.Expires; err != nil || got != want || !got.Expires.Equal(made.ExpiresAt) {
			t.Errorf("%s: %+v %v, want %+v", body, got, err, want)
		}
		if strings.Contains(w.log.String(), m[4]) {
			t.Errorf("the log has the token of a link")
		}
	}
	for body, want := range map[string]string{
		`{"auth_type":0}`: "auth_type", `{"auth_type":7}`: "auth_type", `{"auth_type":9}`: "auth_type", `{"auth_type":-1}`: "auth_type", `{"auth_type":"3"}`: "auth_type",
		`{"biz_appid":"a b"}`: "biz_appid", `{"biz_appid":"a&token=x"}`: "biz_appid", `{"biz_appid":"` + strings.Repeat("w", 65) + `"}`: "biz_appid",
		`{"mobile":1}`: "mobile", `{"phone":true}`: "unknown", ``: "ends too early", `{}{}`: "more than one", `[]`: "wrong type",
	} {
		o.wants("POST", "/admin/component/links", body, 400, "bad_request", want)
	}
	o.wants("POST", "/admin/component/links", `{"biz_appid":"gh_0123456789ab"}`, 400, "bad_request",
		`The member "biz_appid" is an AppID (wx and 16 hexadecimal digits), not an original id (gh_…).`)
	w.opTicket()
	for after, ready := range map[time.Duration]bool{0: true, 13 * time.Hour: false} {
		w.clock.advance(after)
		var made link
		if o.into(&made, "POST", "/admin/component/links", `{}`); made.Ready == nil || *made.Ready != ready {
			t.Errorf("%s after the ticket: %+v", after, made)
		}
		w.clock.advance(-after)
	}
	w.store.down.Store(true)
	o.wants("POST", "/admin/component/links", `{}`, 503, "store_unavailable", "")
}

func TestPlatformSync(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 1)
	w.opTicket()
	w.opAuthorize(opGameID)
	w.wechat.Grant(opPlatformID, opShopID) // of which no push came
	var report component.SyncReport
	o.into(&report, "POST", "/admin/component/sync", "")
	if report.Listed != 2 || report.Added != 1 || report.Gone != 0 || !slices.Equal(report.Missing, []string{opShopID}) {
		t.Errorf("got %+v", report)
	}
	var overview component.Overview
	o.into(&overview, "GET", "/admin/component", "")
	if overview.Authorizers["authorized"] != 2 || !slices.Equal(overview.WithoutTokens, []string{opShopID}) {
		t.Errorf("got %+v", overview)
	}
	w.wechat.Inject(wechattest.AuthorizerListPath, wechattest.Fault{Errcode: 61004})
	o.wants("POST", "/admin/component/sync", "", 503, "wechat_unavailable", "errcode 61004. Add this machine's outgoing address to the platform's allow-list")
	w.wechat.Inject(wechattest.AuthorizerListPath, wechattest.HTML)
	o.wants("POST", "/admin/component/sync", "", 503, "wechat_unavailable", "WeChat does not answer")
}
