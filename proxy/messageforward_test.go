package proxy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// mailbox is the part of the app that gets messages.
type mailbox struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []*http.Request
	bodies []string
	answer func(n int, w http.ResponseWriter, body string) // n counts from 1
}

func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	m.seen, m.bodies = append(m.seen, r), append(m.bodies, string(body))
	n, answer := len(m.seen), m.answer
	m.mu.Unlock()
	if answer != nil {
		answer(n, w, string(body))
	}
}

func (m *mailbox) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}

// says sets the answer to messages from now on.
func (m *mailbox) says(answer func(n int, w http.ResponseWriter, body string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer, m.seen, m.bodies = answer, nil, nil
}

func text200(text string) func(int, http.ResponseWriter, string) {
	return func(_ int, w http.ResponseWriter, _ string) { io.WriteString(w, text) }
}

// newMailWorld is newPushWorld with an app that gets the messages. Where a test
// does not say otherwise, nobody is impatient.
func newMailWorld(t *testing.T, n int, mode wechattest.PushMode, opts ...option) (*world, *mailbox) {
	t.Helper()
	m := &mailbox{}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	opts = append([]option{func(c *Config) { c.MessageForward = m.URL + "/wechat/messages?key=secret_of_the_app" }}, opts...)
	w := newPushWorld(t, n, mode, nil, opts...)
	t.Cleanup(w.besides)
	w.impatiently(func(a *messageApp) { a.patience, a.hangUp = time.Minute, time.Minute })
	return w, m
}

// impatiently changes the times of forwarding on all replicas.
func (w *world) impatiently(change func(*messageApp)) {
	for _, g := range w.replicas {
		change(g.inbox.app)
	}
}

// replyTo is a text for whoever wrote the message.
func (w *world) replyTo(player, text string) string {
	return "<xml><ToUserName><![CDATA[" + w.wechat.OpenID(player, testAppID) + "]]></ToUserName><FromUserName><![CDATA[" + w.wechat.OriginalID(testAppID) +
		"]]></FromUserName><CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[" + text + "]]></Content></xml>"
}

// once delivers a message once, and waits as long as it takes.
func (w *world) once(message string) wechattest.Attempt {
	w.t.Helper()
	return w.hangingUp(message, nil)
}

// hangingUp delivers a message once, until it is told to hang up.
func (w *world) hangingUp(message string, when <-chan struct{}) wechattest.Attempt {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	if when != nil {
		go func() {
			select {
			case <-when:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	p := w.wechat.Deliver(ctx, wechattest.Delivery{AppID: testAppID, Message: message, Attempts: 1, Timeout: time.Minute})
	return p.Attempts[0]
}

// pushes counts those that were accepted, whatever became of them.
func (w *world) pushes() int { return strings.Count(w.log.String(), `"msg":"push"`) }

func TestMessagesReachTheApp(t *testing.T) {
	t.Parallel()
	for _, mode := range pushModes {
		w, m := newMailWorld(t, 1, mode)
		check := verifier(t, w, w.replica(0).published(t, w))
		reply := w.replyTo("aqiang", "你好 <b>&amp;")
		for answer, want := range map[string]string{
			"": "", "success": "", " success\r\n": "", reply: reply, "\n" + reply + "\n": reply,
			`<?xml version="1.0" encoding="UTF-8"?>` + "\n<!-- from a library -->" + reply: `<?xml version="1.0" encoding="UTF-8"?>` + "\n<!-- from a library -->" + reply,
		} {
			m.says(text200(answer))
			message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗 ]]> <b>")
			a := w.once(message)
			if a.Err != nil || a.Reply != want || want == "" && a.Answer != "success" {
				t.Fatalf("%s: %q becomes %+v", mode, answer, a)
			}
			if m.count() != 1 || m.bodies[0] != message {
				t.Fatalf("%s: the app gets %q, sent was %q", mode, m.bodies, message)
			}
			r := m.seen[0]
			sum := sha256.Sum256([]byte(message))
			c, err := check(r.Header.Get("X-Wxgate-Assertion"))
			if err != nil || c.Subject != identity.GatewaySubject || c.SHA256 != hex.EncodeToString(sum[:]) || c.WeChat != nil || c.SessionID != "" {
				t.Errorf("%s: the assertion says %+v, %v", mode, c, err)
			}
			if r.Method != http.MethodPost || r.RequestURI != "/wechat/messages?key=secret_of_the_app" || r.Header.Get("Content-Type") != "text/xml; charset=utf-8" || len(r.Header.Get("X-Request-Id")) != 16 {
				t.Errorf("%s: the app is asked %s %s %v", mode, r.Method, r.RequestURI, r.Header)
			}
			for name := range r.Header {
				if !slices.Contains([]string{"Content-Type", "Content-Length", "User-Agent", "Accept-Encoding", "X-Wxgate-Assertion", "X-Wxgate-Appid", "X-Request-Id", "Traceparent"}, name) {
					t.Errorf("%s: the app is told %s: %s", mode, name, r.Header.Get(name))
				}
			}
		}
		if strings.Contains(w.log.String(), "no usable answer") {
			t.Errorf("%s: a good answer is called unusable", mode)
		}
		// Whoever is logged in on the side, or says so, has nothing to do with it.
		b := w.browser(iPhone).as("aqiang")
		b.login()
		m.says(nil)
		r, _ := http.NewRequest(http.MethodPost, w.front.URL+"/.wxgate/messages?"+signedQuery(w.clock.now(), "9"), strings.NewReader(w.wechat.TextMessage(testAppID, "aqiang", "x")))
		r.Header.Set("Cookie", b.cookieHeader())
		r.Header.Set("X-Wxgate-User", "somebody")
		r.Header.Set("Authorization", "Bearer x")
		if res, err := direct.Do(r); err != nil {
			t.Fatal(err)
		} else if res.Body.Close(); mode == wechattest.PushPlain && (m.count() != 1 || m.seen[0].Header.Get("Cookie")+m.seen[0].Header.Get("X-Wxgate-User")+m.seen[0].Header.Get("Authorization") != "") {
			t.Errorf("the app is told %v", m.seen)
		}
		// Events go the same way, those that are followed here too.
		for _, event := range []string{"CLICK", "subscribe", "unsubscribe", wechat.EventRevoke, wechat.EventCancellation, wechat.EventUserInfoModified} {
			m.says(text200(""))
			w.push("aqiang", event)
			if m.count() != 1 || !strings.Contains(m.bodies[0], event) {
				t.Errorf("%s: of %s the app gets %q", mode, event, m.bodies)
			}
		}
	}
}

// What the app says is shown to a person. Nonsense is not.
func TestNonsenseFromTheApp(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 1, wechattest.PushSafe)
	reply := w.replyTo("aqiang", "planted")
	status := func(code int) func(int, http.ResponseWriter, string) {
		return func(_ int, rw http.ResponseWriter, _ string) {
			rw.Header().Set("Location", "/elsewhere")
			rw.WriteHeader(code)
			io.WriteString(rw, reply)
		}
	}
	for name, answer := range map[string]func(int, http.ResponseWriter, string){
		"JSON":          text200(`{"planted":"ok"}`),
		"quoted":        text200(`"success"`),
		"HTML":          text200("<html><body>planted</body></html>"),
		"HTML, not XML": text200("<html><body><br>planted</body></html>"),
		"two":           text200(reply + reply),
		"text before":   text200("planted" + reply),
		"text behind":   text200(reply + "planted"),
		"a comment":     text200("<!-- planted -->"),
		"unfinished":    text200(strings.TrimSuffix(reply, "</xml>")),
		"DOCTYPE":       text200("<!DOCTYPE xml>" + reply),
		"entity":        text200(strings.Replace(reply, "<![CDATA[planted]]>", "&planted;", 1)),
		"not UTF-8":     text200(strings.Replace(reply, "planted", "\xc4\xe3", 1)),
		"GBK":           text200(`<?xml version="1.0" encoding="gbk"?>` + reply),
		"prefix":        text200(`<a:xml xmlns:a="b">planted</a:xml>`),
		"long":          text200(strings.Replace(reply, "planted", strings.Repeat("long", wechat.MaxPush/4), 1)),
		"redirect":      status(302), "redirect with the body": status(307), "not found": status(404), "refused": status(403), "created elsewhere": status(300),
		"cut off": func(_ int, rw http.ResponseWriter, _ string) {
			rw.Header().Set("Content-Length", "1000")
			io.WriteString(rw, reply)
			http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		m.says(answer)
		message := w.wechat.TextMessage(testAppID, "aqiang", "planted")
		for range 2 {
			if a := w.once(message); a.Err != nil || a.Answer != "success" || a.Answer == "" {
				t.Errorf("%s becomes %+v", name, a)
			}
		}
		if m.count() != 1 {
			t.Errorf("%s: the app was asked %d times", name, m.count())
		}
	}
	w.besides()
	if log := w.log.String(); strings.Count(log, "no usable answer") != 21 || !strings.Contains(log, "it has more than 65536 bytes") || strings.Contains(log, "planted") {
		t.Errorf("the log says %d times that something is wrong", strings.Count(log, "no usable answer"))
	}
}

// held lets the app think until it is released.
func (m *mailbox) held(t *testing.T, reply string) (reached <-chan struct{}, release func()) {
	began, hold := make(chan struct{}, 100), make(chan struct{})
	m.says(func(_ int, rw http.ResponseWriter, _ string) {
		began <- struct{}{}
		<-hold
		io.WriteString(rw, reply)
	})
	release = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	return began, release
}

// An app that needs longer than WeChat waits is asked once; a later delivery
// brings its answer back, at whichever replica.
func TestSlowAppAnswersALaterDelivery(t *testing.T) {
	t.Parallel()
	for _, mode := range pushModes {
		for _, elsewhere := range []bool{false, true} {
			w, m := newMailWorld(t, 2, mode)
			one, two := w.replica(0), w.replica(1)
			w.route(one)
			reply := w.replyTo("aqiang", "慢")
			reached, release := m.held(t, reply)
			message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
			if a := w.hangingUp(message, reached); a.Status != 0 {
				t.Fatalf("%s: the first delivery is answered %+v", mode, a)
			}
			if elsewhere {
				w.route(two)
			}
			second := make(chan wechattest.Attempt)
			go func() { second <- w.once(message) }()
			eventually(t, "the second delivery waits", func() bool { return w.pushes() == 2 })
			release()
			if a := <-second; a.Err != nil || a.Reply != reply {
				t.Errorf("%s: the second delivery is answered %+v", mode, a)
			}
			w.besides()
			if a := w.once(message); a.Err != nil || a.Reply != reply {
				t.Errorf("%s: a third one is answered %+v", mode, a)
			}
			if m.count() != 1 {
				t.Errorf("%s: the app is asked %d times", mode, m.count())
			}
		}
	}
}

// Before the last delivery nothing is said, so that WeChat comes again; the last
// one is answered in time.
func TestLastDeliveryIsAnswered(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 2, wechattest.PushSafe)
	w.impatiently(func(a *messageApp) {
		a.patience, a.hangUp, a.lastDelivery = 50*time.Millisecond, 600*time.Millisecond, 10*time.Second
	})
	for _, g := range w.replicas {
		g.inbox.readLimit = 200 * time.Millisecond // for the body, which is there
	}
	reply := w.replyTo("aqiang", "慢")
	_, release := m.held(t, reply)
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	// Somebody who does not hang up is sent away.
	if a := w.once(message); a.Status != http.StatusGatewayTimeout || a.Took < 600*time.Millisecond {
		t.Errorf("the first delivery is answered %+v", a)
	}
	w.clock.advance(2 * time.Second)
	if a := w.once(message); a.Status != http.StatusGatewayTimeout {
		t.Errorf("the second delivery is answered %+v", a)
	}
	w.clock.advance(8 * time.Second)
	w.impatiently(func(a *messageApp) { a.hangUp = time.Minute })
	if a := w.once(message); a.Err != nil || a.Answer != "success" || a.Took > 30*time.Second {
		t.Errorf("the last delivery is answered %+v", a)
	}
	release()
	w.besides()
	if a := w.once(message); a.Reply != reply || m.count() != 1 {
		t.Errorf("a later delivery is answered %+v, the app was asked %d times", a, m.count())
	}
	// The real times fit into WeChat's five seconds.
	fresh, err := newMessageApp(w.replica(0), m.URL)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.patience > 4500*time.Millisecond || fresh.hangUp <= 5*time.Second || fresh.lastDelivery <= 5*time.Second || fresh.lastDelivery >= 10*time.Second || fresh.limit < 3*fresh.patience {
		t.Errorf("%+v", fresh)
	}
}

// An app that never answers is given up, and had the message all the same.
func TestAppThatNeverAnswers(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 1, wechattest.PushSafe)
	w.impatiently(func(a *messageApp) { a.limit = 100 * time.Millisecond })
	m.held(t, "")
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	for range 2 {
		if a := w.once(message); a.Answer != "success" {
			t.Errorf("answered %+v", a)
		}
	}
	if m.count() != 1 || !strings.Contains(w.log.String(), "none within 100ms") {
		t.Errorf("the app was asked %d times", m.count())
	}
}

