package proxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

const (
	opPlatformID     = "wxc0ffee0123456789"
	opPlatformSecret = "a secret of the platform of tests"
	opShopID         = "wx1a2b3c4d5e6f7081" // a service account
	opGameID         = "wx1a2b3c4d5e6f7082" // a mini program
)

// withOpPlatform gives every replica a third-party platform.
func withOpPlatform(c *Config) {
	store := c.Queue.(*outage)
	secret := sha256.Sum256([]byte("a secret of the tests"))
	sessions, err := session.NewManager(session.Config{Store: store, Secrets: [][]byte{secret[:]}, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Now: c.Now})
	if err != nil {
		panic(err)
	}
	c.Sessions = sessions
	c.Component = component.New(component.Config{
		App: wechat.App{ID: opPlatformID, Secret: opPlatformSecret}, Client: c.WeChat, Store: store, Queue: store, Sealer: sessions, Logger: c.Logger, Now: c.Now,
	})
	key := strings.Repeat("k", 43)
	if c.ComponentPush, err = wechat.NewPush(wechat.PushConfig{Token: "tokenOfThePlatform", AppID: opPlatformID, AESKeys: []string{key}, Now: c.Now}); err != nil {
		panic(err)
	}
}

// newPlatformWorld has an operator and a platform, which knows no ticket yet.
func newPlatformWorld(t *testing.T, n int, opts ...option) (*world, *operator) {
	t.Helper()
	return newPlatformWorldOn(t, openSpy(t).Store, n, opts...)
}

func newPlatformWorldOn(t *testing.T, st backend, n int, opts ...option) (*world, *operator) {
	t.Helper()
	w := newWorldOn(t, st, n, nil, append([]option{operated, withOpPlatform}, opts...)...)
	w.wechat.AddApp(wechattest.App{ID: opShopID, Secret: "unknown to the gateway", Name: "一号店"})
	w.wechat.AddApp(wechattest.App{ID: opGameID, Secret: "unknown to the gateway", Name: "小游戏", Kind: wechattest.MiniProgram})
	w.wechat.AddComponent(wechattest.Component{
		ID: opPlatformID, Secret: opPlatformSecret, Token: "tokenOfThePlatform", AESKey: strings.Repeat("k", 43), Published: true,
	})
	return w, w.operator()
}

func (w *world) opPlatform() *component.Platform { return w.replica(0).cfg.Component }

// opHears hands the platform an event, as if WeChat had pushed it.
func (w *world) opHears(kind string, at time.Time, fields ...string) {
	w.t.Helper()
	text := fmt.Sprintf("<xml><AppId>%s</AppId><CreateTime>%d</CreateTime><InfoType>%s</InfoType>", opPlatformID, at.Unix(), kind)
	for i := 0; i < len(fields); i += 2 {
		text += fmt.Sprintf("<%s>%s</%[1]s>", fields[i], fields[i+1])
	}
	m, err := wechat.ParsePush([]byte(text + "</xml>"))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.opPlatform().Receive(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) opTicket() {
	w.t.Helper()
	w.opHears("component_verify_ticket", w.clock.now(), "ComponentVerifyTicket", w.wechat.IssueTicket(opPlatformID))
}

// opAuthorize lets an account authorize the platform, and waits until its tokens
// and its description are there.
func (w *world) opAuthorize(appID string, functions ...int) {
	w.t.Helper()
	code := w.wechat.Grant(opPlatformID, appID, functions...)
	w.opHears("authorized", w.clock.now(), "AuthorizerAppid", appID, "AuthorizationCode", code, "AuthorizationCodeExpiredTime", "3600", "PreAuthCode", "none")
	eventually(w.t, appID+" is authorized and described", func() bool {
		a, _, err := w.opPlatform().Authorizer(context.WithoutCancel(w.t.Context()), appID)
		return err == nil && a.Status == component.StatusAuthorized && a.Kind != ""
	})
}

// wants calls in vain.
func (o *operator) wants(method, path, body string, status int, word, text string) {
	o.w.t.Helper()
	res := o.call(method, path, body)
	if e := res.jsonError(o.w.t); res.StatusCode != status || e.Error != word || !strings.Contains(e.Message, text) {
		o.w.t.Errorf("%s %s %s: %d %s, want %d %s with %q", method, path, body, res.StatusCode, res.body, status, word, text)
	}
	for _, secret := range []string{opPlatformSecret, "ticket@@@", "refreshtoken@@@", "access_token"} {
		if strings.Contains(res.body, secret) {
			o.w.t.Errorf("%s %s shows %q: %s", method, path, secret, res.body)
		}
	}
}
