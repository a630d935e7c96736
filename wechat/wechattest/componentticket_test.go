package wechattest_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestRunTickets(t *testing.T) {
	s, d := startPlatform(t)
	ctx, stop := context.WithCancel(t.Context())
	came := make(chan string)
	d.set(func(w http.ResponseWriter, r received) {
		io.WriteString(w, "success")
		select {
		case came <- r.fields["ComponentVerifyTicket"]:
		case <-ctx.Done():
		}
	})
	ended := make(chan struct{})
	go func() { defer close(ended); s.RunTickets(ctx) }()
	first := <-came
	s.Advance(10 * time.Minute)
	if second := <-came; first == second || first == "" {
		t.Errorf("tickets %q and %q", first, second)
	}
	stop()
	<-ended
	if n := len(s.ComponentState(platform).Tickets); n != 2 {
		t.Errorf("%d tickets in ten minutes", n)
	}
}

// Whoever is started after the simulator gets its first ticket all the same, and
// whoever asks for one gets it at once, whether the service ran or not.
func TestRunTicketsUntilOneIsAccepted(t *testing.T) {
	s, d := startPlatform(t)
	s.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
	ctx, stop := context.WithCancel(t.Context())
	came := make(chan string)
	var there atomic.Bool
	d.set(func(w http.ResponseWriter, r received) {
		if there.Load() {
			io.WriteString(w, "success")
		}
		select {
		case came <- r.fields["ComponentVerifyTicket"]:
		case <-ctx.Done():
		}
	})
	ended := make(chan struct{})
	go func() { defer close(ended); s.RunTickets(ctx) }()
	<-came
	s.Advance(4 * time.Second)
	<-came
	there.Store(true)
	s.Advance(4 * time.Second)
	third := <-came
	if r := mint(t, s, third); r.errcode() != 0 {
		t.Errorf("the ticket that was accepted: %s", r.raw)
	}
	for range 2 {
		post(t, s, wechattest.StartPushTicketPath, "", "component_appid", platform, "component_secret", platformSecret)
		if asked := <-came; asked == third {
			t.Error("asked for, and the same again")
		}
	}
	stop()
	<-ended
	if n := len(s.ComponentState(platform).Tickets); n != 5 {
		t.Errorf("%d tickets", n)
	}
}
