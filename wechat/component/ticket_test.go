package component_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

func (w *world) ticketAt() time.Time {
	w.Helper()
	at, _, _, err := w.front.Load().Expiries(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return at
}

func (w *world) pushOldTicket(text string, at time.Time) (wechattest.Pushed, error) {
	return w.sim.PushComponent(w.Context(), platformID, wechattest.ComponentPush{
		InfoType: "component_verify_ticket", Fields: []string{"ComponentVerifyTicket", text}, CreateTime: at, Attempts: 1,
	})
}

// The newest ticket stays, in whatever order they come, and however often.
func TestOldTicketsNeverReplaceNewerOnes(t *testing.T) {
	w, p := ready(t)
	first := w.ticketAt()
	w.sim.Advance(10 * time.Minute)
	w.ticket()
	newest := w.ticketAt()
	if !newest.After(first) {
		t.Fatalf("the second ticket has the time %v, the first %v", newest, first)
	}
	before := w.store.ops
	for _, at := range []time.Time{first, newest, newest.Add(-time.Second)} {
		if _, err := w.pushOldTicket("ticket@@@stale", at); err != nil {
			t.Errorf("a ticket of %v was not acknowledged: %v", at, err)
		}
	}
	if writes := w.store.ops - before; writes != 3 {
		t.Errorf("%d operations for three stale tickets, want one read each", writes)
	}
	if at := w.ticketAt(); !at.Equal(newest) {
		t.Errorf("the ticket is of %v now, want %v", at, newest)
	}
	// The simulator knows no stale ticket, so this proves which one is kept.
	if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestRefusedTickets(t *testing.T) {
	w, _ := ready(t)
	kept := w.ticketAt()
	for name, push := range map[string]wechattest.ComponentPush{
		"from the future":  {InfoType: "component_verify_ticket", Fields: []string{"ComponentVerifyTicket", "t"}, CreateTime: w.sim.Now().Add(11 * time.Minute)},
		"empty":            {InfoType: "component_verify_ticket", Fields: []string{"ComponentVerifyTicket", ""}},
		"absent":           {InfoType: "component_verify_ticket"},
		"too long":         {InfoType: "component_verify_ticket", Fields: []string{"ComponentVerifyTicket", strings.Repeat("t", 1025)}},
		"without a time":   {XML: "<xml><AppId>" + platformID + "</AppId><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>t</ComponentVerifyTicket></xml>"},
		"another platform": {XML: "<xml><AppId>wxc0ffee0123456780</AppId><CreateTime>1</CreateTime><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>t</ComponentVerifyTicket></xml>"},
	} {
		push.Attempts = 1
		if got, err := w.sim.PushComponent(t.Context(), platformID, push); err == nil || got.Status() == 200 {
			t.Errorf("%s: acknowledged", name)
		}
	}
	if at := w.ticketAt(); !at.Equal(kept) {
		t.Errorf("the ticket is of %v, want %v", at, kept)
	}
}

func TestReceiveNamesThePushItRefuses(t *testing.T) {
	w := newWorld(t)
	m, err := wechat.ParsePush([]byte("<xml><AppId>wx0</AppId><InfoType>authorized</InfoType></xml>"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.front.Load().Receive(t.Context(), m); !errors.Is(err, wechat.ErrPush) {
		t.Errorf("got %v", err)
	}
	for _, inner := range []string{
		"<InfoType>authorized</InfoType><CreateTime>5</CreateTime><AuthorizationCode>c</AuthorizationCode>",
		"<InfoType>authorized</InfoType><CreateTime>5</CreateTime><AuthorizerAppid>a/b</AuthorizerAppid><AuthorizationCode>c</AuthorizationCode>",
		"<InfoType>authorized</InfoType><CreateTime>5</CreateTime><AuthorizerAppid>wx1</AuthorizerAppid>",
		"<InfoType>authorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid><AuthorizationCode>c</AuthorizationCode>",
		"<InfoType>unauthorized</InfoType><CreateTime>5</CreateTime>",
		"<InfoType>unauthorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid>",
	} {
		m, err := wechat.ParsePush([]byte("<xml><AppId>" + platformID + "</AppId>" + inner + "</xml>"))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.front.Load().Receive(t.Context(), m); !errors.Is(err, wechat.ErrPush) {
			t.Errorf("%s: got %v", inner, err)
		}
	}
	for _, kind := range []string{"something_new", "notify_icpfiling_verify_result", "", "<b/>"} {
		m, err := wechat.ParsePush([]byte("<xml><AppId>" + platformID + "</AppId><InfoType>" + kind + "</InfoType></xml>"))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.front.Load().Receive(t.Context(), m); err != nil {
			t.Errorf("%q is not acknowledged: %v", kind, err)
		}
	}
}

// A store that fails leaves the push unacknowledged, and WeChat's next attempt
// brings it.
func TestTicketIsCommittedBeforeSuccess(t *testing.T) {
	w := newWorld(t)
	w.store.die(1)
	w.sim.Set(func(b *wechattest.Behaviour) { b.EventAttempts = 1 })
	if got, err := w.sim.PushTicket(t.Context(), platformID); err == nil || got.Status() != 503 {
		t.Fatalf("acknowledged by a process that could not store it: %+v", got)
	}
	w.store.restart()
	if !w.ticketAt().IsZero() {
		t.Fatal("there is a ticket")
	}
	w.ticket()
	if w.ticketAt().IsZero() {
		t.Fatal("there is no ticket")
	}
}

func TestNoTokenIsMintedBecauseATicketArrived(t *testing.T) {
	w, p := ready(t)
	for range 10 {
		w.sim.Advance(10 * time.Minute)
		w.ticket()
		if err := p.WithToken(t.Context(), func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.calls(wechattest.ComponentTokenPath); n != 1 {
		t.Errorf("%d tokens were minted within 100 minutes, want 1", n)
	}
}

// At the start, and whenever none comes for 25 minutes, pushes are asked for: once
// by all replicas together.
func TestStaleTicketIsAskedFor(t *testing.T) {
	w := newWorld(t)
	p, other := w.front.Load(), w.platform(w.store)
	p.Care(t.Context())
	other.Care(t.Context())
	if n := w.calls(wechattest.StartPushTicketPath); n != 1 {
		t.Fatalf("asked %d times without any ticket, want once", n)
	}
	w.ticket()
	w.sim.Advance(24 * time.Minute)
	p.Care(t.Context())
	if n := w.calls(wechattest.StartPushTicketPath); n != 1 {
		t.Fatalf("asked though the ticket is fresh")
	}
	w.sim.Advance(2 * time.Minute)
	p.Care(t.Context())
	other.Care(t.Context())
	if n := w.calls(wechattest.StartPushTicketPath); n != 2 {
		t.Fatalf("asked %d times, want once more", n)
	}
	w.sim.Advance(12 * time.Hour)
	p.Care(t.Context())
	if log := w.log.String(); !strings.Contains(log, "none arrives here") || !strings.Contains(log, "is void") {
		t.Errorf("the log does not complain:\n%s", log)
	}
}

func TestWithoutATicket(t *testing.T) {
	w := newWorld(t)
	p := w.front.Load()
	call := func() error { return p.WithToken(context.Background(), func(string) error { return nil }) }
	if err := call(); !errors.Is(err, component.ErrNoTicket) {
		t.Fatalf("got %v", err)
	}
	w.ticket()
	if err := call(); err != nil {
		t.Fatalf("with a ticket: %v", err)
	}
	// Half a day without any: the token that is left is the last one.
	w.sim.Advance(13 * time.Hour)
	if err := call(); !errors.Is(err, component.ErrNoTicket) {
		t.Fatalf("with an expired ticket: %v", err)
	}
	w.ticket()
	if err := call(); err != nil {
		t.Fatalf("the refusal is still passed on: %v", err)
	}
}

// Nothing that opens a door can be read in the store, the log or an answer.
func TestSecretsAtRest(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	token, err := p.Token(t.Context(), accountID)
	if err != nil {
		t.Fatal(err)
	}
	state := w.sim.ComponentState(platformID)
	secrets := []string{token, state.AccessToken, state.Tickets[0].Value, state.Authorizations[0].RefreshToken, "platform-secret"}
	a, _, _ := p.Authorizer(t.Context(), accountID)
	o, err := p.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen, _ := json.Marshal([]any{a, o})
	p.Wait()
	for _, secret := range secrets {
		if len(secret) < 8 {
			t.Fatalf("%q is no secret", secret)
		}
		for key, e := range w.store.values {
			if strings.Contains(string(e.value), secret) || strings.Contains(key, secret) {
				t.Errorf("a secret rests in the store under %s", key)
			}
		}
		if strings.Contains(w.log.String(), secret) || strings.Contains(string(seen), secret) {
			t.Error("a secret is told")
		}
	}
}
