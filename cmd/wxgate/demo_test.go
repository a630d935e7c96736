package main

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
)

var demoURL = regexp.MustCompile(`(?m)^\s+(http://127\.0\.0\.1:\d+)$`)

// startDemo runs the demo as its user does and returns the address that it prints.
func startDemo(t *testing.T) (p *program, public string) {
	t.Helper()
	p = launch(t, nil, "demo", "-listen", "127.0.0.1:0")
	eventually(t, patience, "the demo prints its address", func() bool {
		if !p.running() {
			t.Fatal("the demo ended at its start")
		}
		found := demoURL.FindStringSubmatch(p.stdout.String())
		if found != nil {
			public = found[1]
		}
		return found != nil && strings.Contains(p.stdout.String(), "Ctrl-C")
	})
	return p, public
}

// leftovers are the files that a process made in its temporary folder.
func (p *program) leftovers() (names []string) {
	p.t.Helper()
	entries, err := os.ReadDir(p.cmd.Dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// demoWhoami is what the claw machine says about the request that it got.
type demoWhoami struct {
	Verified bool
	Reason   string
	Player   struct{ ID, Name string }
}

func (v *visitor) demoWhoami() (w demoWhoami) {
	v.t.Helper()
	a, err := v.do(http.MethodGet, "/api/whoami", "Sec-Fetch-Dest", "empty")
	if err != nil || a.status != http.StatusOK {
		v.t.Fatalf("whoami: %v, %d %s", err, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &w); err != nil {
		v.t.Fatal(err)
	}
	return w
}

func TestDemoByHand(t *testing.T) {
	t.Parallel()
	p, public := startDemo(t)
	v := newVisitor(t, public, "xiaomei")
	if a := v.open(public); a.status != http.StatusOK || !strings.Contains(a.body, "抓个娃娃") {
		t.Fatalf("the demo's page: %d %s", a.status, a.body)
	}
	me := v.demoWhoami()
	if !me.Verified || len(me.Player.ID) != 26 {
		t.Errorf("the app knows %+v", me)
	}
	other := newVisitor(t, public, "aqiang")
	other.open(public)
	if him := other.demoWhoami(); !him.Verified || him.Player.ID == me.Player.ID {
		t.Errorf("another player is %+v", him)
	}
	eventually(t, patience, "an account at Yunxin", func() bool {
		a, err := v.do(http.MethodGet, "/.wxgate/yunxin")
		return err == nil && a.status == http.StatusOK && strings.Contains(a.body, me.Player.ID)
	})
	// Only the browser's side is real: a forged header gets nowhere.
	if a, err := newVisitor(t, public, "aqiang").do(http.MethodGet, "/api/whoami", "X-Wxgate-User", me.Player.ID); err != nil || a.status != http.StatusUnauthorized {
		t.Errorf("a stranger with a forged header: %v, %d %s", err, a.status, a.body)
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
	if left := p.leftovers(); len(left) > 0 {
		t.Errorf("the demo left %q behind", left)
	}
	if said := p.stderr.String(); said != "" {
		t.Errorf("the demo complained:\n%s", said)
	}
}

func TestDemoKilledLeavesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux removes the name of an open store file")
	}
	p, public := startDemo(t)
	newVisitor(t, public, "xiaomei").open(public)
	p.kill()
	if left := p.leftovers(); len(left) > 0 {
		t.Errorf("a killed demo left %q behind", left)
	}
}

func TestDemoRefuses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":8080", "192.0.2.1:8080", "example.com:80", "127.0.0.1", "[::]:0"} {
		p := launch(t, nil, "demo", "-listen", address)
		if code := p.exit(); code != exitUsage || len(p.stderr.lines()) != 1 || !strings.Contains(p.stderr.String(), "loopback") {
			t.Errorf("-listen %s: exit code %d, %s", address, code, p.stderr)
		}
	}
}

func TestDemoOnScreen(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	p, public := startDemo(t)
	// The demo plays WeChat for any browser.
	b := c.tab(t, wechattest.UAPlainChrome, chinese)
	const (
		known = `(document.querySelector('#me-name') || {textContent: ''}).textContent !== '' && !document.querySelector('#me-tick').hidden`
		free  = `!document.querySelector('#action').disabled && document.querySelector('#action-text').textContent === '开始'`
		pane  = `document.querySelector('#pane').innerText`
	)
	phone := chromedp.EmulateViewport(390, 1400, chromedp.EmulateScale(1), chromedp.EmulateMobile, chromedp.EmulateTouch)
	b.do(phone)
	b.open(public)
	b.until(known)
	b.until(pane + `.includes('✓ 已验证')`)
	b.until(free)
	b.shot("demo-phone")
	id := b.eval(`document.querySelector('#pane').innerText.match(/[a-z2-7]{26}/)[0]`)
	b.click("#tab-yunxin")
	b.until(pane + `.includes('✓ 令牌可以登录云信')`)
	b.shot("demo-phone-yunxin")

	// A round: the claw comes down where it hangs, with or without a prize.
	b.click("#action")
	b.until(`document.querySelector('#cabinet').dataset.phase === 'aim'`)
	b.shot("demo-phone-aim")
	b.click("#action")
	b.until(`document.querySelector('#cabinet').dataset.phase !== 'aim'`)
	b.until(`!document.querySelector('#result').hidden`)
	b.shot("demo-phone-result")
	b.until(free)

	// Name and avatar, through the consent.
	b.click("#give-profile")
	b.notice("用微信身份继续", "demo-consent")
	b.click("a.button")
	b.click("button.yes")
	b.until(`(document.querySelector('#me-name') || {}).textContent === '小美'`)
	b.until(known)

	choose := func(name, value string) {
		t.Helper()
		b.until(`document.querySelector('select[name=` + name + `]') !== null`)
		b.eval(`(() => { const s = document.querySelector('select[name=` + name + `]'); s.value = '` + value +
			`'; s.dispatchEvent(new Event('change', {bubbles: true})); return ''; })()`)
	}
	choose("visitor", "aqiang")
	b.until(`document.querySelector('select[name=visitor]')?.value === 'aqiang' && ` + known)
	b.until(pane + `.includes('✓ 已验证') && !` + pane + `.includes('` + id + `')`)
	b.do(chromedp.EmulateViewport(1280, 900))
	b.until(free)
	b.shot("demo-desk-other-player")
	for _, name := range []string{"assertion", "headers", "session"} {
		b.click("#tab-" + name)
		b.shot("demo-desk-" + name)
	}
	b.until(`document.documentElement.scrollWidth <= innerWidth`)

	choose("client", "wecom")
	b.notice("请在微信里打开", "demo-outside-wechat")
	if b.session() != nil {
		t.Error("outside WeChat the session goes on")
	}

	p.signal(os.Interrupt)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d after Ctrl-C with a page open", code)
	}
	if left := p.leftovers(); len(left) > 0 {
		t.Errorf("the demo left %q behind", left)
	}
}
