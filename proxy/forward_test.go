package proxy

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestUploadsAndDownloadsStream(t *testing.T) {
	seen, next := make(chan string), make(chan string)
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 3)
		for {
			n, err := io.ReadFull(r.Body, buf)
			if err != nil {
				break
			}
			seen <- string(buf[:n])
		}
		for text := range next {
			io.WriteString(rw, text)
			http.NewResponseController(rw).Flush()
		}
	}, rules("public /"))
	body, send := io.Pipe()
	r, _ := http.NewRequest("POST", w.front.URL+"/", body)
	go func() {
		for _, text := range []string{"one", "two", "six"} {
			io.WriteString(send, text)
			if got := <-seen; got != text { // before anything else is sent
				t.Errorf("the app saw %q", got)
			}
		}
		send.Close()
		next <- "eins"
	}()
	res, err := direct.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, 4)
	for _, text := range []string{"eins", "zwei", "drei"} {
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != text {
			t.Fatalf("%q %v", buf, err)
		}
		if text == "eins" {
			next <- "zwei"
		} else if text == "zwei" {
			next <- "drei"
		}
	}
	close(next)
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

type zeros int64

func (z *zeros) Read(p []byte) (int, error) {
	if *z == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(*z))
	*z -= zeros(n)
	return int(n), nil
}

func TestBigBodiesNeedNoMemory(t *testing.T) {
	const size = 64 << 20
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		rw.Header().Set("X-Got", fmt.Sprint(n))
		z := zeros(size)
		io.Copy(rw, &z)
	}, rules("public /"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, length := range []int64{size, -1} {
		z := zeros(size)
		r, _ := http.NewRequest("POST", w.front.URL+"/", io.NopCloser(&z))
		r.ContentLength = length
		res, err := direct.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n != size || err != nil || res.Header.Get("X-Got") != fmt.Sprint(size) {
			t.Errorf("%d down, %s up, %v", n, res.Header.Get("X-Got"), err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
		t.Errorf("%d MB were allocated for four bodies of 64", used>>20)
	}
}

func TestCachingOfPagesWithIdentity(t *testing.T) {
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		if name, value, ok := strings.Cut(r.URL.Query().Get("h"), ":"); ok {
			rw.Header().Set(name, value)
		}
	}, rules("public /pub/"))
	b := w.browser(iPhone)
	b.open("/")
	for query, want := range map[string]string{
		"": "private, no-cache", "h=Last-Modified:Mon,+01+Jan+2018+00:00:00+GMT": "private, no-cache",
		"h=Cache-Control:max-age%3D5": "max-age=5", "h=Cache-Control:": "", "h=Expires:0": "", "h=Pragma:x": "",
	} {
		if got := b.open("/x?" + query).Header.Get("Cache-Control"); got != want {
			t.Errorf("page visit, %s: %q", query, got)
		}
	}
	if got := b.fetch("/x").Header["Cache-Control"]; got != nil {
		t.Errorf("script: %q", got)
	}
	if got := b.do("POST", "/x", "Accept", "text/html").Header["Cache-Control"]; got != nil {
		t.Errorf("POST: %q", got)
	}
	if got := w.browser(iPhone).open("/pub/x").Header["Cache-Control"]; got != nil {
		t.Errorf("anonymous: %q", got)
	}
}

func TestCredentialsForForeignOrigins(t *testing.T) {
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		rw.Header().Set("Access-Control-Allow-Credentials", "true")
	}, rules("public /"), func(c *Config) { c.AllowedOrigins = []string{"https://partner.example"} })
	for origin, kept := range map[string]bool{"https://evil.example": false, "null": false, "https://partner.example": true, w.front.URL: true, "https://PARTNER.example": true, "https://partner.example:8443": false} {
		res := w.browser(desktop).do("GET", "/x", "Origin", origin)
		if got := res.Header.Get("Access-Control-Allow-Credentials") == "true"; got != kept || res.Header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s: %v", origin, res.Header)
		}
	}
}

