package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/session/boltstore"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
	"wxgate/yunxin"
	"wxgate/yunxin/yunxintest"
)

// The tests of this package run the real gateway between a simulated WeChat,
// a simulated Yunxin and a toy app, each on a loopback port, with a browser
// that keeps cookies. Nothing of the gateway is replaced but its clock.

const (
	testAppID  = "wx00000000000000a1"
	testSecret = "0123456789abcdef0123456789abcdef"

	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI Language/zh_CN"
	android = "Mozilla/5.0 (Linux; Android 10; Pixel; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/111.0.5563.116 Mobile Safari/537.36 XWEB/1110005 MMWEBSDK/20230805 MicroMessenger/8.0.42.2460(0x28002A58) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64"
	desktop = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)

// backend is the part of a back end that the tests need.
type backend interface {
	session.Store
	identity.Store
	identity.Lister
	Queue
	Ping(context.Context) error
}

// outage lets a test take the store away.
type outage struct {
	backend
	down  atomic.Bool
	reads atomic.Int64
	calls atomic.Int64
}

var errDown = errors.New("connection refused (by the test)")

func (o *outage) gone() error {
	o.calls.Add(1)
	if o.down.Load() {
		return errDown
	}
	return nil
}

func (o *outage) Get(ctx context.Context, key string) ([]byte, bool, error) {
	o.reads.Add(1)
	if err := o.gone(); err != nil {
		return nil, false, err
	}
	return o.backend.Get(ctx, key)
}

func (o *outage) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.backend.Put(ctx, key, value, ttl)
}

func (o *outage) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := o.gone(); err != nil {
		return false, err
	}
	return o.backend.Create(ctx, key, value, ttl)
}

func (o *outage) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := o.gone(); err != nil {
		return false, err
	}
	return o.backend.Replace(ctx, key, old, value, ttl)
}

func (o *outage) Delete(ctx context.Context, key string) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.backend.Delete(ctx, key)
}

func (o *outage) Ping(ctx context.Context) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.backend.Ping(ctx)
}

// clock is the gateway's time: the real one, moved on by the test.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// logBuffer collects what the gateway logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is everything around one gateway, or several.
type world struct {
	t      *testing.T
	wechat *wechattest.Server
	yunxin *yunxintest.Server
	store  *outage
	app    http.Handler
	front  *httptest.Server
	log    *logBuffer
	clock  clock

	mu       sync.Mutex
	replicas []*Server
}

// option changes the configuration of every replica.
type option func(*Config)

func rules(text string) option {
	return func(c *Config) {
		var err error
		if c.Rules, err = ParseRules(text); err != nil {
			panic(err)
		}
	}
}

// newWorld starts n replicas on one store. A request goes to a replica drawn
// at random.
func newWorld(t *testing.T, n int, app http.HandlerFunc, opts ...option) *world {
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "wxgate.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bolt.Close() })
	return newWorldOn(t, bolt, n, app, opts...)
}

func newWorldOn(t *testing.T, st backend, n int, app http.HandlerFunc, opts ...option) *world {
	t.Helper()
	w := &world{t: t, store: &outage{backend: st}, log: &logBuffer{}}
	w.wechat = wechattest.NewServer(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}})
	t.Cleanup(w.wechat.Close)
	w.yunxin = yunxintest.NewServer(yunxintest.Config{})
	t.Cleanup(w.yunxin.Close)
	if app == nil {
		app = echo
	}
	w.app = app
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.app.ServeHTTP(rw, r) }))
	t.Cleanup(upstream.Close)
	w.front = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		g := w.replicas[rand.IntN(len(w.replicas))]
		w.mu.Unlock()
		g.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.front.Close)
	for range n {
		w.add(upstream.URL, opts...)
	}
	return w
}

