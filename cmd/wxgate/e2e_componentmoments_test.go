package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// moments are what is under way when wxgate dies.
var moments = []struct {
	name string
	// boot: it dies of it while it starts; else it runs and is ready.
	boot bool
	die  func(*killing)
}{
	{"ticket", false, (*killing).dieOfTicket},
	{"authorized", false, (*killing).dieOfAuthorized},
	{"api_query_auth answered", false, func(k *killing) { k.dieOfExchange(true) }},
	{"returned", false, (*killing).dieOfReturn},
	{"api_component_token answered", true, func(k *killing) { k.dieOfOwnToken(true) }},
	{"updateauthorized", false, (*killing).dieOfUpdate},
	{"api_authorizer_token answered", false, func(k *killing) { k.dieOfToken(true) }},
	{"release test", false, (*killing).dieOfReply},
	{"unauthorized", false, (*killing).dieOfUnauthorized},
	{"api_query_auth being answered", false, func(k *killing) { k.dieOfExchange(false) }},
	{"api_component_token being answered", true, func(k *killing) { k.dieOfOwnToken(false) }},
	{"api_authorizer_token being answered", false, func(k *killing) { k.dieOfToken(false) }},
}

func (k *killing) dieOfTicket() { k.acknowledged(wechattest.EventPushes, k.newTicket) }

// next is the next customer, by turns, of whom something like this was acknowledged last.
func (k *killing) next(statuses ...string) *customer {
	k.t.Helper()
	for range k.customers {
		c := k.customers[k.turn%len(k.customers)]
		if k.turn++; slices.Contains(statuses, c.status) {
			return c
		}
	}
	k.t.Fatalf("round %d: no account is %q", k.round, statuses)
	return nil
}

// known is an account that has its tokens by now.
func (k *killing) known() *customer {
	k.t.Helper()
	c := k.next(component.StatusAuthorized)
	k.settle(c)
	return c
}

// settle waits until an account has the tokens of its last authorization.
func (k *killing) settle(c *customer) {
	k.t.Helper()
	eventually(k.t, 2*patience, c.appid+" has its tokens", func() bool {
		a := k.authorizers()[c.appid]
		return a.Status == component.StatusAuthorized && a.HasRefreshToken && a.AuthorizedAt != nil && !a.AuthorizedAt.Before(c.at)
	})
	c.settled = true
}

// grant has the administrator authorize, and returns the push that tells of it.
func (k *killing) grant(c *customer, functions ...int) (push func() (wechattest.Pushed, error)) {
	k.tick()
	c.at = k.wechat.Now().Truncate(time.Second)
	code := k.wechat.Grant(platformAppID, c.appid, functions...)
	k.conceal(code)
	return func() (wechattest.Pushed, error) {
		return k.wechat.PushAuthorized(k.t.Context(), platformAppID, c.appid, code, "")
	}
}

// owes notes what was acknowledged.
func (c *customer) owes(status, event string) {
	c.status, c.settled, c.events = status, false, append(c.events, event)
}

func (k *killing) authorized(c *customer) {
	k.t.Helper()
	if _, err := k.grant(c)(); err != nil {
		k.t.Fatal(err)
	}
	c.owes(component.StatusAuthorized, "authorized")
	k.settle(c)
}

func (k *killing) dieOfAuthorized() {
	c := k.next("", component.StatusUnauthorized)
	k.acknowledged(wechattest.EventPushes, k.grant(c))
	c.owes(component.StatusAuthorized, "authorized")
}

func (k *killing) dieOfExchange(held bool) {
	c := k.next("", component.StatusUnauthorized)
	push := k.grant(c)
	k.answered(wechattest.QueryAuthPath, held, func() {
		if _, err := push(); err != nil {
			k.t.Fatal(err)
		}
	})
	c.owes(component.StatusAuthorized, "authorized")
}

// dieOfReturn: only the browser tells of the authorization, and its page says that it is done.
func (k *killing) dieOfReturn() {
	c := k.next("")
	v := k.visitor("xiaomei")
	back := v.grants(v.launch(k.link(`{}`)), c.appid, wechattest.GrantRedirectOnly)
	a, err := v.do(http.MethodGet, back, onPC...)
	k.kill()
	if err != nil || a.status != http.StatusSeeOther {
		k.t.Fatalf("round %d: back from WeChat: %v, %d %s", k.round, err, a.status, a.body)
	}
	c.owes(component.StatusAuthorized, "authorized")
}

func (k *killing) dieOfUpdate() {
	c := k.known()
	k.acknowledged(wechattest.EventPushes, k.grant(c, 1, 100+k.round))
	c.owes(component.StatusAuthorized, "updated")
}

func (k *killing) dieOfUnauthorized() {
	c := k.known()
	for range k.customers {
		// Where WeChat never told when it began, it is asked about the end, which
		// takes a moment more.
		if c.at.IsZero() {
			c = k.known()
		}
	}
	k.tick()
	k.acknowledged(wechattest.EventPushes, func() (wechattest.Pushed, error) {
		return k.wechat.Deauthorize(k.t.Context(), platformAppID, c.appid)
	})
	c.owes(component.StatusUnauthorized, "unauthorized")
}

// dieOfToken: the app wants something of an account whose token has ended.
func (k *killing) dieOfToken(held bool) {
	c := k.known()
	k.lost++
	k.answered(wechattest.AuthorizerTokenPath, held, func() {
		k.calls.Go(func() { k.send(c.appid, "a call that nobody waits for") })
	})
}

// dieOfOwnToken: a platform without a token gets one before anybody asks.
func (k *killing) dieOfOwnToken(held bool) {
	k.answered(wechattest.ComponentTokenPath, held, func() { k.p = launch(k.t, k.env, "serve") })
}

// dieOfReply: a message of the release test, which is acknowledged with nothing, is to be answered by a call.
func (k *killing) dieOfReply() {
	// The next authorization voids the tokens with which the former answer is sent.
	k.replied()
	k.settle(k.tester)
	k.tick()
	code := k.wechat.Grant(platformAppID, k.tester.appid, 1, 100+k.round)
	k.conceal(code)
	k.acknowledged(wechattest.MessagePushes, func() (wechattest.Pushed, error) {
		return k.wechat.PushTextOnBehalf(k.t.Context(), platformAppID, k.tester.appid, "xiaomei", "QUERY_AUTH_CODE:"+code)
	})
	k.replies = append(k.replies, code+"_from_api")
	k.tester.owes(component.StatusAuthorized, "updated")
	k.tester.at = time.Time{} // this code comes without WeChat's time
}

// replied waits for the answers that were promised to the release test.
func (k *killing) replied() {
	k.t.Helper()
	eventually(k.t, 2*patience, "the answers to the release test", func() bool {
		var sent strings.Builder
		for _, m := range k.wechat.CustomMessages() {
			sent.Write(m.Body)
		}
		return !slices.ContainsFunc(k.replies, func(reply string) bool { return !strings.Contains(sent.String(), reply) })
	})
}