// An app that could not be reached gets the next delivery; the person is not
// told of its fault.
func TestAppThatIsDown(t *testing.T) {
	t.Parallel()
	fail := func(status int) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) { rw.WriteHeader(status) }
	}
	for name, down := range map[string]func(http.ResponseWriter){
		"500": fail(500), "502": fail(502), "503": fail(503),
		"cut": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		w, m := newMailWorld(t, 2, wechattest.PushSafe)
		w.impatiently(func(a *messageApp) { a.hangUp = 150 * time.Millisecond })
		reply := w.replyTo("aqiang", "又好了")
		m.says(func(n int, rw http.ResponseWriter, _ string) {
			if n < 3 {
				down(rw)
				return
			}
			io.WriteString(rw, reply)
		})
		message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
		for i := range 2 {
			a := w.once(message)
			w.besides()
			if a.Status != http.StatusBadGateway || a.Took < 150*time.Millisecond || m.count() != i+1 {
				t.Errorf("%s: the app was asked %d times: %+v", name, m.count(), a)
			}
		}
		w.impatiently(func(a *messageApp) { a.hangUp = time.Minute })
		if a := w.once(message); a.Reply != reply || m.count() != 3 {
			t.Errorf("%s: the app was asked %d times: %+v", name, m.count(), a)
		}
		if n := strings.Count(w.log.String(), "did not take a message"); n != 2 {
			t.Errorf("%s: the log says so %d times", name, n)
		}
	}
	nobody := closedPort(t).String()
	w := newPushWorld(t, 1, wechattest.PushSafe, nil, func(c *Config) { c.MessageForward = nobody + "/?key=secret_of_the_app" })
	w.impatiently(func(a *messageApp) { a.patience, a.hangUp = time.Minute, 150*time.Millisecond })
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	if a := w.once(message); a.Status != http.StatusBadGateway {
		t.Errorf("nobody there: %+v", a)
	}
	w.besides()
	w.clock.advance(lastDelivery)
	if a := w.once(message); a.Answer != "success" || a.Took > 30*time.Second {
		t.Errorf("nobody there, the last delivery: %+v", a)
	}
	w.besides()
	if log := w.log.String(); strings.Count(log, "connection refused") != 2 || strings.Contains(log, "secret_of_the_app") {
		t.Errorf("the log is %s", log)
	}
}

