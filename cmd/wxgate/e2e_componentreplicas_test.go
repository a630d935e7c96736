package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/session/storetest"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// platformReplicas are three processes on one Redis. WeChat's pushes reach them by what they are about, browsers as the
// test says.
type platformReplicas struct {
	*platformStage
	at       [3]*platformStage // the same, but operators and apps reach this replica
	programs []*program
	shop     string // the account whose visitors log in on its host
	shopHost string
	inbox    *shopInbox
	events   atomic.Int32 // the replica that WeChat's events reach
}

func newPlatformReplicas(t *testing.T) *platformReplicas {
	t.Helper()
	redis := storetest.StartRedis(t)
	r := &platformReplicas{inbox: &shopInbox{}}
	inbox := httptest.NewServer(r.inbox)
	t.Cleanup(inbox.Close)
	r.platformStage = newPlatformStage(t, "WXGATE_STORE_URL="+redis.URL, "WXGATE_MESSAGE_FORWARD="+inbox.URL)
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(q *httputil.ProxyRequest) {
		to := r.at[0] // messages, and whatever else
		if q.In.URL.Path == eventsAt {
			to = r.at[r.events.Load()]
		}
		q.Out.URL.Scheme, q.Out.URL.Host, q.Out.Host = "http", to.listen, q.In.Host
	}})
	t.Cleanup(front.Close)
	r.shop = r.newCustomer(1)
	r.shopHost = strings.Replace(strings.TrimPrefix(front.URL, "http://"), "127.0.0.1", "localhost", 1)
	r.register(front.URL)
	for i := range r.at {
		one := &platformStage{hook: r.hook, api: freeAddress(t), secrets: r.secrets}
		one.stage = &stage{t: t, wechat: r.wechat, listen: freeAddress(t), admin: freeAddress(t), env: maps.Clone(r.env)}
		maps.Copy(one.env, map[string]string{
			"WXGATE_LISTEN": one.listen, "WXGATE_ADMIN_LISTEN": one.admin, "WXGATE_APP_LISTEN": one.api,
			"WXGATE_PUBLIC_URL": front.URL, "WXGATE_COMPONENT_ACCOUNTS": r.shopHost + "=" + r.shop,
		})
		r.at[i] = one
	}
	for _, one := range r.at {
		r.programs = append(r.programs, one.start())
	}
	r.env = r.at[0].env
	return r
}

// shopInbox is the app's side of messages: it says everything back.
type shopInbox struct {
	mu  sync.Mutex
	got []string
}

func (i *shopInbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	i.mu.Lock()
	i.got = append(i.got, string(body))
	i.mu.Unlock()
	field := func(name string) string {
		_, rest, _ := strings.Cut(string(body), "<"+name+">")
		text, _, _ := strings.Cut(rest, "</"+name+">")
		return strings.TrimSuffix(strings.TrimPrefix(text, "<![CDATA["), "]]>")
	}
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>%s!</Content></xml>",
		field("FromUserName"), field("ToUserName"), field("Content"))
}

