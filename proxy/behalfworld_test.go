package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// The public host of these tests is 127.0.0.1, with the service account of the
// other tests. localhost, which shares no cookies with it, is assigned to the
// account of somebody else, who authorized the third-party platform.

const (
	behalfPlatformID = "wx00000000000000f0"
	behalfSecret     = "secret-of-the-platform"
	behalfToken      = "tokenOfThePlatform"
	behalfAppID      = "wx00000000000000f1"
	behalfOtherID    = "wx00000000000000f2"
	behalfMiniID     = "wx00000000000000f3"
)

// behalfOf makes a third-party platform, with accounts by host name: every
// replica has a Platform of its own on the common store.
func behalfOf(accounts map[string]string) option {
	return func(c *Config) {
		store := c.Queue.(*outage)
		var err error
		c.Sessions, err = session.NewManager(session.Config{
			Store: store, Secrets: [][]byte{bytes.Repeat([]byte{7}, 32)}, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Now: c.Now, Domain: c.CookieDomain,
		})
		if err != nil {
			panic(err)
		}
		c.Component = component.New(component.Config{
			App: wechat.App{ID: behalfPlatformID, Secret: behalfSecret}, Client: c.WeChat,
			Store: store, Queue: store, Sealer: c.Sessions, Logger: c.Logger, Now: c.Now,
		})
		c.ComponentPush, err = wechat.NewPush(wechat.PushConfig{
			Token: behalfToken, AppID: behalfPlatformID, AESKeys: []string{strings.Repeat("A", 43)}, Now: c.Now,
		})
		if err != nil {
			panic(err)
		}
		c.ComponentAccounts = map[string]string{}
		for host, appID := range accounts {
			if port := c.PublicURL.Port(); port != "" {
				host += ":" + port
			}
			c.ComponentAccounts[host] = appID
		}
	}
}

// newBehalfWorld is a world where localhost is assigned to an account. The
// helpers of browsers mean that host; public has the address of the other one.
func newBehalfWorld(t *testing.T, n int, opts ...option) *world {
	t.Helper()
	w := newTicketless(t, n, opts...)
	w.ticket()
	return w
}

// newTicketless is newBehalfWorld before WeChat has pushed anything.
func newTicketless(t *testing.T, n int, opts ...option) *world {
	t.Helper()
	w := newWorld(t, n, nil, append([]option{behalfOf(map[string]string{"localhost": behalfAppID})}, opts...)...)
	w.behalfAccounts("localhost")
	w.wechat.Grant(behalfPlatformID, behalfAppID)
	w.front.URL = w.other()
	return w
}

func (w *world) public() string { return w.replica(0).hosts.origin(w.replica(0).hosts.public) }

// behalfAccounts tells WeChat of the platform, whose web host this is, and of
// accounts which could not log anybody in without it.
func (w *world) behalfAccounts(hosts ...string) {
	w.wechat.AddComponent(wechattest.Component{
		ID: behalfPlatformID, Secret: behalfSecret, Token: behalfToken, AESKey: strings.Repeat("A", 43), OAuthHosts: hosts, Published: true,
	})
	w.wechat.AddApp(wechattest.App{ID: behalfAppID, Secret: "unknown to the gateway", Name: "甲", Bound: true, JSDomains: hosts})
	w.wechat.AddApp(wechattest.App{ID: behalfOtherID, Secret: "unknown to the gateway", Name: "乙", Bound: true})
	w.wechat.AddApp(wechattest.App{ID: behalfMiniID, Secret: "unknown to the gateway", Name: "丙", Bound: true, Kind: wechattest.MiniProgram})
}

