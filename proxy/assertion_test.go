package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"wxgate/identity"
)

// verifier checks assertions as an app would, with a published key set.
func verifier(t *testing.T, w *world, jwks string) func(token string) (identity.Claims, error) {
	t.Helper()
	var set struct {
		Keys []struct{ Kty, Crv, Kid, Use, Alg, X, Y string }
	}
	if err := json.Unmarshal([]byte(jwks), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("no key set: %v in %s", err, jwks)
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if k.Kty != "EC" || k.Crv != "P-256" || k.Use != "sig" || k.Alg != "ES256" || errX != nil || errY != nil {
			t.Fatalf("key %+v", k)
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			t.Fatal(err)
		}
		keys[k.Kid] = key
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer(w.front.URL), jwt.WithAudience(strings.TrimPrefix(w.front.URL, "http://")), jwt.WithTimeFunc(w.clock.now))
	return func(token string) (c identity.Claims, err error) {
		parsed, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
			kid, _ := t.Header["kid"].(string)
			if key := keys[kid]; key != nil {
				return key, nil
			}
			return nil, fmt.Errorf("key %q is not published", kid)
		})
		if err == nil && parsed.Header["typ"] != "JWT" {
			err = fmt.Errorf("typ %v", parsed.Header["typ"])
		}
		return c, err
	}
}

// published are the keys that a replica publishes to browsers; those of the
// admin listener have to be the same.
func (g *Server) published(t *testing.T, w *world) string {
	t.Helper()
	open, admin := w.browser(desktop).peek(g, "/.wxgate/jwks.json"), httptest.NewRecorder()
	g.Admin().ServeHTTP(admin, httptest.NewRequest(http.MethodGet, "/jwks.json", nil))
	for _, rec := range []*httptest.ResponseRecorder{open, admin} {
		h := rec.Header()
		if rec.Code != http.StatusOK || h.Get("Content-Type") != "application/jwk-set+json" || !strings.HasPrefix(h.Get("Cache-Control"), "public, max-age=") {
			t.Fatalf("keys are served as %d %v", rec.Code, h)
		}
	}
	if open.Body.String() != admin.Body.String() || strings.Contains(open.Body.String(), `"d"`) {
		t.Fatalf("the listeners publish\n%s\n%s", open.Body, admin.Body)
	}
	return open.Body.String()
}

func TestAssertion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	e := b.open("/x").echoed(t)
	c, err := verifier(t, w, w.replica(0).published(t, w))(e.Header.Get("X-Wxgate-Assertion"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != e.Header.Get("X-Wxgate-User") || len(c.Subject) != 26 || c.Snapshot || c.ID == "" || c.Name != "" {
		t.Errorf("claims %+v", c)
	}
	if want := (identity.WeChatClaim{Channel: "mp", AppID: testAppID, OpenID: w.wechat.OpenID("xiaomei", testAppID), Scope: "snsapi_base"}); *c.WeChat != want {
		t.Errorf("wechat %+v, want %+v", c.WeChat, want)
	}
	if m := b.me(); !c.AuthTime.Equal(m.Session.CreatedAt) {
		t.Errorf("auth_time %v, session of %v", c.AuthTime, m.Session.CreatedAt)
	}
	token := b.cookies()["wxgate"]
	if c.SessionID == "" || strings.Contains(token, c.SessionID) || strings.Contains(c.SessionID, token) {
		t.Errorf("sid %q", c.SessionID)
	}
	// The same person on another browser: another session, the same user.
	other := claims(t, w.browser(android).open("/x").echoed(t).Header.Get("X-Wxgate-Assertion"))
	if other.Subject != c.Subject || other.SessionID == c.SessionID || other.ID == c.ID {
		t.Errorf("the second session says %+v, the first %+v", other, c)
	}
	if res := b.do(http.MethodHead, "/.wxgate/jwks.json"); res.StatusCode != http.StatusOK || res.ContentLength <= 0 || res.body != "" {
		t.Errorf("HEAD: %d, %d bytes", res.StatusCode, res.ContentLength)
	}
}

// What is known about a user changes; a young assertion is no reason to go on
// with what was.
func TestAssertionFollowsTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	first := b.open("/x").echoed(t)
	_, err := w.replica(0).cfg.Users.Update(t.Context(), first.Header.Get("X-Wxgate-User"), func(u *identity.User) error {
		u.Profile, u.Aliases = &identity.Profile{Name: "小美"}, []string{"aaaaaaaaaaaaaaaaaaaaaaaaaa"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(settled)
	second := b.fetch("/x").echoed(t)
	if c := claims(t, second.Header.Get("X-Wxgate-Assertion")); c.Name != "小美" || len(c.MergedFrom) != 1 || second.Header.Get("X-Wxgate-Name") != "%E5%B0%8F%E7%BE%8E" {
		t.Errorf("the app is told %q and %+v", second.Header, c)
	}
	w.clock.advance(settled)
	if third := b.fetch("/x").echoed(t); third.Header.Get("X-Wxgate-Assertion") != second.Header.Get("X-Wxgate-Assertion") {
		t.Error("signed again without need")
	}
}

func TestOnlyTheAssertion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.PlainHeaders = false })
	e := w.browser(iPhone).open("/x").echoed(t)
	for name := range e.Header {
		if strings.HasPrefix(name, "X-Wxgate-") && name != "X-Wxgate-Assertion" {
			t.Errorf("%s is sent", name)
		}
	}
	if len(claims(t, e.Header.Get("X-Wxgate-Assertion")).Subject) != 26 {
		t.Error("no assertion")
	}
}

