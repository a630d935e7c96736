package clawmachine

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/golang-jwt/jwt/v5"
)

var shots = flag.String("shots", "", "folder for screenshots of the page")

// browser is one page of a real Chromium. Whatever the page reports as an error
// fails the test.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "chromium") {
			t.Fatal("no Chromium on PATH, and WXGATE_TEST_REQUIRE asks for it")
		}
		t.Skip("no Chromium on PATH")
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-dev-shm-usage", true))...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{t, ctx}
	if err := chromedp.Do(ctx); err != nil { // starts it; must have no time limit
		t.Fatal(err)
	}
	messages, read := chromedp.Console(ctx), make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			// Answers with an error status are logged too; a test that causes one looks at the page.
			if err == nil && (m.IsException() || m.Type == chromedp.ConsoleError && m.Source != "network") {
				t.Errorf("the page complained: %s %s", m.Text, m.URL)
			}
		}
	}()
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("stopping the browser: %v", err)
		}
		<-read
	})
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	for err != nil && strings.Contains(err.Error(), "Could not find node") {
		err = chromedp.Do(ctx, actions...) // the page was drawn anew between look and touch, and nothing was done
	}
	if err != nil {
		b.t.Fatalf("browser: %v\npage: %s", err, b.text())
	}
}

func (b *browser) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return s
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// until waits for a JavaScript expression to become true.
func (b *browser) until(expression string) {
	b.t.Helper()
	b.do(chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(20*time.Millisecond)))
}

// shot keeps what the window shows, page keeps all of the page; only if asked to.
func (b *browser) shot(name string) { b.t.Helper(); b.keep(name, chromedp.CaptureScreenshot()) }
func (b *browser) page(name string) { b.t.Helper(); b.keep(name, chromedp.FullScreenshot(100)) }

func (b *browser) keep(name string, picture chromedp.Action[[]byte]) {
	b.t.Helper()
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, picture)
	if err == nil {
		err = os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) key(kind input.DispatchKeyEventType, code string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Code: code, Key: code}); err != nil {
		b.t.Fatal(err)
	}
}

// touch holds a finger on an element meanwhile.
func (b *browser) touch(selector string, meanwhile func()) {
	b.t.Helper()
	type point struct{ X, Y float64 }
	at, err := chromedp.Run(b.ctx, chromedp.Evaluate[point](`(() => {
		const element = document.querySelector('`+selector+`');
		element.scrollIntoView({block: 'center'});
		const box = element.getBoundingClientRect();
		return {X: box.x + box.width / 2, Y: box.y + box.height / 2};
	})()`))
	if err != nil {
		b.t.Fatal(err)
	}
	finger := func(kind input.DispatchTouchEventType, points ...*input.TouchPoint) {
		b.t.Helper()
		if _, err := chromedp.Call(b.ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points}); err != nil {
			b.t.Fatal(err)
		}
	}
	finger(input.DispatchTouchEventTypeTouchStart, &input.TouchPoint{X: at.X, Y: at.Y})
	meanwhile()
	finger(input.DispatchTouchEventTypeTouchEnd)
}

const (
	keyDown = input.DispatchKeyEventTypeRawKeyDown
	keyUp   = input.DispatchKeyEventTypeKeyUp
)

func phone() chromedp.Action[chromedp.Void] {
	return chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
}

func desk() chromedp.Action[chromedp.Void] { return chromedp.EmulateViewport(1280, 800) }

const (
	verified = `document.querySelector('#me-name').textContent === '小美' && !document.querySelector('#me-tick').hidden`
	ready    = `!document.querySelector('#action').disabled`
)

