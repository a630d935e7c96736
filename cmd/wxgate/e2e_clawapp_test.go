package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

// clawApp is the app of deploy/claw-app as a process of its own: it shares no code with the gateway and knows nothing
// of it.
type clawApp struct {
	address string
	mu      sync.Mutex
	seen    []string // "METHOD PATH STATUS" of every request
}

func newClawApp(t *testing.T) *clawApp {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "claw-app")
	if out, err := exec.Command("go", "build", "-o", exe, "wxgate/deploy/claw-app").CombinedOutput(); err != nil {
		t.Fatalf("building the app: %v\n%s", err, out)
	}
	cmd := exec.Command(exe, "-listen", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a, begun, read := &clawApp{}, make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		defer close(begun)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if address, first := strings.CutPrefix(lines.Text(), "listening on "); first {
				begun <- address
				continue
			}
			a.mu.Lock()
			a.seen = append(a.seen, lines.Text())
			a.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-read // Wait closes the pipe
		cmd.Wait()
	})
	if a.address = <-begun; a.address == "" {
		t.Fatal("the app ended at its start")
	}
	return a
}

// count is how many requests to the app begin with one of the words.
func (a *clawApp) count(words ...string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, line := range a.seen {
		if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(line, word) }) {
			n++
		}
	}
	return n
}

// clawSettings are the shipped ones, but for what a test has to have its own of.
func clawSettings(t *testing.T, a *clawApp) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/claw-app/wxgate.env")
	if err != nil {
		t.Fatal(err)
	}
	var settings []string
	for line := range strings.SplitSeq(string(text), "\n") {
		name, _, _ := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"), name == "WXGATE_PUBLIC_URL", name == "WXGATE_MP_APP_ID":
		case name == "WXGATE_UPSTREAM":
			settings = append(settings, name+"=http://"+a.address)
		default:
			settings = append(settings, line)
		}
	}
	return settings
}

// alerts collects what pages say in dialogs, and lets them go on.
func (b *tab) alerts() (said func() []string) {
	var mu sync.Mutex
	var texts []string
	dialogs := chromedp.Events(b.ctx, page.JavascriptDialogOpening)
	go func() { // ends with the tab
		for d, err := range dialogs {
			if err != nil {
				return
			}
			mu.Lock()
			texts = append(texts, d.Message)
			mu.Unlock()
			chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(texts)
	}
}

func TestScreenClawApp(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	app := newClawApp(t)
	s := newScreenStage(t, clawSettings(t, app)...)
	s.start()
	public := "http://" + s.listen
	b := c.tab(t, wechattest.UAAndroid, chinese).as(s, "xiaomei")
	alerts := b.alerts()

	// In by the front door: login, and the app's redirect to its own address.
	b.open(public + "/")
	b.until(`document.querySelectorAll('#rooms li').length === 2`)
	if got := b.address(); got != public+"/h5/index.html" {
		t.Errorf("landed at %s", got)
	}
	b.shot("clawapp-rooms")
	xiaomei := b.eval(`cookie('sid')`)
	if len(xiaomei) != 26 {
		t.Errorf("the page was given account %q", xiaomei)
	}
	b.click(".live")
	b.play(s, xiaomei)
	b.shot("clawapp-won")
	b.until(`document.querySelector('#doll').naturalWidth === 48`)
	if n := app.count("GET /h5/audio/tune.wav 206"); n == 0 {
		t.Error("no range of the sound was asked for")
	}
	eventually(t, patience, "three calls for the rooms reach the app", func() bool { return app.count("POST /dollsCatcher/room/list 200") >= 3 })

	// What would give somebody else's account away does not get there.
	for _, call := range []string{
		`'POST', '/dollsCatcher/host/query'`, `'GET', '/dollsCatcher/tourist'`, `'POST', '/dollsCatcher/tourist/'`, `'POST', '/dollscatcher/Tourist'`, `'POST', '/dollsCatcher/host/query;x'`,
	} {
		if status := b.eval(`(() => { const r = new XMLHttpRequest(); r.open(` + call + `, false); r.send('sid=machine-1'); return String(r.status) })()`); status != "404" {
			t.Errorf("%s: %s", call, status)
		}
	}
	if n := app.count("POST /dollsCatcher/tourist", "GET /dollsCatcher/tourist", "POST /dollsCatcher/host"); n != 0 {
		t.Errorf("the app was asked for accounts %d times", n)
	}
	if said := alerts(); len(said) != 0 {
		t.Errorf("the page complained: %q", said)
	}

	// The session ends while a round is on: the page says so, the added script brings the player back to the same room.
	room := b.address()
	b.click("#start")
	b.until(`!document.querySelector('#grab').disabled`)
	b.loseSession(public)
	b.eval(`window.former = 'this page'`)
	b.click("#grab") // asks for the rooms after it
	b.until(`window.former === undefined && document.querySelector('#state').innerText === '空闲'`)
	if got := strings.TrimSuffix(b.address(), "#"); got != room {
		t.Errorf("the login ended at %s, want %s", got, room)
	}
	b.play(s, xiaomei)

	// A phone changes hands after its session has ended. The next visit of a page logs in, whatever the browser has kept
	// of it, and the app's cookie goes with its user.
	b = c.tab(t, wechattest.UAIOS, chinese).as(s, "xiaomei")
	b.open(public + "/h5/index.html")
	b.until(`document.querySelectorAll('#rooms li').length === 2`)
	if sid := b.eval(`cookie('sid')`); sid != xiaomei {
		t.Errorf("on another phone the same player is %q, not %q", sid, xiaomei)
	}
	b.loseSession(public)
	b.as(s, "aqiang")
	b.open(public + "/h5/room.html?roomid=0")
	b.until(`cookie('sid').length === 26 && document.querySelector('#state').innerText === '空闲'`)
	aqiang := b.eval(`cookie('sid')`)
	if aqiang == xiaomei {
		t.Error("the next user of the phone is the former one")
	}
	b.play(s, aqiang)
	b.eval(`(() => { const r = new XMLHttpRequest(); r.open('POST', '/.wxgate/logout', false); r.send(); return String(r.status) })()`)
	if sid := b.eval(`cookie('sid')`); sid != "" {
		t.Errorf("after the logout the app's cookie still says %q", sid)
	}
}

// play plays a round in the room that is open, as a user whose account at Yunxin is known.
func (b *tab) play(s *stage, user string) {
	b.t.Helper()
	b.until(`document.querySelector('#state').innerText === '空闲'`)
	account, token := b.eval(`nim.account`), b.eval(`nim.token`)
	if code := s.yunxin.Login(yunxintest.AppKey, account, token, 0); code != 200 || account != user {
		b.t.Errorf("the page's account %s, of user %s, logs in to Yunxin with %d", account, user, code)
	}
	b.click("#start")
	for step := 1; step <= 3; step++ {
		b.until(`!document.querySelector('#right').disabled`)
		b.click("#right")
		b.until(`document.querySelector('#claw').style.left === '` + string(rune('0'+step)) + `0%'`)
	}
	b.click("#grab")
	b.until(`document.querySelector('#result').innerText === '抓到了！'`)
}

// loseSession is what a session's end looks like to the browser: nothing, until it asks.
func (b *tab) loseSession(public string) {
	b.t.Helper()
	devtools(b, network.DeleteCookies, network.DeleteCookiesParams{Name: "wxgate", URL: public})
}