func TestConcurrentDeliveries(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 3, wechattest.PushSafe)
	reply := w.replyTo("aqiang", "一次")
	reached, release := m.held(t, reply)
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	const n = 12
	results := make(chan wechattest.Attempt, n)
	for range n {
		go func() { results <- w.once(message) }()
	}
	<-reached
	eventually(t, "all are there", func() bool { return w.pushes() == n })
	release()
	for range n {
		if a := <-results; a.Err != nil || a.Reply != reply {
			t.Errorf("answered %+v", a)
		}
	}
	if m.count() != 1 {
		t.Errorf("the app is asked %d times", m.count())
	}
	// Two messages are two, even of the same words.
	m.says(text200(""))
	w.once(w.wechat.TextMessage(testAppID, "aqiang", "有人吗"))
	w.once(w.wechat.TextMessage(testAppID, "aqiang", "有人吗"))
	if m.count() != 2 {
		t.Errorf("two messages reach the app %d times", m.count())
	}
}

// Whoever died with a message in hand leaves it to the others.
func TestMessageOfADeadReplica(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 1, wechattest.PushSafe)
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	parsed, err := wechat.ParsePush([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	if task, err := w.replica(0).cfg.Sessions.Claim(t.Context(), "message "+testAppID+" "+parsed.Key(), messageLease, pushMemory); err != nil || !task.Mine {
		t.Fatalf("%+v, %v", task, err)
	}
	w.impatiently(func(a *messageApp) { a.hangUp = 300 * time.Millisecond })
	if a := w.once(message); a.Status != http.StatusGatewayTimeout || m.count() != 0 {
		t.Errorf("answered %+v", a)
	}
	w.clock.advance(messageLease)
	if a := w.once(message); a.Answer != "success" || m.count() != 1 {
		t.Errorf("afterwards answered %+v, the app was asked %d times", a, m.count())
	}
}

// slowStore does what it is asked even if nobody waits for its answer any more,
// and says then that it could not tell.
type slowStore struct {
	*spy
	reached chan struct{}
	hold    chan struct{}
}

func (s *slowStore) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if strings.HasPrefix(key, "m:") {
		s.reached <- struct{}{}
		<-s.hold
	}
	created, err := s.spy.Create(context.WithoutCancel(ctx), key, value, ttl)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return created, err
}

