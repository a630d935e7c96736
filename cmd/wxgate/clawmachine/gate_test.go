package clawmachine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"wxgate/yunxin/yunxintest"
)

const yunxinToken = "c239ac17db0ebca1e8aed6b109d7911f" // alice's

// gate stands for the gateway: it adds an identity to every request and answers
// the two endpoints that the page asks.
type gate struct {
	*httptest.Server
	app  *App
	keys *authority

	mu     sync.Mutex
	person string // user id; empty: nobody is logged in
	claims jwt.MapClaims
}

// newGate starts the app, with a machine that ticks this often, and a gate before it.
func newGate(t *testing.T, tick time.Duration) *gate {
	t.Helper()
	g := &gate{keys: newAuthority(t)}
	yunxin := yunxintest.NewServer(yunxintest.Config{})
	t.Cleanup(yunxin.Close)
	yunxin.Add(yunxintest.Account{Accid: aliceID, Token: yunxinToken})
	c := Config{
		JWKSURL: g.keys.URL, Issuer: testIssuer, Audience: testAudience, YunxinLoginURL: yunxin.URL + "/sim/login", seed: 7,
		DefaultName: func(string) string { return "玩家4821" },
		Switcher: Switcher{
			Action:   "/demo/switch",
			Visitors: []Choice{{"mei", "小美（关注了公众号）"}, {"qiang", "阿强（第一次来）"}, {"new", "没有昵称的新朋友"}},
			Clients: []Choice{
				{"iphone", "iPhone 微信"}, {"android", "Android 微信"}, {"windows", "Windows 微信"}, {"macos", "macOS 微信"},
				{"outside", "微信之外的浏览器"},
			},
		},
	}
	c.ticker = func() (<-chan time.Time, func()) {
		ticker := time.NewTicker(tick)
		return ticker.C, ticker.Stop
	}
	app, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.app = app
	behind := httptest.NewServer(app)
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /avatar.svg", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#f9c6d0"/>`+
			`<circle cx="4" cy="3.4" r="1.7" fill="#fff"/><path d="M0 9a4 3.6 0 0 1 8 0z" fill="#fff"/></svg>`)
	})
	mux.HandleFunc("GET /.wxgate/me", func(w http.ResponseWriter, r *http.Request) {
		id, _ := g.now()
		writeJSON(w, 200, map[string]any{
			"user": id, "name": "小美", "channel": "mp", "appid": "wx1234567890abcdef", "openid": "o-" + id[:6], "profile": true,
			"snapshot": false, "yunxin_accid": id,
			"session": map[string]any{"created_at": time.Now().Add(-time.Hour), "expires_at": time.Now().Add(719 * time.Hour)},
		})
	})
	mux.HandleFunc("GET /.wxgate/yunxin", func(w http.ResponseWriter, r *http.Request) {
		id, _ := g.now()
		writeJSON(w, 200, map[string]any{
			"appKey": yunxintest.AppKey, "account": id, "token": yunxinToken, "authType": 0, "nick": "小美",
		})
	})
	mux.HandleFunc("GET /.wxgate/login", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "login, then %s", r.URL.Query().Get("next"))
	})
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetXForwarded()
		p.SetURL(upstream)
		p.Out.Host = p.In.Host
		id, claims := g.now()
		p.Out.Header.Set(assertionHeader, g.keys.first().sign(t, claims))
		p.Out.Header.Set("X-Wxgate-User", id)
		p.Out.Header.Set("X-Wxgate-Channel", "mp")
		p.Out.Header.Set("X-Wxgate-Name", url.PathEscape(fmt.Sprint(claims["name"])))
		p.Out.Header.Set("X-Request-Id", "4c1f0a6b9d2e")
	}})
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, _ := g.now(); id == "" && !strings.HasPrefix(r.URL.Path, "/.wxgate/login") {
			writeJSON(w, 401, map[string]string{
				"error": "login_required", "login_url": "http://" + r.Host + "/.wxgate/login?next=/api/elsewhere",
			})
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Server.Close)
	t.Cleanup(func() { app.Close() })
	g.login(aliceID, jwt.MapClaims{"name": "小美", "picture": g.URL + "/avatar.svg"})
	return g
}

func (g *gate) login(id string, changes jwt.MapClaims) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.person, g.claims = id, nil
	if id != "" {
		g.claims = claimsFor(time.Now(), id, changes)
	}
}

func (g *gate) now() (id string, claims jwt.MapClaims) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.person, g.claims
}

// watch waits until the machine is as wanted, looking after each tick, and lets
// wanted change it. A player's time does not run out meanwhile: a busy test
// machine may take seconds over what a player does in one.
func (g *gate) watch(t *testing.T, wanted func(*machine) bool) {
	t.Helper()
	seat := g.app.room.join(player{id: "watching", name: "watching", visitor: true})
	defer g.app.room.leave(seat)
	timeout := time.After(30 * time.Second)
	for {
		select {
		case <-seat.frames:
		case <-timeout:
			t.Fatal("the machine never got there")
		}
		g.app.room.mu.Lock()
		done := wanted(g.app.room.machine)
		if g.app.room.machine.phase == phaseAim {
			g.app.room.machine.left = aimTicks
		}
		g.app.room.mu.Unlock()
		if done {
			return
		}
	}
}