func TestBrowserPlaysARound(t *testing.T) {
	b := newBrowser(t)
	g := newGate(t, 50*time.Millisecond)
	b.do(phone())
	b.open(g.URL)
	b.until(verified)
	b.until(ready)
	b.page("phone")

	b.click("#action")
	b.until(`document.querySelector('#cabinet').dataset.phase === 'aim'`)
	b.key(keyDown, "ArrowRight")
	b.key(keyDown, "ArrowUp")
	g.watch(t, func(m *machine) bool { return m.claw.X > 40 && m.claw.Y > 40 })
	b.key(keyUp, "ArrowRight")
	b.key(keyUp, "ArrowUp")
	// Put a toy under the claw where it came to rest: no browser aims to a tick.
	var prize string
	g.watch(t, func(m *machine) bool {
		if m.dx != 0 || m.dy != 0 {
			return false
		}
		toy := m.toys[0]
		toy.X, toy.Y, prize = m.claw.X, m.claw.Y, toy.Kind
		return true
	})
	b.shot("phone-aim")
	b.click("#action")
	g.watch(t, func(m *machine) bool { return m.phase == phaseCarry || m.phase == phaseIdle })
	b.shot("phone-carry")
	b.until(`!document.querySelector('#result').hidden && document.querySelector('#result').dataset.won === 'true'`)
	b.until(`document.querySelector('#shelf canvas')`)
	b.until(`document.querySelector('#live .won')?.textContent.includes('小美')`)
	b.shot("phone-won")
	if got := g.app.room.shelf(aliceID); len(got.Prizes) != 1 || got.Prizes[0].Kind != prize {
		t.Errorf("shelf %+v, want one %s", got, prize)
	}
	b.until(`document.querySelector('#action-text').textContent === '开始'`)
	b.until(`document.documentElement.scrollWidth <= innerWidth`)

	// By touch: hold the stick, let go, drop.
	b.click("#action")
	b.until(`document.querySelector('#cabinet').dataset.phase === 'aim'`)
	b.touch(`#pad [data-dir="right"]`, func() {
		g.watch(t, func(m *machine) bool { return m.claw.X > 30 })
	})
	g.watch(t, func(m *machine) bool { return m.dx == 0 })
	b.touch("#action", func() {})
	g.watch(t, func(m *machine) bool { return m.phase != phaseAim })
}

func TestBrowserShowsWhoYouAre(t *testing.T) {
	b := newBrowser(t)
	g := newGate(t, 50*time.Millisecond)
	b.do(desk())
	b.open(g.URL)
	b.until(verified)
	b.until(ready)
	pane := func(tab string, wants ...string) {
		t.Helper()
		b.click("#tab-" + tab)
		for _, want := range wants {
			b.until(`document.querySelector('#pane').innerText.includes('` + want + `')`)
		}
		b.page("desk-" + tab)
	}
	pane("identity", "✓ 已验证", aliceID, "wx1234567890abcdef", "公众号网页")
	pane("assertion", "✓ 已验证", "ES256 · first", `"sub": "`+aliceID, testIssuer, "createRemoteJWKSet")
	pane("headers", "X-Wxgate-User", "X-Forwarded-For", "= 小美", "X-Request-Id")
	pane("yunxin", "✓ 令牌可以登录云信", "c239ac…911f", "0 · 静态 static")
	pane("session", aliceID, "已授权资料")
	b.until(`document.documentElement.scrollWidth <= innerWidth`)

	// The same person without a profile, on a phone.
	g.login(bobID, nil)
	b.do(phone())
	b.open(g.URL)
	b.until(`document.querySelector('#pane').innerText.includes('默认名字')`)
	b.until(`document.querySelector('#me-name').textContent === '玩家4821'`)
	b.until(`document.documentElement.scrollWidth <= innerWidth`)

	// Once the session has ended, the next call leads to the login and back here.
	g.login("", nil)
	loaded := func(page.EventLoadEventFired) bool { return true }
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.WaitEvent(page.LoadEventFired, loaded, chromedp.Click(chromedp.CSS("#again")))(ctx, target)
		return err
	}))
	b.until(`document.body.innerText === 'login, then /'`)
}

func TestBrowserWithStrangersAndForgeries(t *testing.T) {
	b := newBrowser(t)
	g := newGate(t, 50*time.Millisecond)
	b.do(phone())

	g.login(aliceID, jwt.MapClaims{"name": `<img src=x onerror="document.title='evil'">` + strings.Repeat("长", 500)})
	b.open(g.URL)
	b.until(`document.querySelector('#me-name').textContent.startsWith('<img')`)
	b.until(`document.title !== 'evil' && document.documentElement.scrollWidth <= innerWidth`)
	b.page("phone-strange")

	g.login("visitor", jwt.MapClaims{"snapshot": true, "wechat": nil, "yunxin": nil})
	b.open(g.URL)
	b.until(`document.querySelector('#notice').innerText.includes('快照页')`)
	b.until(`document.querySelector('#status').textContent.includes('围观') && document.querySelector('#action').disabled`)
	b.shot("phone-visitor")

	g.login(aliceID, jwt.MapClaims{"iss": "https://evil.example.com"})
	b.open(g.URL)
	b.until(`document.querySelector('#pane').innerText.includes('✕ 未验证')`)
	b.until(`document.querySelector('#notice').innerText.includes('签发者不对') && document.querySelector("#status").textContent === "登录后才能玩"`)
	b.shot("phone-forged")
}
