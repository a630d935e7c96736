package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// chrome is a running Chromium.
type chrome struct {
	t   *testing.T
	ctx context.Context
}

func newChrome(t *testing.T) *chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "chromium") {
			t.Fatalf("WXGATE_TEST_REQUIRE names chromium: %v", err)
		}
		t.Skipf("needs chromium: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	limited, release := untilDeadline(t)
	t.Cleanup(release)
	ctx, stop := chromedp.NewExecAllocator(limited, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil { // starts it; must have no time limit
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("stopping Chromium: %v", err)
		}
	})
	return &chrome{t, ctx}
}

// tab is one page in a browser profile of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// tab opens a phone's screen with a User-Agent and a language. Whatever the page complains about fails the test, but
// for answers with an error status.
func (c *chrome) tab(t *testing.T, agent, language string) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context that first used it
		t.Fatal(err)
	}
	b := &tab{t, ctx}
	b.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
	devtools(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language})
	messages, read := chromedp.Console(ctx), make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			if err == nil && (m.IsException() || m.Type == chromedp.ConsoleError && m.Source != "network") {
				t.Errorf("the page complained: %s %s", m.Text, m.URL)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-read
	})
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	for err != nil && strings.Contains(err.Error(), "Could not find node") {
		err = chromedp.Do(ctx, actions...) // the page was drawn anew between look and touch, and nothing was done
	}
	if err != nil {
		b.t.Fatalf("browser: %v\nat %s: %s", err, b.address(), b.text("body"))
	}
}

func (b *tab) open(url string) { b.t.Helper(); b.do(chromedp.Navigate(url)) }

// back is the browser's button. A page may come back from memory, without loading.
func (b *tab) back() { b.t.Helper(); b.eval(`(history.back(), '')`) }

func (b *tab) click(selector string) {
	b.t.Helper()
	b.until(`document.querySelector('` + selector + `') !== null`)
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// until waits for a JavaScript expression to become true, through any number of pages.
func (b *tab) until(expression string) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		cancel()
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("never: %s (%v)\nat %s: %s", expression, err, b.address(), b.text("body"))
		}
		<-tick.C
	}
}

// text is what an element shows; of an absent one nothing.
func (b *tab) text(selector string) string {
	return b.eval(`(document.querySelector('` + selector + `') || {innerText: ''}).innerText`)
}

func (b *tab) address() string { return b.eval(`location.href`) }

// place is the address without its fragment.
func (b *tab) place() string { return b.eval(`location.origin + location.pathname + location.search`) }

func (b *tab) eval(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return s
}

// history is every address that the back button can reach, and the present one.
func (b *tab) history() (addresses []string) {
	b.t.Helper()
	h, err := chromedp.Run(b.ctx, chromedp.NavigationEntries())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range h.Entries {
		addresses = append(addresses, e.URL)
	}
	return addresses
}

// session is the gateway's session cookie, nil if the browser has none.
func (b *tab) session() *network.Cookie {
	b.t.Helper()
	for _, c := range devtools(b, network.GetCookies, network.GetCookiesParams{}).Cookies {
		if c.Name == "wxgate" {
			return c
		}
	}
	return nil
}

// shot keeps a picture of the window in the folder WXGATE_TEST_SCREENSHOTS, if that is set.
func (b *tab) shot(name string) {
	b.t.Helper()
	folder := os.Getenv("WXGATE_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// devtools sends one command of the DevTools protocol.
func devtools[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}
