package component_test

import (
	"errors"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// While a code is being exchanged WeChat's list has the account without a refresh
// token. That is no loss, and nothing to tell the app or the operator.
func TestSyncAmidAnExchange(t *testing.T) {
	w, p := ready(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	w.sim.Inject(wechattest.QueryAuthPath, wechattest.Fault{Reached: func() { close(asked) }, Hold: answer})
	code := w.sim.Grant(platformID, accountID)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	<-asked
	report, err := p.Sync(t.Context())
	if err != nil || report.Listed != 1 || report.Added != 0 || len(report.Missing) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if a, _, err := p.Authorizer(t.Context(), accountID); err != nil || a.Status != component.StatusPending || a.Error != "" {
		t.Errorf("the account is %+v, %v", a, err)
	}
	close(answer)
	if a := w.settled(accountID); a.Error != "" {
		t.Errorf("the operator is told %q", a.Error)
	}
	p.Wait()
	events, err := p.Notices(t.Context(), accountID)
	if err != nil || len(events) != 1 || events[0].Type != component.NoticeAuthorized {
		t.Errorf("the app is told %v, %v", events, err)
	}
}

// A ticket that comes while WeChat refuses the former one ends the refusal before
// anybody has heard of it.
func TestTicketAmidARefusal(t *testing.T) {
	w, p := ready(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	w.sim.Inject(wechattest.ComponentTokenPath, wechattest.Fault{Reached: func() { close(asked) }, Hold: answer, Errcode: 61005})
	call := func() error { return p.WithToken(t.Context(), func(string) error { return nil }) }
	refused := make(chan error)
	go func() { refused <- call() }()
	<-asked
	w.sim.Advance(time.Second)
	w.ticket()
	close(answer)
	if err := <-refused; !errors.Is(err, component.ErrNoTicket) {
		t.Errorf("the call for the former ticket ends in %v", err)
	}
	if err := call(); err != nil {
		t.Errorf("with the new ticket: %v", err)
	}
}

// An account that is authorized grants again. Until the new code is exchanged the
// old refresh token is void and the new one hidden: nothing is lost, and nobody has
// to do anything.
func TestTokenAmidAnotherAuthorization(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	p.Wait()
	w.sim.Advance(121 * time.Minute)
	w.ticket()
	asked, answer := make(chan struct{}), make(chan struct{})
	w.sim.Inject(wechattest.QueryAuthPath, wechattest.Fault{Reached: func() { close(asked) }, Hold: answer})
	code := w.sim.Grant(platformID, accountID, 1, 4)
	if _, err := w.sim.PushAuthorized(t.Context(), platformID, accountID, code, ""); err != nil {
		t.Fatal(err)
	}
	<-asked
	_, err := p.Token(t.Context(), accountID)
	if away := (*wechat.UnavailableError)(nil); !errors.As(err, &away) {
		t.Errorf("got %v", err)
	}
	if a, _, err := p.Authorizer(t.Context(), accountID); err != nil || a.Error != "" {
		t.Errorf("the operator is told %q, %v", a.Error, err)
	}
	close(answer)
	p.Wait()
	w.sim.Advance(2 * time.Second)
	if _, err := p.Token(t.Context(), accountID); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
