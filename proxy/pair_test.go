package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/wechat/wechattest"
)

// waits is a PC's page with a QR code of ours.
type waits struct {
	*browser
	path   string // pair/{token}
	number string
}

// pair opens a page on a PC, which has to answer with our QR code.
func (b *browser) pair(address string) waits {
	b.w.t.Helper()
	res := b.open(address)
	res.page(b.w.t, http.StatusOK, pageQRPair)
	return b.waits(res)
}

func (b *browser) waits(res answer) waits {
	b.w.t.Helper()
	all := pageElements(b.w.t, res.body)
	w := waits{browser: b, number: pageTextOf(pageFind(all, "b")[0])}
	for _, n := range all {
		if p := pageAttr(n, "data-pair"); p != "" {
			w.path = p
		}
	}
	if !isPairPath(w.path) || len(w.number) != 2 {
		b.w.t.Fatalf("waits for %q with number %q", w.path, w.number)
	}
	if code := newQRCode(b.w.front.URL + w.path); !strings.Contains(res.body, `d="`+code.Path+`"`) {
		b.w.t.Fatal("the QR code is not the one of the waiting login")
	}
	return w
}

// state asks as the page's script does where no events arrive.
func (w waits) state() string {
	w.w.t.Helper()
	res := w.do(http.MethodGet, w.path+"/wait", "Accept", "application/json", "Sec-Fetch-Dest", "empty")
	var s struct{ State string }
	if err := json.Unmarshal([]byte(res.body), &s); err != nil || res.StatusCode != http.StatusOK {
		w.w.t.Fatalf("waiting was answered %d %s", res.StatusCode, res.body)
	}
	return s.State
}

// choices are the numbers that the phone's page offers.
func (a answer) choices(t *testing.T) (list []string) {
	t.Helper()
	for _, n := range pageFind(pageElements(t, a.body), "input") {
		list = append(list, pageAttr(n, "value"))
	}
	return list
}

func confirm(number string) url.Values {
	return url.Values{"answer": {"confirm"}, "number": {number}}
}

func TestPairing(t *testing.T) {
	w := newWorld(t, 3, nil) // three replicas that know nothing of each other
	pc, phone := w.browser(desktop), w.browser(iPhone)
	wait := pc.pair("/room/7?x=1")
	if got := wait.state(); got != waitWaiting {
		t.Fatalf("the PC hears %q before anybody has scanned", got)
	}

	// The phone has no session yet: it logs in silently and comes back.
	res := phone.open(wait.path)
	res.page(t, http.StatusOK, pagePairConfirm)
	if res.Request.URL.Path != wait.path {
		t.Errorf("after the silent login the phone is at %s", res.Request.URL)
	}
	shown := text(res.body)
	for _, s := range []string{strings.TrimPrefix(w.front.URL, "http://"), "Windows · Chrome", "127.0.0.*", pageWordsZH.Near, pageWordsZH.Ago} {
		if !strings.Contains(shown, s) {
			t.Errorf("the phone's page does not say %q: %s", s, shown)
		}
	}
	if choices := res.choices(t); len(choices) != 3 || !slices.Contains(choices, wait.number) || !slices.IsSorted(choices) {
		t.Errorf("choices %v for %s", choices, wait.number)
	}
	if again := phone.open(wait.path).choices(t); !slices.Equal(again, res.choices(t)) {
		t.Errorf("loaded again, the choices are %v: the one that stays is the right one", again)
	}

	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if got := wait.state(); got != waitConfirmed {
		t.Fatalf("the PC hears %q", got)
	}
	e := pc.open(wait.path).echoed(t)
	if e.URI != "/room/7?x=1" || e.Header.Get("X-Wxgate-Channel") != "mp" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", testAppID) {
		t.Errorf("the PC is at %s, the app was told %v", e.URI, e.Header)
	}
	if user := phone.open("/").user(t); user != e.Header.Get("X-Wxgate-User") {
		t.Errorf("the PC is another user than the phone: %s", user)
	}
	if pc.cookies()["wxgate"] == phone.cookies()["wxgate"] {
		t.Error("the PC got the phone's session, not its own")
	}
	if n := len(w.wechat.Exchanges()); n != 1 {
		t.Errorf("%d codes were exchanged, want the phone's one", n)
	}
	if strings.Contains(w.log.String(), strings.TrimPrefix(wait.path, pairPath)) {
		t.Error("the log holds the token")
	}

	// Delivered again, the same browser has the same session.
	before := pc.cookies()["wxgate"]
	if pc.open(wait.path).user(t); pc.cookies()["wxgate"] != before {
		t.Error("the PC got a second session")
	}
	phone.open(wait.path).page(t, http.StatusOK, pagePairDone)
}

