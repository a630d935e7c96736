package component_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// A login on behalf of an account needs the platform's token and nothing of the
// account's.
func TestExchangeOnBehalf(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	w.authorize(programID)
	person := w.sim.Players()[0].ID
	mints := w.calls(wechattest.AuthorizerTokenPath)
	token, err := p.Exchange(t.Context(), accountID, w.sim.IssueCodeOnBehalf(platformID, accountID, person, wechat.ScopeUserInfo))
	if err != nil || token.OpenID == "" || token.UnionID == "" {
		t.Fatalf("%+v, %v", token, err)
	}
	if again, err := p.Refresh(t.Context(), accountID, token.RefreshToken); err != nil || again.OpenID != token.OpenID {
		t.Errorf("refreshed: %+v, %v", again, err)
	}
	if s, err := p.Code2Session(t.Context(), programID, w.sim.IssueCodeOnBehalf(platformID, programID, person, "")); err != nil || s.OpenID == "" {
		t.Errorf("mini program: %+v, %v", s, err)
	}
	if n := w.calls(wechattest.AuthorizerTokenPath) - mints; n != 0 {
		t.Errorf("%d tokens of accounts were minted for logins", n)
	}
}

// The platform's token was voided elsewhere: the code is not lost by that.
func TestExchangeWithAVoidToken(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	ticket := w.sim.ComponentState(platformID).Tickets[0].Value
	if _, err := w.client().ComponentToken(t.Context(), wechat.App{ID: platformID, Secret: "platform-secret"}, ticket); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(6 * time.Minute)
	code := w.sim.IssueCodeOnBehalf(platformID, accountID, w.sim.Players()[0].ID, wechat.ScopeBase)
	if token, err := p.Exchange(t.Context(), accountID, code); err != nil || token.OpenID == "" {
		t.Fatalf("%+v, %v", token, err)
	}
	var api *wechat.APIError
	if _, err := p.Exchange(t.Context(), accountID, code); !errors.As(err, &api) || api.Kind() != wechat.KindCode {
		t.Errorf("the same code again: %v", err)
	}
}

func TestExchangeForOneWhoIsGone(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	code := w.sim.IssueCodeOnBehalf(platformID, accountID, w.sim.Players()[0].ID, wechat.ScopeBase)
	if _, err := w.sim.Deauthorize(t.Context(), platformID, accountID); err != nil {
		t.Fatal(err)
	}
	var api *wechat.APIError
	if _, err := p.Exchange(t.Context(), accountID, code); !errors.As(err, &api) || api.Kind() != wechat.KindConfig {
		t.Errorf("got %v", err)
	}
}

// The release test's code is exchanged, and the tester gets its message, once.
func TestReplyLater(t *testing.T) {
	w, p := ready(t)
	w.authorize(accountID)
	w.sim.Advance(time.Minute)
	tester := w.openID(accountID)
	code := w.sim.Grant(platformID, accountID, 1, 9)
	for range 3 {
		if err := p.ReplyLater(t.Context(), accountID, tester, code); err != nil {
			t.Fatal(err)
		}
	}
	p.Wait()
	if n := w.calls("/cgi-bin/message/custom/send"); n != 1 {
		t.Errorf("%d messages were sent\n%s", n, w.log)
	}
	if n := w.calls(wechattest.QueryAuthPath); n != 2 {
		t.Errorf("%d codes were exchanged, want 2", n)
	}
	for _, bad := range [][3]string{{"a/b", tester, code}, {accountID, "", code}, {accountID, tester, ""}, {accountID, tester, strings.Repeat("c", 513)}} {
		if err := p.ReplyLater(t.Context(), bad[0], bad[1], bad[2]); !errors.Is(err, wechat.ErrPush) {
			t.Errorf("%.40v: %v", bad, err)
		}
	}
}

// openID is the first player's at an account.
func (w *world) openID(appid string) string {
	w.Helper()
	token, err := w.front.Load().Exchange(w.Context(), appid, w.sim.IssueCodeOnBehalf(platformID, appid, w.sim.Players()[0].ID, wechat.ScopeBase))
	if err != nil {
		w.Fatal(err)
	}
	return token.OpenID
}

func TestOverview(t *testing.T) {
	w := newWorld(t)
	o, err := w.front.Load().Overview(t.Context())
	if err != nil || !o.Ticket.Stale || o.Ticket.Valid || o.Ticket.AgeSeconds != nil || o.Token.Valid || len(o.WithoutTokens) != 0 {
		t.Errorf("before anything came: %+v, %v", o, err)
	}
	w.ticket()
	w.authorize(accountID)
	w.sim.Grant(platformID, otherID)
	if _, err := w.front.Load().Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(26 * time.Minute)
	o, err = w.front.Load().Overview(t.Context())
	if err != nil || !o.Ticket.Stale || !o.Ticket.Valid || *o.Ticket.AgeSeconds < 26*60 || !o.Token.Valid || *o.Token.AgeSeconds < 26*60 {
		t.Errorf("after 26 minutes: %+v, %v", o, err)
	}
	if o.Authorizers[component.StatusAuthorized] != 2 || len(o.WithoutTokens) != 1 || o.WithoutTokens[0] != otherID {
		t.Errorf("the accounts: %+v", o)
	}
	ticketAt, own, first, err := w.front.Load().Expiries(t.Context())
	if err != nil || ticketAt.IsZero() || own.IsZero() || first.IsZero() {
		t.Errorf("%v %v %v, %v", ticketAt, own, first, err)
	}
	w.sim.Advance(12 * time.Hour)
	if o, _ = w.front.Load().Overview(t.Context()); o.Ticket.Valid || o.Token.Valid {
		t.Errorf("half a day later: %+v", o)
	}
}
