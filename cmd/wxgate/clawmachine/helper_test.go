package clawmachine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	testIssuer   = "https://play.example.com"
	testAudience = "play.example.com"
	aliceID      = "aliceaaaaaaaaaaaaaaaaaaaaa"
	bobID        = "bobbbbbbbbbbbbbbbbbbbbbbbb"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 5, 20, 13, 14, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// authority stands for the gateway's keys: it signs, and publishes at URL.
type authority struct {
	URL string

	mu      sync.Mutex
	keys    []testKey // published
	fetches int
	down    bool
}

type testKey struct {
	kid     string
	method  jwt.SigningMethod
	private any
	public  map[string]any
}

func newAuthority(t *testing.T) *authority {
	a := &authority{keys: []testKey{newKey(t, "first")}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.fetches++
		if a.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		set := []map[string]any{{"kty": "oct", "kid": "unusable", "k": "c2VjcmV0"}}
		for _, k := range a.keys {
			set = append(set, k.public)
		}
		json.NewEncoder(w).Encode(map[string]any{"keys": set})
	}))
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

func newKey(t *testing.T, kid string) testKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return testKey{kid, jwt.SigningMethodES256, key, map[string]any{
		"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": b64(point[1:33]), "y": b64(point[33:]),
	}}
}

func (a *authority) publish(keys ...testKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = keys
}

func (a *authority) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *authority) fetched() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fetches
}

func (a *authority) first() testKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keys[0]
}

func (k testKey) sign(t *testing.T, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(k.method, c)
	token.Header["kid"] = k.kid
	s, err := token.SignedString(k.private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claimsFor is what the gateway says of a person; changes are applied on top, nil deletes.
func claimsFor(now time.Time, id string, changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": testIssuer, "aud": testAudience, "sub": id, "jti": "j1", "sid": "s1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Add(-time.Hour).Unix(),
		"wechat": map[string]any{
			"channel": "mp", "appid": "wx1234567890abcdef", "openid": "o-" + id[:6], "unionid": "u-" + id[:6], "scope": "snsapi_base",
		},
		"yunxin": map[string]any{"accid": id},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// newApp starts an app that trusts the authority. Its clock and ticks are the test's.
func newApp(t *testing.T, change func(*Config)) (app *App, keys *authority, now *clock) {
	t.Helper()
	keys, now = newAuthority(t), newClock()
	c := Config{JWKSURL: keys.URL, Issuer: testIssuer, Audience: testAudience, now: now.Now, seed: 7}
	if change != nil {
		change(&c)
	}
	app, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	return app, keys, now
}

// get asks the app as whoever the assertion names; an empty one is left out.
func get(t *testing.T, app http.Handler, path, assertion string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	if assertion != "" {
		r.Header.Set(assertionHeader, assertion)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w
}

func decodeBody[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return v
}
