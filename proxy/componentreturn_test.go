package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// returns begins an authorization and has the account's administrator agree. It
// says where WeChat leads back to.
func (p *portal) returns(b *browser) string {
	p.t.Helper()
	link := b.open(p.link(component.Link{})).launched(p.t, pageAuthorize)
	return b.grants(link, "agree", customerID, "then", "redirect-only")
}

func TestReturnsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	b := p.browser(desktop)
	good := p.returns(b)
	u, _ := url.Parse(good)
	q := u.Query()
	for _, bad := range []string{
		good + "&state=x", good + "&auth_code=x", good + "&expires_in=1", returnAt, returnAt + "?auth_code=x", returnAt + "?state=" + q.Get("state") + "&auth_code=a%20b",
		good + "&x=%zz", returnAt + "?done=x", returnAt + "?done=%40", returnAt + "?done=a&done=b", good + "&x=" + strings.Repeat("x", maxReturn),
	} {
		b.open(bad).page(t, http.StatusBadRequest, pageBadRequest)
	}
	// No state that anybody here was given.
	for _, state := range []string{"x", strings.ToLower(q.Get("state")), scopeAuthorize + " " + q.Get("state")} {
		b.open(returnAt+"?state="+url.QueryEscape(state)+"&auth_code="+url.QueryEscape(q.Get("auth_code"))).page(t, http.StatusBadRequest, pageAuthorizeOver)
	}
	if n := len(p.wechat.Calls("/cgi-bin/component/api_query_auth")); n != 0 {
		t.Fatalf("WeChat was asked %d times", n)
	}
	// The administrator did not agree.
	res := b.open(returnAt + "?state=" + q.Get("state"))
	res.page(t, http.StatusBadRequest, pageAuthorizeRefused)
	if strings.Contains(res.Request.URL.String(), q.Get("state")) {
		t.Errorf("the page is at %s", res.Request.URL)
	}
	b.open(good).page(t, http.StatusOK, pageAuthorizeDone)
	// A code that WeChat does not know.
	b.open(returnAt+"?state="+q.Get("state")+"&auth_code=queryauthcode@@@unknown&expires_in=3600").page(t, http.StatusBadRequest, pageAuthorizeCode)
}

// While WeChat is away, the code is kept, and the work goes on.
func TestReturnWhileWeChatIsAway(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 2)
	p.ticket()
	b := p.browser(desktop)
	good := p.returns(b)
	p.wechat.Inject("/cgi-bin/component/api_query_auth", wechattest.Fault{Times: 2, Errcode: -1})
	res := b.open(good)
	res.page(t, http.StatusAccepted, pageAuthorizeKept)
	if res.button() != returnAt+"?"+res.Request.URL.RawQuery {
		t.Errorf("the page leads to %s, it is at %s", res.button(), res.Request.URL)
	}
	b.open(res.button()).page(t, http.StatusOK, pageAuthorizeDone)
	if a, _ := p.authorizer(customerID); a.Status != component.StatusAuthorized {
		t.Errorf("the account is %+v", a)
	}
}

// A code that could not be stored is not said to be.
func TestReturnWithoutTheStore(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	b := p.browser(desktop)
	good := p.returns(b)
	u, _ := url.Parse(good)
	p.store.down.Store(true)
	res := b.open(good)
	res.page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
	if res.button() != u.RequestURI() {
		t.Errorf("the page leads to %s", res.button())
	}
	p.store.down.Store(false)
	b.open(res.button()).page(t, http.StatusOK, pageAuthorizeDone)
	p.store.down.Store(true)
	if res := b.open(b.trail[len(b.trail)-1]); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s", res.StatusCode, text(res.body))
	}
}

// WeChat's link ends in a fragment, which must not follow into the clean address.
func TestReturnDropsTheFragment(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	b := p.browser(desktop)
	res := b.stay().open(p.returns(b), "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	if !strings.HasSuffix(res.Header.Get("Location"), "#") {
		t.Errorf("the clean address is %s", res.Header.Get("Location"))
	}
}