// shopper visits the shop, as one of the simulator's players.
func (r *platformReplicas) shopper(player string) *visitor {
	v := newVisitor(r.t, "http://"+r.shopHost, player)
	wechat, err := url.Parse(r.wechat.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	v.client.Jar.SetCookies(wechat, []*http.Cookie{{Name: wechattest.PlayerCookie, Value: player, Path: "/"}})
	return v
}

// An account's whole life on three replicas, none of which has the same part of it twice.
func TestPlatformOnThreeReplicas(t *testing.T) {
	t.Parallel()
	r := newPlatformReplicas(t)
	a, b, c := r.at[0], r.at[1], r.at[2]
	public := r.env["WXGATE_PUBLIC_URL"]

	// Three tickets, each to another one.
	for replica := range r.at {
		r.events.Store(int32(replica))
		r.ticket()
		r.wechat.Advance(2 * time.Second)
	}
	tickets := r.wechat.ComponentState(platformAppID).Tickets
	for i, one := range r.at {
		if o := one.overview(); !o.Ticket.Valid || o.Ticket.CreatedAt.Unix() != tickets[2].At.Unix() {
			t.Errorf("replica %d knows the ticket %+v, the newest is of %v", i, o.Ticket, tickets[2].At)
		}
	}

	// A makes the link of which B knows, C shows the page, the push comes to B while the browser comes back to A.
	administrator := newVisitor(t, public, "xiaomei")
	back := administrator.at(c.listen).grants(administrator.at(c.listen).launch(b.link(`{"auth_type":1}`)), r.shop, wechattest.GrantRedirectOnly)
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	code := u.Query().Get("auth_code")
	r.conceal(code)
	r.events.Store(1)
	var both sync.WaitGroup
	both.Go(func() {
		if out, err := r.wechat.PushAuthorized(t.Context(), platformAppID, r.shop, code, ""); err != nil {
			t.Errorf("the push at B: %v %+v", err, out)
		}
	})
	var returned answer
	both.Go(func() {
		var err error
		if returned, err = administrator.at(a.listen).do(http.MethodGet, back, onPC...); err != nil {
			t.Errorf("the return at A: %v", err)
		}
	})
	both.Wait()
	clean := returned.header.Get("Location")
	if returned.status != http.StatusSeeOther || strings.Contains(clean, url.QueryEscape(code)) {
		t.Fatalf("back from WeChat: %d %s", returned.status, clean)
	}
	for _, one := range r.at {
		eventually(t, patience, "every replica knows the account", func() bool {
			x := one.authorizers()[r.shop]
			return x.Status == component.StatusAuthorized && x.HasRefreshToken && x.Name == "1号店" && x.UserName == r.wechat.OriginalID(r.shop)
		})
		if page, err := administrator.at(one.listen).do(http.MethodGet, clean, onPC...); err != nil || page.status != http.StatusOK || !strings.Contains(page.body, "1号店") {
			t.Errorf("the result: %v, %d %s", err, page.status, page.body)
		}
	}

	// Visitors of the shop at C, and what its page needs for WeChat's script at B.
	v := r.shopper("aqiang")
	user := v.at(c.listen).login()
	for i, one := range r.at {
		visit, err := v.at(one.listen).do(http.MethodGet, "/who", "Accept", "*/*", "Sec-Fetch-Dest", "empty")
		var h http.Header
		if err == nil {
			r.decode(visit.body, &h)
		}
		if h.Get("X-Wxgate-User") != user || h.Get("X-Wxgate-Channel") != "component" || h.Get("X-Wxgate-Appid") != r.shop || h.Get("X-Wxgate-Openid") != r.wechat.OpenID("aqiang", r.shop) {
			t.Errorf("replica %d tells the app %v", i, h)
		}
	}
	if js, err := v.at(b.listen).do(http.MethodGet, "/.wxgate/jssdk?url="+url.QueryEscape(v.public+"/")); err != nil || js.status != http.StatusOK || !strings.Contains(js.body, `"appId":"`+r.shop+`"`) {
		t.Errorf("JS-SDK: %v, %d %s", err, js.status, js.body)
	}
	var calls sync.WaitGroup
	for i := range 30 {
		one := r.at[i%3]
		calls.Go(func() {
			if err := one.send(r.shop, "hello"); err != nil {
				t.Errorf("a call of the app's: %v", err)
			}
		})
	}
	calls.Wait()
	if out, err := r.wechat.PushTextOnBehalf(t.Context(), platformAppID, r.shop, "aqiang", "在吗"); err != nil || !strings.Contains(out.Reply, "在吗!") {
		t.Errorf("a message to the shop: %v, %q", err, out.Reply)
	}

	// What WeChat saw of all that.
	count := func(path string) int { return len(r.wechat.Calls(path)) }
	for path, want := range map[string]int{
		wechattest.QueryAuthPath: 1, wechattest.ComponentTokenPath: 1, wechattest.AuthorizerTokenPath: 0,
		wechattest.ComponentAccessTokenPath: 1, wechattest.PreAuthCodePath: 1,
	} {
		if n := count(path); n != want {
			t.Errorf("%d calls of %s, want %d", n, path, want)
		}
	}
	r.concealWeChats()

	// The end of it, told to B, while somebody is on the way back from WeChat.
	late := r.shopper("nameless").at(c.listen)
	callback := late.begin("/")
	if _, err := r.wechat.Deauthorize(t.Context(), platformAppID, r.shop); err != nil {
		t.Error(err)
	}
	for i, one := range []*platformStage{c, a, b} {
		if x := one.authorizers()[r.shop]; x.Status != component.StatusUnauthorized || x.HasRefreshToken {
			t.Errorf("%d: after the end the account is %+v", i, x)
		}
		if err := one.send(r.shop, "hello?"); err == nil {
			t.Errorf("%d: a call with the token of an account that took it back", i)
		}
	}
	if page, err := late.page(callback); err != nil || page.status != http.StatusServiceUnavailable || late.cookie() != "" {
		t.Errorf("a login after the end: %v, %d %s", err, page.status, page.body)
	}
	eventually(t, patience, "the app hears of it", func() bool { return slices.Equal(r.hook.about(r.shop), []string{"authorized", "unauthorized"}) })
	r.concealWeChats()
	for i, p := range r.programs {
		p.kill()
		r.discreet(fmt.Sprintf("the log of replica %d", i), p.stderr.String())
	}
	r.hook.check(r.platformStage)
}
