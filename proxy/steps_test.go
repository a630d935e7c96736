package proxy

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat/wechattest"
)

// settled is how long what was ended or changed may still be served.
const settled = 5 * time.Second

func secretOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// worldSecret is the one that newWorld uses.
var worldSecret = secretOf("a secret of the tests")

// keyed gives a replica these secrets, newest first, and these lives.
func (w *world) keyed(ttl, idle, assertion time.Duration, secrets ...[]byte) option {
	return w.timed(w.clock.now, ttl, idle, assertion, secrets...)
}

// timed is keyed with another clock.
func (w *world) timed(now func() time.Time, ttl, idle, assertion time.Duration, secrets ...[]byte) option {
	return func(c *Config) {
		var err error
		if c.Sessions, err = session.NewManager(session.Config{Store: w.store, Secrets: secrets, TTL: ttl, Idle: idle, Now: now}); err != nil {
			panic(err)
		}
		if c.Signer, err = identity.NewSigner(identity.SignerConfig{
			Secrets: secrets, Issuer: w.front.URL, Audience: c.PublicURL.Host, TTL: assertion, Now: now,
		}); err != nil {
			panic(err)
		}
		c.Yunxin.Secrets = secrets
		c.Now = now
	}
}

// rotated gives a replica other secrets.
func (w *world) rotated(secrets ...[]byte) option {
	return w.keyed(720*time.Hour, 168*time.Hour, 5*time.Minute, secrets...)
}

func (w *world) replica(i int) *Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replicas[i]
}

func (w *world) upstreamURL() string { return w.replica(0).cfg.Upstreams[0].URL.String() }

// restart replaces all replicas by a new one on the same store.
func (w *world) restart(opts ...option) *Server {
	w.t.Helper()
	g := w.add(w.upstreamURL(), opts...)
	w.route(g)
	return g
}

// route sends all requests to these replicas from now on.
func (w *world) route(replicas ...*Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = replicas
}

// steps sums a login step over the replicas.
func (w *world) steps(replicas []*Server, step string) (n float64) {
	for _, g := range replicas {
		n += g.metric(w.t, `wxgate_logins_total{channel="mp",step="`+step+`"}`)
	}
	return n
}

// metric is one value of a replica's metrics page, 0 if it is not there.
func (s *Server) metric(t *testing.T, name string) float64 {
	t.Helper()
	rec := httptest.NewRecorder()
	s.Admin().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(rec.Body.String()) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// at asks one replica directly, as this browser would, and keeps its cookies.
func (b *browser) at(g *Server, address string, headers ...string) *httptest.ResponseRecorder {
	rec := b.peek(g, address, headers...)
	u, _ := url.Parse(b.w.front.URL)
	b.client.Jar.SetCookies(u, rec.Result().Cookies())
	return rec
}

// peek is at without keeping the cookies.
func (b *browser) peek(g *Server, address string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, strings.TrimPrefix(address, b.w.front.URL), nil)
	r.Host = strings.TrimPrefix(b.w.front.URL, "http://")
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Cookie", b.cookieHeader())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, r)
	return rec
}

func (b *browser) cookieHeader() string {
	var pairs []string
	for name, value := range b.cookies() {
		pairs = append(pairs, name+"="+value)
	}
	return strings.Join(pairs, "; ")
}

// tab is another tab of the same browser. It follows as many redirects as
// Chromium.
func (b *browser) tab() *browser {
	other := b.w.browser(b.agent)
	other.client.Jar = b.client.Jar
	other.client.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > 20 {
			return errors.New("redirected for ever")
		}
		return nil
	}
	return other
}

// asked counts how often the browser asked for a path of the gateway.
func (b *browser) asked(path string) (n int) {
	for _, address := range b.trail {
		if u, err := url.Parse(address); err == nil && b.w.front.URL == u.Scheme+"://"+u.Host && u.Path == path {
			n++
		}
	}
	return n
}

// login makes a session for the browser and returns its user.
func (b *browser) login() string {
	b.w.t.Helper()
	return b.open("/").user(b.w.t)
}

// sessionOf is the session cookie that an answer sets, "" for none.
func sessionOf(r *http.Response) string {
	for _, c := range r.Cookies() {
		if c.Name == "wxgate" {
			return c.Value
		}
	}
	return ""
}

// with calls as a script that has this session cookie and no other.
func (w *world) with(token, path string) answer {
	w.t.Helper()
	b := w.browser(iPhone)
	b.setCookie("wxgate", token)
	return b.fetch(path)
}

var requestIDForm = regexp.MustCompile(`<code translate="no">([a-z2-7]{16})</code>`)

// page checks that an answer is one of our pages, complete and of this status,
// and shows the text of its title.
func (a answer) page(t *testing.T, status int, id pageID) {
	t.Helper()
	title := pageTopics[id].zh.Title
	found := requestIDForm.FindStringSubmatch(a.body)
	switch {
	case a.StatusCode != status || !strings.Contains(a.body, "<h1>"+html.EscapeString(title)+"</h1>"):
		t.Fatalf("%s answered %d, want %d with the page %s:\n%.2000s", a.Request.URL, a.StatusCode, status, id, text(a.body))
	case found == nil || found[1] != a.Header.Get("X-Request-Id"):
		t.Errorf("page %s shows request id %q, the header %q", id, found, a.Header.Get("X-Request-Id"))
	case a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer":
		t.Errorf("page %s may be cached, or its address told to others: %v", id, a.Header)
	}
}

var (
	noise  = regexp.MustCompile(`(?s)<style.*?</style>|<svg.*?</svg>|<[^>]*>`)
	button = regexp.MustCompile(`<a class="(?:button|quiet)" href="([^"]*)"`)
)

// text is what is left of a page without its markup.
func text(page string) string {
	return strings.Join(strings.Fields(noise.ReplaceAllString(page, " ")), " ")
}

// button is where the page's first link leads, "" if it has none.
func (a answer) button() string {
	m := button.FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// authorizes counts the visits to WeChat's authorize page.
func (w *world) authorizes() int { return len(w.wechat.Calls("/connect/oauth2/authorize")) }

// oncePerCode checks that no code was exchanged twice and that there were so
// many exchanges in all.
func (w *world) oncePerCode(t *testing.T, want int) {
	t.Helper()
	codes := w.wechat.Exchanges()
	for code, n := range codes {
		if n > 1 {
			t.Errorf("code %.6s… was exchanged %d times", code, n)
		}
	}
	if len(codes) != want {
		t.Errorf("%d codes were exchanged, want %d", len(codes), want)
	}
}

// codeOf is the code in a callback address.
func codeOf(callback string) string {
	u, _ := url.Parse(callback)
	return u.Query().Get("code")
}

// held lets exchanges begin and not end. The first channel says that one has
// begun; closing the second lets all of them go on.
func (w *world) held(f wechattest.Fault) (reached <-chan struct{}, release func()) {
	began, hold := make(chan struct{}, 100), make(chan struct{})
	f.Times = cmp.Or(f.Times, 1)
	f.Hold = hold
	f.Reached = func() { began <- struct{}{} }
	w.wechat.Inject(wechattest.AccessTokenPath, f)
	release = sync.OnceFunc(func() { close(hold) })
	w.t.Cleanup(release)
	return began, release
}