func TestAppMayWantAProfile(t *testing.T) {
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/open") {
			rw.Header().Set("X-Wxgate-Require", "profile")
			rw.Header().Set("Set-Cookie", "app=1")
		}
		io.WriteString(rw, "name "+r.Header.Get("X-Wxgate-Name"))
	}, rules("public /pub/"))
	b := w.browser(iPhone)
	b.open("/open")
	page := b.stay().open("/me?x=1")
	if loc := page.Header.Get("Location"); page.StatusCode != 302 || loc != w.front.URL+"/.wxgate/login?next=%2Fme%3Fx%3D1&profile=1&needed=1" || page.Header.Get("X-Wxgate-Require") != "" || page.Header.Get("Set-Cookie") != "" {
		t.Errorf("page: %d %v", page.StatusCode, page.Header)
	}
	script := b.fetch("/me")
	if e := script.jsonError(t); script.StatusCode != 403 || e.Error != "profile_required" || !strings.Contains(e.LoginURL, "profile=1") || script.Header.Get("X-Wxgate-Require") != "" {
		t.Errorf("script: %d %+v", script.StatusCode, e)
	}
	if nobody := w.browser(desktop).fetch("/pub/x"); nobody.StatusCode != 200 || nobody.Header.Get("X-Wxgate-Require") != "" {
		t.Errorf("nobody: %d %v", nobody.StatusCode, nobody.Header)
	}
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	consented := b.open("/.wxgate/login?next=/me&profile=1&agreed=1")
	if consented.StatusCode != 200 || !strings.HasPrefix(consented.body, "name %") || consented.Header.Get("X-Wxgate-Require") != "" {
		t.Errorf("with a profile: %d %s", consented.StatusCode, consented.body)
	}
}

func TestPublicRoutes(t *testing.T) {
	w := newWorld(t, 1, nil, rules("public /pub/"))
	b := w.browser(iPhone)
	user := b.open("/").user(t)
	if got := b.fetch("/pub/x").user(t); got != user {
		t.Errorf("with a session: %q", got)
	}
	if got := w.browser(iPhone).fetch("/pub/x").user(t); got != "" {
		t.Errorf("without: %q", got)
	}
	w.clock.advance(2 * time.Minute) // beyond what an outage forgives
	w.store.down.Store(true)
	if got := b.fetch("/pub/x"); got.StatusCode != 200 || got.user(t) != "" {
		t.Errorf("store down: %d %s", got.StatusCode, got.body)
	}
	if got := b.fetch("/x"); got.StatusCode != 503 || got.jsonError(t).Error != "store_unavailable" || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("store down, not public: %d %s", got.StatusCode, got.body)
	}
}

func TestNavigationOrScript(t *testing.T) {
	w := newWorld(t, 1, nil, rules("deny /deny"))
	for _, c := range []struct {
		method string
		header map[string]string
		want   string // page, script, or a redirect to login
	}{
		{"GET", map[string]string{"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}, "redirect"},
		{"HEAD", map[string]string{"Sec-Fetch-Dest": "document"}, "redirect"},
		{"GET", map[string]string{"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, "script"},
		{"GET", map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "text/html"}, "script"},
		{"GET", map[string]string{"Sec-Fetch-Dest": "image", "Accept": "text/html"}, "script"},
		{"GET", map[string]string{"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "cors"}, "script"},
		{"GET", map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, "redirect"},
		{"GET", map[string]string{"Accept": "application/xml, TEXT/HTML;q=0.1"}, "redirect"},
		{"GET", map[string]string{"Accept": "*/*"}, "script"},
		{"GET", nil, "script"},
		{"GET", map[string]string{"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"}, "script"},
		{"GET", map[string]string{"Accept": "text/html", "X-Requested-With": "com.tencent.mm"}, "script"},
		{"GET", map[string]string{"Accept": "text/html", "Upgrade": "websocket"}, "script"},
		{"POST", map[string]string{"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}, "page"},
		{"POST", map[string]string{"Accept": "text/html"}, "page"},
		{"POST", map[string]string{"Accept": "application/json"}, "script"},
	} {
		var fields []string
		for name, value := range c.header {
			fields = append(fields, name, value)
		}
		res := w.browser("none").stay().do(c.method, "/room?seat=1", fields...)
		what := map[int]string{302: "redirect"}[res.StatusCode]
		if res.StatusCode == 401 {
			what = map[bool]string{true: "page", false: "script"}[strings.HasPrefix(res.Header.Get("Content-Type"), "text/html")]
		}
		if what != c.want {
			t.Errorf("%s %v: %d %s, want a %s", c.method, c.header, res.StatusCode, res.Header.Get("Content-Type"), c.want)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %v: %v", c.method, c.header, res.Header)
		}
		if loc := res.Header.Get("Location"); c.want == "redirect" && loc != w.front.URL+"/.wxgate/login?next=%2Froom%3Fseat%3D1" {
			t.Errorf("leads to %s", loc)
		}
		if c.want == "page" && !strings.Contains(res.body, "/.wxgate/login?next=") {
			t.Error("the page offers no login")
		}
	}
	// A target that is an authority in disguise leads to no other origin.
	for _, path := range []string{"//evil.example/x", "//evil.example/%2f..", `/\evil.example`} {
		_, got := w.ask("GET "+path, "Accept: text/html\n")
		if _, loc, _ := strings.Cut(got, "Location: "); statusOf(got) != 302 || !strings.HasPrefix(loc, w.front.URL+"/.wxgate/login?next=%2F") {
			t.Errorf("%s: %s", path, got)
		}
	}
}
