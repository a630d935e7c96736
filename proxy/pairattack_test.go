package proxy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"wxgate/identity"
	"wxgate/session"
)

// Whoever has the QR code, its address, or the confirmation, but not the cookie
// of the browser that began the login, gets nothing.
func TestForeignPCTakesNothing(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone, thief := w.browser(desktop), w.browser(iPhone), w.browser(desktop)
	phone.login()
	thief.pair("/") // has a login cookie, of another login
	wait := pc.pair("/room/7")
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)

	for name, b := range map[string]*browser{"another PC": thief, "a browser without cookies": w.browser(desktop)} {
		if res := b.do(http.MethodGet, wait.path+"/wait", "Accept", "application/json"); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s is told about the login: %d %s", name, res.StatusCode, res.body)
		}
		if res := b.do(http.MethodGet, wait.path+"/wait", "Accept", "text/event-stream"); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s may wait for the login: %d %s", name, res.StatusCode, res.body)
		}
		if res := b.open(wait.path); sessionOf(res.Response) != "" || b.cookies()["wxgate"] != "" {
			t.Errorf("%s was logged in", name)
		}
	}
	if e := pc.open(wait.path).echoed(t); e.URI != "/room/7" {
		t.Errorf("the PC that began arrived at %s", e.URI)
	}
	// Replayed after it was used, elsewhere.
	if res := thief.open(wait.path); sessionOf(res.Response) != "" {
		t.Error("logged in by a replay")
	}
}

// A QR code that was passed on: the victim does not see the number, and has one
// guess.
func TestRelayedQRCode(t *testing.T) {
	w := newWorld(t, 1, nil)
	attacker, victim := w.browser(desktop), w.browser(iPhone)
	victim.login()
	wait := attacker.pair("/")
	wrong := ""
	for _, n := range victim.open(wait.path).choices(t) {
		if n != wait.number {
			wrong = n
		}
	}
	victim.post(wait.path, confirm(wrong)).page(t, http.StatusOK, pagePairMistaken)
	if got := wait.state(); got != waitRefused {
		t.Errorf("the attacker's PC hears %q", got)
	}
	// The right number comes too late.
	victim.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairMistaken)
	w.browser(iPhone).as("aqiang").post(wait.path, confirm(wait.number))
	if sessionOf(attacker.open(wait.path).Response) != "" || wait.state() != waitRefused {
		t.Fatal("the attacker was logged in")
	}
}

// Anything but one of the numbers decides nothing or against the login.
func TestPairAnswersThatAreNone(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/")
	for name, form := range map[string]url.Values{
		"nothing":           {},
		"no number":         {"answer": {"confirm"}},
		"two numbers":       {"answer": {"confirm"}, "number": {"11", wait.number}},
		"another answer":    {"answer": {"yes"}, "number": {wait.number}},
		"number in the URL": {"answer": {"confirm"}},
	} {
		phone.post(wait.path+"?answer=confirm&number="+wait.number, form).page(t, http.StatusOK, pagePairConfirm)
		if got := wait.state(); got != waitWaiting {
			t.Fatalf("%s decided: %q", name, got)
		}
	}
	res := phone.post(wait.path, url.Values{"answer": {"confirm"}, "number": {strings.Repeat("1", 2*maxPairForm)}})
	if res.StatusCode != http.StatusBadRequest || wait.state() != waitWaiting {
		t.Errorf("a huge form was answered %d", res.StatusCode)
	}
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete} {
		if res := phone.do(method, wait.path); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, POST" {
			t.Errorf("%s was answered %d", method, res.StatusCode)
		}
	}
	if res := phone.post(wait.path+"/wait", confirm(wait.number)); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("posted to wait: %d", res.StatusCode)
	}
}

// A page elsewhere that sends the form from the victim's browser is refused.
func TestPairFromAnotherOrigin(t *testing.T) {
	w := newWorld(t, 1, nil)
	attacker, victim := w.browser(desktop), w.browser(iPhone)
	victim.login()
	wait := attacker.pair("/")
	for name, headers := range map[string][]string{
		"cross-site":            {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"sibling":               {"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example.com"},
		"old browser":           {"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "Origin", "https://evil.example"},
		"sandboxed old browser": {"Sec-Fetch-Site", "", "Sec-Fetch-Mode", "", "Sec-Fetch-Dest", "", "Origin", "null"},
	} {
		if res := victim.post(wait.path, confirm(wait.number), headers...); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: answered %d", name, res.StatusCode)
		}
		if wait.state() != waitWaiting {
			t.Fatalf("%s: decided", name)
		}
	}
	// Opening a link decides nothing either.
	victim.open(wait.path+"?answer=confirm&number="+wait.number).page(t, http.StatusOK, pagePairConfirm)
	victim.post(wait.path, confirm(wait.number), "Sec-Fetch-Site", "", "Origin", w.front.URL).page(t, http.StatusOK, pagePairDone)
}

func TestPairPhoneWithoutSession(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc := w.browser(desktop)
	wait := pc.pair("/")
	stranger := w.browser(iPhone)
	stranger.post(wait.path, confirm(wait.number)).page(t, http.StatusUnauthorized, pageLoginRequired)
	// Outside WeChat there is nobody whom the phone could name.
	w.browser(phoneChrome).post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pageOpenInWeChat)
	if wait.state() != waitWaiting {
		t.Error("decided by nobody")
	}
}

