package proxy

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// The app calls WeChat as an account that authorized the platform, and never sees
// a token.
func TestAppAPIActsForAuthorizedAccounts(t *testing.T) {
	t.Parallel()
	w, _ := newPlatformWorld(t, 2)
	// Not the replica that hears of authorizations: it keeps a token for a while.
	app := httptest.NewServer(w.replica(1).App(true))
	t.Cleanup(app.Close)
	w.opTicket()
	w.opAuthorize(opShopID, 1, 15)
	at := func(appID string) string { return app.URL + "/wechat/" + appID + "/cgi-bin/message/custom/send" }
	message := fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"你好"}}`, w.wechat.OpenID("xiaomei", opShopID))
	send := func(appID string) (int, string) {
		status, body, h := call(t, "POST", at(appID)+"?access_token=mine", message, "Content-Type", "application/json")
		if strings.Contains(fmt.Sprint(body, h), "access_token") {
			t.Errorf("the answer speaks of the token: %s %v", body, h)
		}
		return status, body
	}
	if status, body := send(opShopID); status != 200 || !strings.Contains(body, `"errcode":0`) {
		t.Fatalf("%d %s", status, body)
	}
	sent := w.wechat.CustomMessages()
	if len(sent) != 1 || sent[0].OpenID != w.wechat.OpenID("xiaomei", opShopID) {
		t.Errorf("WeChat got %+v", sent)
	}
	// A token that WeChat calls void is renewed, once.
	w.clock.advance(10 * time.Minute)
	w.wechat.Inject(wechattest.CustomSendPath, wechattest.Fault{Errcode: 40001})
	if status, body := send(opShopID); status != 200 || !strings.Contains(body, `"errcode":0`) {
		t.Errorf("after a void token: %d %s", status, body)
	}

	refused := func(appID string, status int, word, text string) {
		t.Helper()
		got, body := send(appID)
		var e struct{ Error, Message string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || got != status || e.Error != word || !strings.Contains(e.Message, text) {
			t.Errorf("%.40s: %d %s, want %d %s with %q", appID, got, body, status, word, text)
		}
	}
	for _, id := range []string{opGameID, opPlatformID, "wx", strings.Repeat("a", 5000), "%2e%2e", "a%2Fb"} {
		refused(id, 404, "not_found", "none that authorized the third-party platform")
	}
	if status, body, _ := call(t, "POST", app.URL+"/wechat/"+opShopID+"/cgi-bin/component/api_query_auth", "{}"); status != 400 || !strings.Contains(body, "not for an app") {
		t.Errorf("the platform's own interfaces: %d %s", status, body)
	}
	w.opHears("authorized", w.clock.now(), "AuthorizerAppid", "wxpending", "AuthorizationCode", "queryauthcode@@@none")
	w.wechat.Inject(wechattest.QueryAuthPath, wechattest.Fault{Times: -1, Errcode: -1})
	w.opHears("authorized", w.clock.now(), "AuthorizerAppid", opGameID, "AuthorizationCode", w.wechat.Grant(opPlatformID, opGameID))
	refused(opGameID, 503, "wechat_unavailable", "The authorization of this account is not completed yet")
	if status, _ := send(opShopID); status != 200 {
		t.Errorf("the other replica answers %d", status)
	}
	w.opHears("unauthorized", w.clock.now().Add(time.Minute), "AuthorizerAppid", opShopID)
	refused(opShopID, 404, "not_found", "has not authorized this third-party platform, or not any more")
	// Our own account needs no platform.
	if status, body, _ := call(t, "GET", app.URL+"/wechat/"+testAppID+"/cgi-bin/user/info?openid=x", ""); status != 200 || !strings.Contains(body, "errcode") {
		t.Errorf("our own account: %d %s", status, body)
	}
	w.store.down.Store(true)
	refused(opShopID, 503, "store_unavailable", "")
}

func TestAppAPIWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	w, o := newPlatformWorld(t, 1)
	app := appAPI(t, w)
	w.opTicket()
	w.wechat.Grant(opPlatformID, opShopID)
	if res := o.call("POST", "/admin/component/sync", ""); res.StatusCode != 200 {
		t.Fatalf("sync: %d %s", res.StatusCode, res.body)
	}
	status, body, h := call(t, "GET", app.URL+"/wechat/"+opShopID+"/cgi-bin/user/info?openid=x", "")
	if status != 503 || !strings.Contains(body, "its refresh token is not known: POST /admin/component/sync") || h.Get("Retry-After") == "" {
		t.Errorf("%d %s", status, body)
	}
}