// WeChat hanging up does not leave a message that is claimed and in nobody's
// hands.
func TestHangingUpDuringTheClaim(t *testing.T) {
	t.Parallel()
	store := &slowStore{openSpy(t), make(chan struct{}, 100), make(chan struct{})}
	m := &mailbox{}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	w := newWorldOn(t, store, 1, nil, receiving(wechattest.PushSafe), func(c *Config) { c.MessageForward = m.URL })
	w.pushFrom(wechattest.PushSafe)
	t.Cleanup(w.besides)
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	if a := w.hangingUp(message, store.reached); a.Status != 0 {
		t.Errorf("answered %+v", a)
	}
	for range 10 {
		w.callPush(http.MethodGet, "", "") // so that it is known that nobody waits
	}
	close(store.hold)
	if a := w.once(message); a.Answer != "success" || m.count() != 1 {
		t.Errorf("the next delivery is answered %+v, the app was asked %d times", a, m.count())
	}
}

// The app is not buried under messages.
func TestManyMessages(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 1, wechattest.PushSafe)
	w.impatiently(func(a *messageApp) { a.slots = make(chan struct{}, 2) })
	reached, release := m.held(t, "")
	results := make(chan wechattest.Attempt, 2)
	for range cap(results) {
		go func() { results <- w.once(w.wechat.TextMessage(testAppID, "aqiang", "有人吗")) }()
		<-reached
	}
	message := w.wechat.TextMessage(testAppID, "aqiang", "还有人吗")
	refused, third := make(chan struct{}), make(chan wechattest.Attempt)
	go func() { third <- w.hangingUp(message, refused) }()
	eventually(t, "one is too many", func() bool { return strings.Contains(w.log.String(), "2 messages are with it already") })
	close(refused)
	if a := <-third; a.Status != 0 || m.count() != 2 {
		t.Errorf("one too many is answered %+v", a)
	}
	release()
	for range cap(results) {
		if a := <-results; a.Answer != "success" {
			t.Errorf("answered %+v", a)
		}
	}
	w.besides()
	if a := w.once(message); a.Answer != "success" || m.count() != 3 {
		t.Errorf("afterwards answered %+v, the app was asked %d times", a, m.count())
	}
}