// tell gives the platform an event, as its endpoint does.
func (w *world) tell(infoType string, fields ...string) {
	w.t.Helper()
	xml := fmt.Sprintf("<xml><AppId>%s</AppId><CreateTime>%d</CreateTime><InfoType>%s</InfoType>", behalfPlatformID, w.clock.now().Unix(), infoType)
	for i := 0; i < len(fields); i += 2 {
		xml += "<" + fields[i] + ">" + fields[i+1] + "</" + fields[i] + ">"
	}
	m, err := wechat.ParsePush([]byte(xml + "</xml>"))
	if err == nil {
		err = w.replica(0).cfg.Component.Receive(w.t.Context(), m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ticket() {
	w.t.Helper()
	w.tell("component_verify_ticket", "ComponentVerifyTicket", w.wechat.IssueTicket(behalfPlatformID))
}

// known lets an account authorize the platform, and waits until that has its
// tokens and knows its kind.
func (w *world) known(appID string, functions ...int) {
	w.t.Helper()
	w.tell("authorized", "AuthorizerAppid", appID, "AuthorizationCode", w.wechat.Grant(behalfPlatformID, appID, functions...), "AuthorizationCodeExpiredTime", "3600", "PreAuthCode", "x")
	eventually(w.t, "the platform has the account's tokens", func() bool {
		a, found, err := w.replica(0).cfg.Component.Authorizer(w.t.Context(), appID)
		return err == nil && found && a.HasRefreshToken && a.Kind != ""
	})
}

// behalfCodes are the exchanges of codes on behalf of accounts; there must be no
// others.
func (w *world) behalfCodes(t *testing.T, want int) {
	t.Helper()
	w.oncePerCode(t, want)
	if n := len(w.wechat.Calls(wechattest.AccessTokenPath)); n != 0 {
		t.Errorf("%d codes were exchanged with a secret", n)
	}
}

// behalfSteps counts steps of logins on behalf.
func (w *world) behalfSteps(replicas []*Server, step string) (n float64) {
	for _, g := range replicas {
		n += g.metric(w.t, fmt.Sprintf(`wxgate_logins_total{channel="component",step=%q}`, step))
	}
	return n
}

func stateOf(callback string) string {
	u, _ := url.Parse(callback)
	return u.Query().Get("state")
}

// consentURL logs in with name and picture on a host.
func (b *browser) consentURL(host string) string {
	b.w.wechat.Set(func(x *wechattest.Behaviour) { x.AutoConsent = true })
	return host + "/.wxgate/login?profile=1&agreed=1&next=/"
}

// newSharing has hosts that share their cookies: play, with the service account,
// and shop and club, each with the account of somebody else.
func newSharing(t *testing.T, opts ...option) (w *world, play, shop, club string) {
	t.Helper()
	accounts := map[string]string{"shop.example.com": behalfAppID, "club.example.com": behalfOtherID}
	w = newWorld(t, 1, nil, append([]option{func(c *Config) {
		c.PublicURL = &url.URL{Scheme: "http", Host: "play.example.com"}
		c.CookieDomain = "example.com"
	}, behalfOf(accounts)}, opts...)...)
	w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"play.example.com"}})
	w.wechat.AddApp(wechattest.App{ID: webAppID, Secret: webSecret, Kind: wechattest.Website, CallbackHosts: []string{"play.example.com"}, Bound: true})
	w.behalfAccounts("shop.example.com", "club.example.com")
	w.ticket()
	w.wechat.Grant(behalfPlatformID, behalfAppID)
	w.wechat.Grant(behalfPlatformID, behalfOtherID)
	return w, "http://play.example.com", "http://shop.example.com", "http://club.example.com"
}

// local makes a browser find every host of example.com at the gateway.
func (b *browser) local() *browser {
	front := b.w.front.Listener.Addr().String()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ".example.com:80") {
			address = front
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	b.w.t.Cleanup(transport.CloseIdleConnections)
	b.client.Transport = transport
	return b
}

// beginAt is begin on any host.
func (b *browser) beginAt(host, next string) (callback string) {
	b.w.t.Helper()
	s := b.stay()
	res := s.open(host + "/.wxgate/login?next=" + url.QueryEscape(next))
	if res = s.open(res.Header.Get("Location")); res.StatusCode != http.StatusFound {
		b.w.t.Fatalf("WeChat answered %d %s", res.StatusCode, text(res.body))
	}
	return res.Header.Get("Location")
}