// The browser that asks cannot confirm itself, though it is logged in as
// somebody.
func TestPairConfirmsItself(t *testing.T) {
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	b.agent = desktop
	wait := b.waits(b.open("/.wxgate/login?next=%2F"))
	b.agent = iPhone
	if res := b.post(wait.path, confirm(wait.number)); res.StatusCode != http.StatusBadRequest || wait.state() != waitWaiting {
		t.Errorf("answered %d, state %s", res.StatusCode, wait.state())
	}
}

func TestPairBlockedUser(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	user := phone.login()
	block := func(status string) {
		t.Helper()
		if _, err := w.replica(0).cfg.Users.Update(t.Context(), user, func(u *identity.User) error {
			u.Status = status
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(cacheLife)
	}
	wait := pc.pair("/")
	block(identity.StatusBlocked)
	phone.open(wait.path).page(t, http.StatusForbidden, pageUserBlocked)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusForbidden, pageUserBlocked)
	if wait.state() != waitWaiting {
		t.Fatal("a blocked user decided")
	}
	// Blocked between confirming and arriving.
	block(identity.StatusActive)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	block(identity.StatusBlocked)
	res := pc.stay().open(wait.path)
	res.page(t, http.StatusForbidden, pageUserBlocked)
	if sessionOf(res.Response) != "" {
		t.Error("a blocked user was logged in")
	}
}

// A visitor of a snapshot page is nobody, and logs nobody in.
func TestPairSnapshotVisitor(t *testing.T) {
	w := newWorld(t, 1, nil, func(c *Config) { c.SnapshotVisitors = true })
	phone := w.browser(iPhone).as("snapshot")
	if e := phone.open("/").echoed(t); e.Header.Get("X-Wxgate-Snapshot") != "1" {
		t.Fatalf("no snapshot visitor: %v", e.Header)
	}
	wait := w.browser(desktop).pair("/")
	phone.open(wait.path).page(t, http.StatusForbidden, pageSnapshotVisitor)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusForbidden, pageSnapshotVisitor)
	if got := wait.state(); got != waitWaiting {
		t.Errorf("the PC hears %q", got)
	}
}

// What ends the phone's session before the PC arrives ends the pairing.
func TestPairPhoneLogsOut(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/")
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	phone.post("/.wxgate/logout", nil)
	res := pc.open(wait.path)
	res.page(t, http.StatusOK, pagePairExpired)
	if sessionOf(res.Response) != "" {
		t.Error("logged in by a session that has ended")
	}
}

// Two phones confirm at once, and the PC asks many times at once on several
// replicas: one answer, one session.
func TestPairRaces(t *testing.T) {
	w, spy := newSpied(t, 3, nil)
	pc, one, two := w.browser(desktop), w.browser(iPhone), w.browser(android).as("aqiang")
	users := map[string]bool{one.login(): true, two.login(): true}
	if len(users) != 2 {
		t.Fatal("the phones are of one user")
	}
	wait := pc.pair("/")
	var wg sync.WaitGroup
	for _, phone := range []*browser{one, two, one.tab(), two.tab()} {
		wg.Go(func() { phone.stay().post(wait.path, confirm(wait.number)) })
	}
	wg.Wait()
	if n := len(spy.keys(t, "p:")); n != 1 {
		t.Fatalf("%d answers", n)
	}
	done := 0
	for _, phone := range []*browser{one, two} {
		if strings.Contains(phone.open(wait.path).body, "<h1>"+pageTopics[pagePairDone].zh.Title+"</h1>") {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d phones were told that they logged the PC in", done)
	}
	before := len(spy.keys(t, "s:"))
	tokens := make([]string, 8)
	for i := range tokens {
		tab := pc.tab().stay()
		wg.Go(func() { tokens[i] = sessionOf(tab.open(wait.path).Response) })
	}
	wg.Wait()
	for _, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("tokens differ: %q", tokens)
		}
	}
	if n := len(spy.keys(t, "s:")) - before; n != 1 {
		t.Errorf("%d sessions were made for the PC, want 1", n)
	}
}