func TestMessagesWithoutStore(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 1, wechattest.PushSafe)
	reply := w.replyTo("aqiang", "好")
	m.says(text200(reply))
	message := w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	w.store.down.Store(true)
	p := w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message})
	if len(p.Attempts) != 3 || p.Attempts[0].Status != http.StatusServiceUnavailable || m.count() != 0 {
		t.Errorf("the app was asked %d times: %+v", m.count(), p)
	}
	w.store.down.Store(false)
	// It goes away while the app has the message.
	m.says(func(_ int, rw http.ResponseWriter, _ string) { w.store.down.Store(true); io.WriteString(rw, reply) })
	if a := w.once(message); a.Reply != reply {
		t.Errorf("answered %+v", a)
	}
	w.besides()
	if !strings.Contains(w.log.String(), "could not be kept what became of a message") {
		t.Error("the log does not say so")
	}
	// It goes away while another delivery waits.
	w.store.down.Store(false)
	reached, release := m.held(t, reply)
	before := w.pushes()
	message = w.wechat.TextMessage(testAppID, "aqiang", "有人吗")
	w.hangingUp(message, reached)
	second := make(chan wechattest.Attempt)
	go func() { second <- w.once(message) }()
	eventually(t, "it waits", func() bool { return w.pushes() == before+2 })
	w.store.down.Store(true)
	if a := <-second; a.Status != http.StatusServiceUnavailable {
		t.Errorf("answered %+v", a)
	}
	w.store.down.Store(false)
	release()
}

func TestForwardAddress(t *testing.T) {
	w := newWorld(t, 1, nil)
	for _, address := range []string{"", "127.0.0.1:3000", "ftp://127.0.0.1/", "http://", "/x", "http://%zz/"} {
		if _, err := newMessageApp(w.replica(0), address); err == nil || strings.Contains(err.Error(), cmp.Or(address, "-")) {
			t.Errorf("%q: %v", address, err)
		}
	}
	c := w.replica(0).cfg
	receiving(wechattest.PushSafe)(&c)
	c.MessageForward, c.Metrics = "nonsense", NewMetrics("test", "go")
	if _, err := New(c); err == nil {
		t.Error("a gateway with a nonsensical address")
	}
}