// Anonymous PCs cost no storage, however many there are.
func TestPairStoresNothingBeforeThePhone(t *testing.T) {
	w, spy := newSpied(t, 1, nil)
	for range 3 {
		wait := w.browser(desktop).pair("/")
		wait.state()
		wait.open(wait.path).page(t, http.StatusOK, pageQRPair) // loaded again
		w.browser(phoneChrome).open(wait.path).page(t, http.StatusOK, pageOpenInWeChat)
	}
	for _, kind := range []string{"p:", "s:", "u:", "a:", "c:"} {
		if keys := spy.keys(t, kind); len(keys) != 0 {
			t.Errorf("the store holds %v", keys)
		}
	}
}

func TestPairRefused(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/room/7")
	phone.post(wait.path, url.Values{"answer": {"refuse"}}).page(t, http.StatusOK, pagePairRefused)
	if got := wait.state(); got != waitRefused {
		t.Errorf("the PC hears %q", got)
	}
	res := pc.open(wait.path)
	res.page(t, http.StatusOK, pagePairDenied)
	if sessionOf(res.Response) != "" {
		t.Fatal("logged in after a refusal")
	}
	if again := html.EscapeString(w.front.URL + "/.wxgate/login?next=%2Froom%2F7"); !strings.Contains(res.body, `href="`+again+`"`) {
		t.Errorf("the page does not offer %s", again)
	}
	// A refusal cannot be taken back by whoever wants the login.
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairRefused)
	if wait.state() != waitRefused || sessionOf(pc.open(wait.path).Response) != "" {
		t.Error("confirmed after a refusal")
	}
	if g := w.replica(0); w.steps([]*Server{g}, stepDenied) != 1 {
		t.Error("the refusal was not counted")
	}
}

func TestPairExpired(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/room/7")
	phone.open(wait.path).page(t, http.StatusOK, pagePairConfirm)
	w.clock.advance(session.PairLife)
	if got := wait.state(); got != waitExpired {
		t.Errorf("the PC hears %q", got)
	}
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairOver)
	phone.open(wait.path).page(t, http.StatusOK, pagePairOver)
	stranger := w.browser(iPhone)
	stranger.open(wait.path).page(t, http.StatusOK, pagePairOver)
	if len(stranger.cookies()) != 0 {
		t.Error("a phone was sent to log in for a code that is over")
	}
	res := pc.open(wait.path)
	res.page(t, http.StatusOK, pagePairExpired)
	if sessionOf(res.Response) != "" {
		t.Error("logged in after the time")
	}

	// The page offers a fresh one, which works.
	again := pageAttr(pageFind(pageElements(t, res.body), ".button")[0], "href")
	fresh := pc.waits(pc.open(again))
	phone.post(fresh.path, confirm(fresh.number)).page(t, http.StatusOK, pagePairDone)
	if e := pc.open(fresh.path).echoed(t); e.URI != "/room/7" {
		t.Errorf("arrived at %s", e.URI)
	}
}

// Confirmed in the last second: the answer outlives the code.
func TestPairConfirmedInTheLastSecond(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/room/7")
	w.clock.advance(session.PairLife - 2*time.Second)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	w.clock.advance(30 * time.Second)
	if got := wait.state(); got != waitConfirmed {
		t.Errorf("the PC hears %q", got)
	}
	if e := pc.open(wait.path).echoed(t); e.URI != "/room/7" {
		t.Errorf("arrived at %s", e.URI)
	}
}

// A login that needs a profile has the phone asked for it.
func TestPairWithProfile(t *testing.T) {
	w := newWorld(t, 1, nil, rules("profile /room/"))
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login() // without a profile
	wait := pc.pair("/.wxgate/login?profile=1&next=%2Froom%2F7")
	res := phone.open(wait.path)
	res.page(t, http.StatusOK, pageConsent)
	phone.open(pageAttr(pageFind(pageElements(t, res.body), ".button")[0], "href")).page(t, http.StatusOK, pagePairConfirm)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if e := pc.open(wait.path).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-Name") == "" {
		t.Errorf("arrived at %s as %q", e.URI, e.Header.Get("X-Wxgate-Name"))
	}
}

// A second PC login of the same browser ends the first session.
func TestPairEndsTheFormerSession(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/")
	phone.post(wait.path, confirm(wait.number))
	pc.open(wait.path).user(t)
	old := pc.cookies()["wxgate"]
	w.clock.advance(3 * time.Second)
	wait = pc.waits(pc.open("/.wxgate/login?next=%2F"))
	phone.post(wait.path, confirm(wait.number))
	pc.open(wait.path).user(t)
	if now := pc.cookies()["wxgate"]; now == old {
		t.Fatal("the old session went on")
	}
	if res := w.with(old, "/"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old session still answers %d", res.StatusCode)
	}
}

