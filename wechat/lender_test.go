package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat"
)

// lender lends token-1, and another token after each Drop of the current one.
type lender struct {
	mu      sync.Mutex
	asked   int
	issued  int
	dropped []string
	err     error
}

func (l *lender) Token(_ context.Context, appid string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.err != nil {
		return "", l.err
	}
	return fmt.Sprint(appid, "-token-", l.issued), nil
}

func (l *lender) Drop(appid, token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = append(l.dropped, appid+" "+token)
	l.issued++
}

// lent is an account of the lender's.
var lent = wechat.App{ID: authorizerID}

// startLent serves the calls of an account, whose token must be the one given.
func startLent(t *testing.T, good func() string) (tokens *wechat.ServerTokens, l *lender, calls func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.URL.Path[1:])
		switch {
		case r.URL.Path == "/cgi-bin/stable_token":
			io.WriteString(w, `{"access_token":"minted","expires_in":7200}`)
		case r.URL.Query().Get("access_token") != good():
			io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: 1"}`)
		case r.URL.Path == "/cgi-bin/ticket/getticket":
			io.WriteString(w, `{"errcode":0,"errmsg":"ok","ticket":"ticket-of-`+r.URL.Query().Get("access_token")+`","expires_in":7200}`)
		case r.URL.Path == "/cgi-bin/user/info":
			io.WriteString(w, `{"subscribe":1,"openid":"oX","unionid":"u"}`)
		default:
			io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
		}
	}))
	t.Cleanup(s.Close)
	l = &lender{}
	tokens = wechat.NewServerTokens(wechat.New(wechat.Config{APIURL: s.URL}), l)
	return tokens, l, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

func TestLentTokens(t *testing.T) {
	tokens, l, calls := startLent(t, func() string { return authorizerID + "-token-0" })
	for range 3 { // it is the lender who keeps them
		if token, err := tokens.Token(t.Context(), lent); err != nil || token != authorizerID+"-token-0" {
			t.Fatalf("%q, %v", token, err)
		}
	}
	if l.asked != 3 || len(calls()) != 0 {
		t.Errorf("lender asked %d times, WeChat %v", l.asked, calls())
	}
	for range 2 {
		if ticket, err := tokens.JSAPITicket(t.Context(), lent); err != nil || ticket != "ticket-of-"+authorizerID+"-token-0" {
			t.Errorf("%q, %v", ticket, err)
		}
	}
	if subscribed, unionid, err := tokens.Follower(t.Context(), lent, "oX"); err != nil || !subscribed || unionid != "u" {
		t.Errorf("%v, %q, %v", subscribed, unionid, err)
	}
	res, err := tokens.Do(t.Context(), lent, wechat.Call{Method: "GET", Path: "cgi-bin/get_api_domain_ip"})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	want := []string{"cgi-bin/ticket/getticket", "cgi-bin/user/info", "cgi-bin/get_api_domain_ip"}
	if !slices.Equal(calls(), want) || len(l.dropped) != 0 {
		t.Errorf("calls %v, dropped %v", calls(), l.dropped)
	}

	// An account with a secret has nothing to do with it.
	asked := l.asked
	if token, err := tokens.Token(t.Context(), app); err != nil || token != "minted" {
		t.Errorf("%q, %v", token, err)
	}
	tokens.Drop(app, "minted")
	if l.asked != asked || len(l.dropped) != 0 {
		t.Errorf("the lender was asked for an account that has a secret")
	}
}

func TestLentTokenThatIsVoid(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, tokens *wechat.ServerTokens) error{
		"JSAPITicket": func(ctx context.Context, tokens *wechat.ServerTokens) error {
			_, err := tokens.JSAPITicket(ctx, lent)
			return err
		},
		"Follower": func(ctx context.Context, tokens *wechat.ServerTokens) error {
			_, _, err := tokens.Follower(ctx, lent, "oX")
			return err
		},
		"SetMenu": func(ctx context.Context, tokens *wechat.ServerTokens) error {
			return tokens.SetMenu(ctx, lent, wechat.Menu{Buttons: []wechat.Button{{Type: "click", Name: "a", Key: "k"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, l, calls := startLent(t, func() string { return authorizerID + "-token-1" })
			if err := call(t.Context(), tokens); err != nil {
				t.Error(err)
			}
			if want := []string{authorizerID + " " + authorizerID + "-token-0"}; !slices.Equal(l.dropped, want) || l.asked != 2 || len(calls()) != 2 {
				t.Errorf("dropped %v, asked %d times, calls %v", l.dropped, l.asked, calls())
			}
			// Not a third time.
			tokens, l, calls = startLent(t, func() string { return "another" })
			wantAPIError(t, call(t.Context(), tokens), 40001, wechat.KindToken)
			if l.asked != 2 || len(calls()) != 2 {
				t.Errorf("asked %d times, calls %v", l.asked, calls())
			}
		})
	}
}

func TestLenderThatFails(t *testing.T) {
	tokens, l, calls := startLent(t, func() string { return authorizerID + "-token-0" })
	l.err = errors.New("not authorized")
	for range 2 {
		if _, err := tokens.JSAPITicket(t.Context(), lent); !errors.Is(err, l.err) {
			t.Errorf("got %v", err)
		}
		if _, err := tokens.Do(t.Context(), lent, wechat.Call{Method: "GET", Path: "cgi-bin/get_api_domain_ip"}); !errors.Is(err, l.err) {
			t.Errorf("got %v", err)
		}
	}
	l.err = nil // it is no refusal by WeChat, which would be remembered
	if _, err := tokens.JSAPITicket(t.Context(), lent); err != nil {
		t.Error(err)
	}
	if len(calls()) != 1 {
		t.Errorf("calls %v", calls())
	}
}

func TestNobodyLends(t *testing.T) {
	w, c := startWire(t, `{"access_token":"minted","expires_in":7200}`)
	tokens := wechat.NewServerTokens(c, nil)
	tokens.Drop(lent, "x")
	_, token := tokens.Token(t.Context(), lent)
	_, ticket := tokens.JSAPITicket(t.Context(), lent)
	_, _, follower := tokens.Follower(t.Context(), lent, "oX")
	_, do := tokens.Do(t.Context(), lent, wechat.Call{Method: "GET", Path: "cgi-bin/get_api_domain_ip"})
	for _, err := range []error{token, ticket, follower, do} {
		if err == nil || !strings.Contains(err.Error(), "without a secret") {
			t.Errorf("got %v", err)
		}
	}
	if len(w.calls()) != 0 {
		t.Errorf("calls %v", w.calls())
	}
}

// However many pages are signed at once, the ticket of a lent account is fetched once.
func TestLentTicketIsFetchedOnce(t *testing.T) {
	tokens, _, calls := startLent(t, func() string { return authorizerID + "-token-0" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := tokens.JSAPITicket(ctx, lent); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}