// The outer end of the person's wait: an unanswered delivery ends in what the
// request's context says.
func TestUnanswered(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if reply, p, err := unanswered(ctx, true, upstreamSlow); reply != nil || p != nil || err != nil {
		t.Errorf("the last: %q, %v, %v", reply, p, err)
	}
	if _, p, err := unanswered(ctx, false, upstreamSlow); p == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("another: %v, %v", p, err)
	}
}

// Nothing of what WeChat's messages and the app's answers say, and nobody of whom
// they are, gets into the log, at any level.
func TestLogKeepsMessages(t *testing.T) {
	t.Parallel()
	for _, mode := range pushModes {
		w, m := newMailWorld(t, 2, mode, announcing)
		w.impatiently(func(a *messageApp) { a.hangUp = 50 * time.Millisecond })
		b := w.browser(iPhone).as("aqiang")
		b.consent()
		for _, answer := range []func(int, http.ResponseWriter, string){
			text200(w.replyTo("aqiang", "planted")), text200("planted"), text200("<xml>planted"), text200(`{"planted":1}`),
			func(_ int, rw http.ResponseWriter, _ string) { http.Error(rw, "planted", 500) },
			func(_ int, rw http.ResponseWriter, _ string) { http.Error(rw, "planted", 404) },
			func(_ int, rw http.ResponseWriter, _ string) { panic(http.ErrAbortHandler) },
			func(_ int, rw http.ResponseWriter, _ string) {
				conn, _, err := http.NewResponseController(rw).Hijack()
				if err != nil {
					panic(err)
				}
				io.WriteString(conn, "planted, and no HTTP\r\n\r\n")
				conn.Close()
			},
		} {
			m.says(answer)
			w.wechat.PushText(t.Context(), testAppID, "aqiang", "planted")
			for _, event := range []string{"CLICK", "planted event", wechat.EventRevoke, wechat.EventUserInfoModified, "subscribe", wechat.EventCancellation} {
				w.wechat.PushEvent(t.Context(), testAppID, "aqiang", event, "EventKey", "planted")
			}
		}
		message := w.wechat.TextMessage(testAppID, "aqiang", "planted")
		for _, change := range []func(*wechattest.Attempt){
			func(a *wechattest.Attempt) { a.Body = "planted" },
			func(a *wechattest.Attempt) { a.URL += "&planted=planted&signature=planted" },
			func(a *wechattest.Attempt) { a.URL = strings.Replace(a.URL, "nonce=", "nonce=planted", 1) },
			func(a *wechattest.Attempt) { a.Body = strings.Replace(a.Body, "</xml>", "<planted></xml>", 1) },
		} {
			w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: message, Attempts: 1, Change: change})
		}
		w.wechat.Deliver(t.Context(), wechattest.Delivery{AppID: testAppID, Message: "<xml>planted</xml>", Attempts: 1})
		w.store.down.Store(true)
		w.wechat.PushText(t.Context(), testAppID, "aqiang", "planted")
		w.store.down.Store(false)
		w.besides()
		secrets := []string{"planted", testPushToken, testPushKey, "secret_of_the_app", testSecret, w.wechat.OriginalID(testAppID)}
		for _, p := range w.wechat.Players() {
			secrets = append(secrets, w.wechat.OpenID(p.ID, testAppID), w.wechat.UnionID(p.ID, testAppID))
		}
		for _, e := range w.wechat.Calls("/.wxgate/messages") {
			secrets = append(secrets, e.Query.Get("signature"), e.Query.Get("msg_signature"), e.Query.Get("echostr"))
		}
		log := w.log.String()
		for _, secret := range secrets {
			if i := strings.Index(log, secret); secret != "" && i >= 0 {
				start, end := strings.LastIndexByte(log[:i], '\n')+1, i+strings.IndexByte(log[i:], '\n')
				t.Errorf("%s: the log shows %q: %s", mode, secret, log[start:end])
			}
		}
		if len(secrets) < 80 || w.pushes() < 30 || !strings.Contains(log, fmt.Sprintf(`"event":%q`, wechat.EventRevoke)) {
			t.Errorf("%s: the test came across %d secrets", mode, len(secrets))
		}
	}
}
