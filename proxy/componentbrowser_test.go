package proxy

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// In a real browser: the page tells WeChat where the administrator comes from, the
// way leads there and back, and what is in the address bar at the end is clean.
func TestAuthorizationInBrowser(t *testing.T) {
	ctx := pageBrowser(t)
	p := newPortal(t, 1)
	p.ticket()
	done := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reads := func(expression string) string {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	arrives := func(path string) {
		t.Helper()
		eventually(t, "the browser is at "+path, func() bool {
			// A navigation takes away what is being asked.
			at, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + " " + document.readyState`))
			return err == nil && at == path+" complete"
		})
	}
	done(chromedp.Do(ctx, chromedp.Navigate(p.front.URL+p.link(component.Link{}))))
	done(chromedp.Do(ctx, chromedp.Click(chromedp.CSS(".button"))))
	arrives(wechattest.ComponentLoginPath)
	calls := p.wechat.Calls(wechattest.ComponentLoginPath)
	if len(calls) == 0 || calls[0].Result != "grant page" || calls[0].Header.Get("Referer") != p.front.URL+"/" {
		t.Fatalf("WeChat shows its page so: %+v", calls)
	}
	reads(`String(document.querySelector('input[name="appid"][value="` + customerID + `"]').checked = true)`)
	done(chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`button[value="agree"]`))))
	arrives(returnAt)
	if title := reads("document.title"); title != pageTopics[pageAuthorizeDone].en.Title && title != pageTopics[pageAuthorizeDone].zh.Title {
		t.Errorf("the way ends with %s", title)
	}
	if at, err := url.Parse(reads("location.href")); err != nil || len(at.Query()) != 1 || !at.Query().Has("done") || strings.Contains(at.String(), "queryauthcode") {
		t.Errorf("the way ends at %s", at)
	}
	p.described(customerID)
}