func TestForwardedAssertionHasHalfOfItsLife(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{2 * time.Second, 30 * time.Second, 5 * time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			t.Parallel()
			// A clock that stands still while a request is on its way.
			var at atomic.Int64
			at.Store(time.Now().UnixNano())
			now := func() time.Time { return time.Unix(0, at.Load()) }
			var mu sync.Mutex
			worst, signed := time.Hour, map[string]bool{}
			app := func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				token := r.Header.Get("X-Wxgate-Assertion")
				signed[token] = true
				c := claims(t, token)
				worst = min(worst, c.ExpiresAt.Sub(now())-max(ttl, c.ExpiresAt.Sub(c.IssuedAt.Time))/2)
				if c.IssuedAt.After(now()) || c.NotBefore.After(now()) {
					t.Errorf("issued at %v, it is %v", c.IssuedAt, now())
				}
			}
			w := newWorld(t, 1, app)
			g := w.restart(w.timed(now, 720*time.Hour, 168*time.Hour, ttl, worldSecret))
			b := w.browser(iPhone)
			b.open("/")
			random := rand.New(rand.NewPCG(1, uint64(ttl)))
			requests := 0
			for end := now().Add(20 * time.Minute); now().Before(end); requests++ {
				if rec := b.peek(g, "/x", "Sec-Fetch-Dest", "empty"); rec.Code != http.StatusOK {
					t.Fatalf("answered %d %s", rec.Code, rec.Body)
				}
				at.Add(int64(time.Second) + random.Int64N(int64(3*time.Second)))
			}
			if worst < 0 {
				t.Errorf("one had %v less than half of its life left", -worst)
			}
			// Signing is dear: not more often than the life demands.
			if most := int(20*time.Minute/max(ttl/2-cacheLife, time.Second)) + 5; len(signed) > min(most, requests+2) {
				t.Errorf("%d signatures for %d requests, at most %d are needed", len(signed), requests, most)
			}
		})
	}
}

func TestRotationOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	before := b.open("/x").echoed(t)
	user, oldToken := before.Header.Get("X-Wxgate-User"), before.Header.Get("X-Wxgate-Assertion")
	old := w.replica(0)
	rotated := w.restart(w.rotated(secretOf("new"), worldSecret))
	after := b.stay().open("/x").echoed(t)
	newToken := after.Header.Get("X-Wxgate-Assertion")
	if after.Header.Get("X-Wxgate-User") != user {
		t.Error("the rotation ended a session")
	}
	// An app that fetched the new key set verifies what old replicas still send.
	verify := verifier(t, w, rotated.published(t, w))
	for _, token := range []string{oldToken, newToken} {
		if c, err := verify(token); err != nil || c.Subject != user {
			t.Errorf("subject %q, %v", c.Subject, err)
		}
	}
	if _, err := verifier(t, w, old.published(t, w))(newToken); err == nil {
		t.Error("the new secret is not used for signing")
	}
	// A careful operator announces the new secret first.
	announced := w.restart(w.rotated(worldSecret, secretOf("new")))
	if _, err := verifier(t, w, announced.published(t, w))(newToken); err != nil {
		t.Errorf("announced key: %v", err)
	}
	// Both replicas serve sessions of either.
	fresh := w.browser(android).as("aqiang")
	w.route(rotated)
	mine := fresh.login()
	w.route(announced)
	if fresh.stay().open("/x").user(t) != mine || b.stay().open("/x").user(t) != user {
		t.Error("a replica with the other order refuses a session")
	}
	// Without the old secret its sessions are over, quietly.
	w.restart(w.rotated(secretOf("new")))
	if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session of a withdrawn secret gets %d", res.StatusCode)
	}
	if b.open("/x").user(t) != user {
		t.Error("the person became another user")
	}
	if fresh.stay().open("/x").user(t) != mine {
		t.Error("a session of the secret that stays has ended")
	}
}