// events reads the data of a server-sent stream.
func (w waits) events(ctx context.Context) (*http.Response, <-chan string) {
	w.w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.w.front.URL+w.path+"/wait", nil)
	if err != nil {
		w.w.t.Fatal(err)
	}
	r.Header.Set("User-Agent", w.agent)
	r.Header.Set("Accept", "text/event-stream")
	res, err := w.client.Do(r)
	if err != nil {
		w.w.t.Fatal(err)
	}
	events := make(chan string, 16)
	go func() {
		defer close(events)
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- data
			}
		}
	}()
	return res, events
}

func expect(t *testing.T, events <-chan string, want string) {
	t.Helper()
	select {
	case got, open := <-events:
		if got != want || open != (want != "") {
			t.Fatalf("heard %q (open: %v), want %q", got, open, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("never heard %q", want)
	}
}

func TestPairEvents(t *testing.T) {
	w := newWorld(t, 2, nil)
	phone := w.browser(iPhone)
	phone.login()
	for name, tt := range map[string]struct {
		do   func(waits)
		want string
	}{
		"confirmed": {func(wait waits) { phone.post(wait.path, confirm(wait.number)) }, waitConfirmed},
		"refused":   {func(wait waits) { phone.post(wait.path, url.Values{"answer": {"refuse"}}) }, waitRefused},
		"expired":   {func(waits) { w.clock.advance(session.PairLife) }, waitExpired},
	} {
		wait := w.browser(desktop).pair("/")
		res, events := wait.events(t.Context())
		h := res.Header
		if res.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
			t.Errorf("%s: answered %d %v", name, res.StatusCode, h)
		}
		expect(t, events, waitWaiting)
		tt.do(wait)
		expect(t, events, tt.want)
		expect(t, events, "") // and the stream is over
	}
}

// The store may go away and come back: the PC waits on.
func TestPairEventsDuringAnOutage(t *testing.T) {
	w := newWorld(t, 1, nil)
	phone := w.browser(iPhone)
	phone.login()
	wait := w.browser(desktop).pair("/")
	w.store.down.Store(true)
	_, events := wait.events(t.Context())
	res := wait.do(http.MethodGet, wait.path+"/wait", "Accept", "application/json")
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a store the question was answered %d", res.StatusCode)
	}
	w.store.down.Store(false)
	expect(t, events, waitWaiting)
	phone.post(wait.path, confirm(wait.number))
	expect(t, events, waitConfirmed)
}

// Streams are few per login, ask the store once a second at most, and end with
// the process.
func TestPairStreamsAreBounded(t *testing.T) {
	w, spy := newSpied(t, 1, nil)
	wait := w.browser(desktop).pair("/")
	var streams []<-chan string
	for range maxPerPair {
		_, events := wait.events(t.Context())
		expect(t, events, waitWaiting)
		streams = append(streams, events)
	}
	res := wait.do(http.MethodGet, wait.path+"/wait", "Accept", "text/event-stream")
	if res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one stream more was answered %d", res.StatusCode)
	}
	if wait.state() != waitWaiting {
		t.Error("polling does not work beside the streams")
	}
	before, start := spy.counted("Get p:"), time.Now()
	eventually(t, "the streams look again", func() bool { return spy.counted("Get p:") >= before+2*maxPerPair })
	if took := time.Since(start); took < waitTick {
		t.Errorf("two looks a stream within %s", took)
	}
	g := w.replica(0)
	g.CloseStreams()
	for _, events := range streams {
		expect(t, events, "")
	}
	eventually(t, "the places are free again", func() bool {
		g.pairing.mu.Lock()
		defer g.pairing.mu.Unlock()
		return g.pairing.waiting == 0 && len(g.pairing.perPair) == 0
	})
}

// A browser that goes away frees its place.
func TestPairStreamEndsWithItsBrowser(t *testing.T) {
	w := newWorld(t, 1, nil)
	wait := w.browser(desktop).pair("/")
	ctx, leave := context.WithCancel(t.Context())
	_, events := wait.events(ctx)
	expect(t, events, waitWaiting)
	leave()
	g := w.replica(0)
	eventually(t, "the place is free again", func() bool {
		g.pairing.mu.Lock()
		defer g.pairing.mu.Unlock()
		return g.pairing.waiting == 0
	})
}

func TestPlaces(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.77": "203.0.113.*", "10.1.2.3": "10.1.2.*", "2001:db8:1:2:3:4:5:6": "2001:db8:1:*", "::1": ":*", "": "",
	} {
		var a netip.Addr
		if address != "" {
			a = netip.MustParseAddr(address)
		}
		if got := placeOf(coarse(a)); got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
}

func TestChoices(t *testing.T) {
	position := map[int]int{}
	for i := range 300 {
		right := 10 + i%90
		list := choices("token "+strconv.Itoa(i), right)
		if len(list) != 3 || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != 3 || list[0] < 10 || list[2] > 99 {
			t.Fatalf("choices %v", list)
		}
		position[slices.Index(list, right)]++
	}
	if len(position) != 3 || position[-1] != 0 {
		t.Errorf("the right one stands at %v", position)
	}
}
