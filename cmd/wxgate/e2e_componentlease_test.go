package main

import (
	"net/http"
	"testing"

	"wxgate/session/storetest"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// leaveUnfinished kills wxgates amid something. The function that it returns waits until the next ones have finished
// that, without anybody's help: when the leases of the dead end, here by the clock on the wall. Meanwhile the test may
// do something else.
func leaveUnfinished(t *testing.T) (finished func()) {
	t.Helper()
	var left []*killing
	for _, die := range []func(*killing){
		func(k *killing) {
			k.kill()
			k.dieOfOwnToken(true)
			k.begin()
			// The push is acknowledged at once, though nothing can be asked of WeChat yet.
			if _, err := k.grant(k.customers[0])(); err != nil {
				t.Fatal(err)
			}
			k.customers[0].owes(component.StatusAuthorized, "authorized")
		},
		func(k *killing) {
			k.dieOfExchange(true)
			k.begin()
		},
	} {
		k := newKilling(newPlatformStage(t), (*program).kill, 1)
		k.begin()
		if _, err := k.newTicket(); err != nil {
			t.Fatal(err)
		}
		die(k)
		left = append(left, k)
	}
	return func() {
		for _, k := range left {
			k.settle(k.customers[0])
			if err := k.send(k.customers[0].appid, "hello"); err != nil {
				t.Error(err)
			}
		}
	}
}

// Without its store wxgate acknowledges nothing, and afterwards it is as if the push had never been sent.
func TestPlatformWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	k := newKilling(newPlatformStage(t, "WXGATE_STORE_URL="+redis.URL), (*program).kill, 2)
	k.begin()
	if _, err := k.newTicket(); err != nil {
		t.Fatal(err)
	}
	shop, other := k.customers[0], k.customers[1]
	k.authorized(shop)
	redis.Stop()
	if out, err := k.newTicket(); err == nil || out.Status() == http.StatusOK {
		t.Errorf("a ticket without a store: %v, %d %q", err, out.Status(), out.Answer())
	}
	granted := k.grant(other)
	if out, err := granted(); err == nil || out.Status() == http.StatusOK {
		t.Errorf("an authorization without a store: %v, %d %q", err, out.Status(), out.Answer())
	}
	redis.Restart()
	eventually(t, patience, "ready", func() bool { return probe(k.admin, "/readyz") == http.StatusOK })
	if o := k.overview(); !o.Ticket.CreatedAt.Equal(k.ticketAt) {
		t.Errorf("the ticket is %+v, the last one that was acknowledged is of %v", o.Ticket, k.ticketAt)
	}
	if _, known := k.authorizers()[other.appid]; known {
		t.Error("an authorization that was not acknowledged is known")
	}
	for _, push := range []func() (wechattest.Pushed, error){k.newTicket, granted} {
		if out, err := push(); err != nil {
			t.Errorf("again: %v, %d %q", err, out.Status(), out.Answer())
		}
	}
	k.settle(shop)
	k.settle(other)
	if o := k.overview(); !o.Ticket.CreatedAt.Equal(k.ticketAt) {
		t.Errorf("the ticket is %+v, the last one that was acknowledged is of %v", o.Ticket, k.ticketAt)
	}
}