// add starts one more replica.
func (w *world) add(upstream string, opts ...option) *Server {
	w.t.Helper()
	public, _ := url.Parse(w.front.URL)
	target, _ := url.Parse(upstream)
	secret := sha256.Sum256([]byte("a secret of the tests"))
	tmpl, err := identity.ParseNameTemplate("玩家{{.Digits}}")
	if err != nil {
		w.t.Fatal(err)
	}
	c := Config{
		PublicURL: public, Upstreams: []Upstream{{Prefix: "/", URL: target}}, UpstreamTimeout: 5 * time.Second,
		LoginRate:    Rate{N: 10000, Per: time.Second},
		WeChat:       wechat.New(wechat.Config{APIURL: w.wechat.URL, OpenURL: w.wechat.URL}),
		MP:           wechat.App{ID: testAppID, Secret: testSecret},
		Platform:     "default",
		PlainHeaders: true,
		DefaultName:  tmpl,
		Queue:        w.store,
		Lister:       w.store,
		Ping:         w.store.Ping,
		Logger:       slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics:      NewMetrics("test", "go"),
		Now:          w.clock.now,
		Yunxin: &Yunxin{
			Client:   yunxin.New(yunxin.Config{AppKey: yunxintest.AppKey, AppSecret: yunxintest.AppSecret, URLs: []string{w.yunxin.URL}}),
			Secrets:  [][]byte{secret[:]},
			TokenTTL: 10 * time.Minute,
		},
	}
	sessions := session.Config{Store: w.store, Secrets: [][]byte{secret[:]}, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Now: w.clock.now}
	signer := identity.SignerConfig{Secrets: [][]byte{secret[:]}, Issuer: w.front.URL, Audience: public.Host, TTL: 5 * time.Minute, Now: w.clock.now}
	for _, o := range opts {
		o(&c)
	}
	if c.Sessions == nil {
		if c.Sessions, err = session.NewManager(sessions); err != nil {
			w.t.Fatal(err)
		}
	}
	if c.Signer == nil {
		if c.Signer, err = identity.NewSigner(signer); err != nil {
			w.t.Fatal(err)
		}
	}
	c.Users = identity.NewDirectory(identity.DirectoryConfig{Store: w.store, Queue: w.store, Announce: c.HookURL != "", Now: w.clock.now})
	g, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	g.storeUp.Store(true)
	w.mu.Lock()
	w.replicas = append(w.replicas, g)
	w.mu.Unlock()
	return g
}

// echo is an app that tells what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "trailer": r.Trailer, "body": string(body),
	})
}

type echoed struct {
	Method, URI, Host, Body string
	Header, Trailer         http.Header
}

// browser is a visitor's browser: a User-Agent, cookies, and the habit of
// following redirects.
type browser struct {
	w      *world
	client *http.Client
	agent  string
	trail  []string // every address that was asked for
}

func (w *world) browser(agent string) *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{w: w, agent: agent}
	b.client = &http.Client{Jar: jar, Transport: direct.Transport, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		b.trail = append(b.trail, r.URL.String())
		if len(via) > 15 {
			return errors.New("redirected for ever")
		}
		return nil
	}}
	return b
}

// as makes the browser one of the simulator's players.
func (b *browser) as(player string) *browser {
	u, _ := url.Parse(b.w.wechat.URL)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: wechattest.PlayerCookie, Value: player, Path: "/"}})
	return b
}

// stay makes the browser show redirects instead of following them.
func (b *browser) stay() *browser {
	c := *b.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	other := *b
	other.client = &c
	return &other
}

type answer struct {
	*http.Response
	body string
}

func (b *browser) do(method, address string, headers ...string) answer {
	b.w.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.w.front.URL + address
	}
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("User-Agent", b.agent)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return answer{res, string(body)}
}

// open navigates to a page.
func (b *browser) open(address string, headers ...string) answer {
	b.w.t.Helper()
	return b.do(http.MethodGet, address, append([]string{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}, headers...)...)
}

// fetch is a script's call.
func (b *browser) fetch(address string) answer {
	b.w.t.Helper()
	return b.do(http.MethodGet, address, "Accept", "*/*", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors")
}

func (a answer) echoed(t *testing.T) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("the app did not answer: %d %s", a.StatusCode, a.body)
	}
	return e
}

// user is who the app was told is there.
func (a answer) user(t *testing.T) string {
	t.Helper()
	return a.echoed(t).Header.Get("X-Wxgate-User")
}

// cookies are the browser's cookies for the gateway.
func (b *browser) cookies() map[string]string {
	u, _ := url.Parse(b.w.front.URL)
	m := map[string]string{}
	for _, c := range b.client.Jar.Cookies(u) {
		m[c.Name] = c.Value
	}
	return m
}

func (b *browser) setCookie(name, value string) {
	u, _ := url.Parse(b.w.front.URL)
	c := &http.Cookie{Name: name, Value: value, Path: "/"}
	if value == "" {
		c.MaxAge = -1
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{c})
}

// begin starts a login and returns where WeChat would send the browser back,
// without going there.
func (b *browser) begin(next string) (callback string) {
	b.w.t.Helper()
	s := b.stay()
	res := s.open("/.wxgate/login?next=" + url.QueryEscape(next))
	if res.StatusCode != http.StatusFound {
		b.w.t.Fatalf("login answered %d %s", res.StatusCode, res.body)
	}
	res = s.open(res.Header.Get("Location"))
	if res.StatusCode != http.StatusFound {
		b.w.t.Fatalf("WeChat answered %d %s", res.StatusCode, res.body)
	}
	return res.Header.Get("Location")
}

// jsonError reads the error of a script's call.
func (a answer) jsonError(t *testing.T) (e struct {
	Error, Message string
	LoginURL       string `json:"login_url"`
	RequestID      string `json:"request_id"`
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.RequestID == "" || e.Message == "" {
		t.Fatalf("not one of our errors: %d %s", a.StatusCode, a.body)
	}
	return e
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// direct is a client without cookies. Its transport is shared by all tests and
// is not the default one, whose idle connections every httptest.Server drops
// when it closes, those of tests that run beside it too.
var direct = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
