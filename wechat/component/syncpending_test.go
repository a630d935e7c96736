package component_test

import (
	"testing"

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