// A token that was changed, made up, or made for something else is nobody's.
func TestPairForgedTokens(t *testing.T) {
	w := newWorld(t, 1, nil)
	phone := w.browser(iPhone)
	phone.login()
	wait := w.browser(desktop).pair("/")
	token := strings.TrimPrefix(wait.path, pairPath)
	last := "A"
	if strings.HasSuffix(token, last) {
		last = "B"
	}
	for _, forged := range []string{token[1:], token[:len(token)-2] + last + last, "x", strings.Repeat("A", 600)} {
		for _, b := range []*browser{phone, w.browser(iPhone), w.browser(desktop)} {
			b.open(pairPath+forged).page(t, http.StatusOK, pagePairOver)
		}
		phone.post(pairPath+forged, confirm(wait.number)).page(t, http.StatusOK, pagePairOver)
	}
	for _, path := range []string{"", "a.b", "a%20b", token + "/", token + "/wait/", "wait", token + "/other"} {
		res := phone.open(pairPath + path)
		if res.StatusCode != http.StatusNotFound && path != "wait" {
			t.Errorf("%s answered %d", path, res.StatusCode)
		}
	}
	if wait.state() != waitWaiting {
		t.Error("decided by a forged token")
	}
}

// Login starts and answers are counted against their address.
func TestPairRate(t *testing.T) {
	w := newWorld(t, 1, nil, func(c *Config) { c.LoginRate.N = 2 })
	pc := w.browser(desktop)
	wait := pc.pair("/.wxgate/login?next=%2F")
	pc.open("/.wxgate/login?next=%2F").page(t, http.StatusOK, pageQRPair)
	w.replica(0).limit = newLimiter(Rate{N: 1, Per: 1 << 40}, w.clock.now)
	pc.open("/.wxgate/login?next=%2F").page(t, http.StatusOK, pageQRPair)
	pc.open("/.wxgate/login?next=%2F").page(t, http.StatusTooManyRequests, pageRateLimited)
	w.browser(iPhone).post(wait.path, confirm(wait.number)).page(t, http.StatusTooManyRequests, pageRateLimited)
	if wait.state() != waitWaiting {
		t.Error("waiting costs a share of the rate")
	}
}

// An outage is no refusal and no confirmation.
func TestPairDuringAnOutage(t *testing.T) {
	w := newWorld(t, 1, nil)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.pair("/")
	phone.open(wait.path).page(t, http.StatusOK, pagePairConfirm)
	w.store.down.Store(true)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
	pc.open(wait.path).page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
	w.store.down.Store(false)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	w.store.down.Store(true)
	pc.open(wait.path).page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
	w.store.down.Store(false)
	if e := pc.open(wait.path).echoed(t); e.URI != "/" {
		t.Errorf("arrived at %s", e.URI)
	}
}

// On a host that cannot share cookies with the public one, the PC pairs at the
// public host and is handed over; pair/ exists there only.
func TestPairForAnotherHost(t *testing.T) {
	const other = "shop.example.com"
	w := newWorld(t, 1, nil, func(c *Config) { c.AllowedHosts = []string{other} })
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	binding := session.BindingOf("the state that the other host's cookie holds")
	wait := pc.pair("/.wxgate/login?next=" + url.QueryEscape("http://"+other+"/") + "&bind=" + binding)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	res := pc.stay().open(wait.path)
	location, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusSeeOther || location.Host != other || location.Path != "/.wxgate/handover" {
		t.Fatalf("answered %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	ticket, ok := w.replica(0).cfg.Sessions.OpenTicket(location.Query().Get("ticket"), other)
	if !ok || ticket.Binding != binding {
		t.Errorf("handed over %+v", ticket)
	}
	rec := phone.peek(w.replica(0), wait.path)
	if rec.Code != http.StatusOK {
		t.Fatalf("at the public host: %d", rec.Code)
	}
	r, _ := http.NewRequest(http.MethodGet, w.front.URL+wait.path, nil)
	r.Host = other
	r.Header.Set("Accept", "text/html")
	if res := phone.send(r); res.StatusCode != http.StatusNotFound {
		t.Errorf("at another host: %d", res.StatusCode)
	}
}

// What the PC is told and shown is never the phone's, and the place on the
// phone's page is the PC's as the gateway saw it.
func TestPairPlaceIsThePCs(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	w := newWorld(t, 1, nil, func(c *Config) { c.TrustedProxies = loopback })
	pc, phone := w.browser(desktop), w.browser(iPhone)
	phone.login()
	wait := pc.waits(pc.open("/.wxgate/login?next=%2F", "X-Forwarded-For", "203.0.113.77"))
	far := text(phone.open(wait.path, "X-Forwarded-For", "198.51.100.9").body)
	if !strings.Contains(far, "203.0.113.*") || strings.Contains(far, "203.0.113.77") || strings.Contains(far, pageWordsZH.Near) {
		t.Errorf("the phone's page: %s", far)
	}
	near := text(phone.open(wait.path, "X-Forwarded-For", "203.0.113.8").body)
	if !strings.Contains(near, pageWordsZH.Near) {
		t.Errorf("the phone's page in the same network: %s", near)
	}
	res := wait.do(http.MethodGet, wait.path+"/wait", "Accept", "application/json")
	var fields map[string]any
	if err := json.Unmarshal([]byte(res.body), &fields); err != nil || len(fields) != 1 {
		t.Errorf("the PC is told %s", res.body)
	}
}
