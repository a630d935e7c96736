package clawmachine

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestVerify(t *testing.T) {
	app, keys, now := newApp(t, nil)
	key := keys.first()
	stranger := newKey(t, key.kid) // another key under the published id
	unpublished := newKey(t, "unpublished")
	good := key.sign(t, claimsFor(now.Now(), aliceID, nil))
	with := func(changes jwt.MapClaims) string { return key.sign(t, claimsFor(now.Now(), aliceID, changes)) }
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString

	forHMAC := testKey{"first", jwt.SigningMethodHS256, []byte(keys.first().public["x"].(string)), nil}
	unsigned := testKey{"first", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil}
	noKid := b64([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2]
	tampered := parts[0] + "." + b64([]byte(`{"sub":"`+bobID+`","exp":9999999999,"iss":"`+testIssuer+`","aud":"`+testAudience+`"}`)) + "." + parts[2]

	tests := []struct {
		name, assertion, want string
	}{
		{"good", good, ""},
		{"missing", "", "missing"},
		{"garbage", "garbage", "malformed"},
		{"two dots of garbage", "a.b.c", "malformed"},
		{"forged with another key", stranger.sign(t, claimsFor(now.Now(), aliceID, nil)), "bad_signature"},
		{"claims replaced", tampered, "bad_signature"},
		{"signature cut", parts[0] + "." + parts[1] + "." + parts[2][:40], "bad_signature"},
		{"padded base64", good + "==", "malformed"},
		{"unsigned", unsigned.sign(t, claimsFor(now.Now(), aliceID, nil)), "bad_signature"},
		{"HMAC with public material", forHMAC.sign(t, claimsFor(now.Now(), aliceID, nil)), "bad_signature"},
		{"unknown key", unpublished.sign(t, claimsFor(now.Now(), aliceID, nil)), "unknown_key"},
		{"no key id", noKid, "unknown_key"},
		{"key of another kind", testKey{"unusable", key.method, key.private, nil}.sign(t, claimsFor(now.Now(), aliceID, nil)), "unknown_key"},
		{"expired", with(jwt.MapClaims{"exp": now.Now().Unix() - 1}), "expired"},
		{"expires now", with(jwt.MapClaims{"exp": now.Now().Unix()}), "expired"},
		{"no expiry", with(jwt.MapClaims{"exp": nil}), "incomplete"},
		{"not yet valid", with(jwt.MapClaims{"nbf": now.Now().Unix() + 60}), "not_yet_valid"},
		{"other issuer", with(jwt.MapClaims{"iss": "https://evil.example.com"}), "wrong_issuer"},
		{"no issuer", with(jwt.MapClaims{"iss": nil}), "incomplete"},
		{"other audience", with(jwt.MapClaims{"aud": "other.example.com"}), "wrong_audience"},
		{"several audiences, ours among them", with(jwt.MapClaims{"aud": []string{"other", testAudience}}), ""},
		{"no audience", with(jwt.MapClaims{"aud": nil}), "incomplete"},
		{"nobody", with(jwt.MapClaims{"sub": nil}), "incomplete"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := get(t, app, "/api/whoami", test.assertion)
			who := decodeBody[whoami](t, w)
			if who.Reason != test.want || who.Verified != (test.want == "") {
				t.Errorf("verified %v, reason %q (%s), want reason %q", who.Verified, who.Reason, who.Detail, test.want)
			}
			if (who.Player != nil) != who.Verified {
				t.Errorf("player %+v although verified is %v", who.Player, who.Verified)
			}
			wantStatus := http.StatusOK
			if test.want != "" {
				wantStatus = http.StatusUnauthorized
			}
			for _, path := range []string{"/api/shelf", "/play"} {
				// A verified plain GET of /play passes identification and fails to upgrade.
				want := wantStatus
				if path == "/play" && want == http.StatusOK {
					want = http.StatusUpgradeRequired
				}
				if got := get(t, app, path, test.assertion).Code; got != want {
					t.Errorf("%s answered %d, want %d", path, got, want)
				}
			}
		})
	}
}

func TestVerifyRefusesSeveralAssertions(t *testing.T) {
	app, keys, now := newApp(t, nil)
	good := keys.first().sign(t, claimsFor(now.Now(), aliceID, nil))
	r := httptest.NewRequest("GET", "/api/whoami", nil)
	r.Header[assertionHeader] = []string{good, good}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	if who := decodeBody[whoami](t, w); who.Verified || who.Reason != "several" {
		t.Errorf("verified %v, reason %q", who.Verified, who.Reason)
	}
}

func TestVerifyOtherKeyKinds(t *testing.T) {
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	tests := []struct {
		name string
		key  testKey
		want string
	}{
		{"Ed25519", testKey{"ed", jwt.SigningMethodEdDSA, edPrivate, map[string]any{
			"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(edPublic)}}, ""},
		{"RSA", testKey{"rsa", jwt.SigningMethodRS256, rsaKey, map[string]any{
			"kty": "RSA", "kid": "rsa", "n": b64(rsaKey.N.Bytes()), "e": b64(big.NewInt(int64(rsaKey.E)).Bytes())}}, ""},
		{"RSA with a method not listed", testKey{"rsa", jwt.SigningMethodRS512, rsaKey, map[string]any{
			"kty": "RSA", "kid": "rsa", "n": b64(rsaKey.N.Bytes()), "e": b64(big.NewInt(int64(rsaKey.E)).Bytes())}}, "bad_signature"},
		{"a key for encryption", testKey{"ed", jwt.SigningMethodEdDSA, edPrivate, map[string]any{
			"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "enc", "x": b64(edPublic)}}, "unknown_key"},
		{"half a key", testKey{"ed", jwt.SigningMethodEdDSA, edPrivate, map[string]any{
			"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(edPublic[:16])}}, "unknown_key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			app, keys, now := newApp(t, nil)
			keys.publish(test.key)
			who := decodeBody[whoami](t, get(t, app, "/api/whoami", test.key.sign(t, claimsFor(now.Now(), aliceID, nil))))
			if who.Reason != test.want {
				t.Errorf("reason %q (%s), want %q", who.Reason, who.Detail, test.want)
			}
		})
	}
}

func TestKeysAreCachedAndRefetched(t *testing.T) {
	app, keys, now := newApp(t, nil)
	first, second := keys.first(), newKey(t, "second")
	ask := func(k testKey) string {
		t.Helper()
		return decodeBody[whoami](t, get(t, app, "/api/whoami", k.sign(t, claimsFor(now.Now(), aliceID, nil)))).Reason
	}
	expect := func(what string, k testKey, reason string, fetches int) {
		t.Helper()
		if got := ask(k); got != reason {
			t.Errorf("%s: reason %q, want %q", what, got, reason)
		}
		if got := keys.fetched(); got != fetches {
			t.Errorf("%s: %d fetches, want %d", what, got, fetches)
		}
	}

	expect("first request", first, "", 1)
	expect("cached", first, "", 1)
	expect("unknown key at once", second, "unknown_key", 1)
	now.Add(keysRetry)
	expect("unknown key later", second, "unknown_key", 2)
	expect("again too soon", second, "unknown_key", 2)
	keys.publish(second, first)
	now.Add(keysRetry)
	expect("a fresh key", second, "", 3)

	keys.publish(second)
	expect("withdrawn, still cached", first, "", 3)
	now.Add(keysMaxAge)
	expect("withdrawn, noticed", first, "unknown_key", 4)

	keys.setDown(true)
	now.Add(keysMaxAge)
	expect("gateway down, keys kept", second, "", 5)
	expect("gateway down, not asked again", second, "", 5)
}

func TestNoKeysYet(t *testing.T) {
	app, keys, now := newApp(t, nil)
	keys.setDown(true)
	assertion := keys.first().sign(t, claimsFor(now.Now(), aliceID, nil))
	if who := decodeBody[whoami](t, get(t, app, "/api/whoami", assertion)); who.Reason != "keys_unavailable" {
		t.Errorf("reason %q, want keys_unavailable", who.Reason)
	}
	keys.setDown(false)
	now.Add(keysRetry)
	if who := decodeBody[whoami](t, get(t, app, "/api/whoami", assertion)); !who.Verified {
		t.Errorf("not verified after the gateway came back: %s", who.Detail)
	}
}

func TestOneFetchForMany(t *testing.T) {
	app, keys, now := newApp(t, nil)
	assertion := keys.first().sign(t, claimsFor(now.Now(), aliceID, nil))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if code := get(t, app, "/api/shelf", assertion).Code; code != http.StatusOK {
				t.Errorf("status %d", code)
			}
		})
	}
	all.Wait()
	if n := keys.fetched(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestNewRefusesToTrustAnybody(t *testing.T) {
	full := Config{JWKSURL: "http://127.0.0.1:1/jwks.json", Issuer: testIssuer, Audience: testAudience}
	for _, blank := range []func(*Config){
		func(c *Config) { c.JWKSURL = "" }, func(c *Config) { c.Issuer = "" }, func(c *Config) { c.Audience = "" },
	} {
		c := full
		blank(&c)
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v) succeeded", c)
		}
	}
}

func TestDisplayName(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "小美", "小美"},
		{"markup stays text", "<script>", "<script>"},
		{"control and direction characters", "a\x00b\u202ec\n", "abc"},
		{"family emoji", "\U0001F468\u200d\U0001F469", "\U0001F468\u200d\U0001F469"},
		{"broken UTF-8", "a\xffb", "ab"},
		{"only spaces", "  \t ", ""},
		{"long", strings.Repeat("长", 3000), strings.Repeat("长", 19) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := displayName(test.in); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlayerNames(t *testing.T) {
	app, keys, now := newApp(t, func(c *Config) { c.DefaultName = func(id string) string { return "玩家" + id[:3] } })
	tests := []struct {
		name    string
		changes jwt.MapClaims
		want    playerJSON
	}{
		{"profile", jwt.MapClaims{"name": "小美", "picture": "https://img.example.com/a.png"},
			playerJSON{ID: aliceID, Name: "小美", Avatar: "https://img.example.com/a.png", Named: true}},
		{"no profile", nil, playerJSON{ID: aliceID, Name: "玩家ali"}},
		{"name of nothing", jwt.MapClaims{"name": "\u202e \u202d"}, playerJSON{ID: aliceID, Name: "玩家ali"}},
		{"odd picture", jwt.MapClaims{"picture": "javascript:alert(1)"}, playerJSON{ID: aliceID, Name: "玩家ali"}},
		{"snapshot visitor", jwt.MapClaims{"sub": "visitor", "snapshot": true},
			playerJSON{ID: "visitor", Name: "游客", Visitor: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assertion := keys.first().sign(t, claimsFor(now.Now(), aliceID, test.changes))
			who := decodeBody[whoami](t, get(t, app, "/api/whoami", assertion))
			if who.Player == nil || *who.Player != test.want {
				t.Errorf("got %+v, want %+v", who.Player, test.want)
			}
		})
	}
}

func TestWhoamiShowsTheRequest(t *testing.T) {
	app, keys, now := newApp(t, nil)
	r := httptest.NewRequest("GET", "/api/whoami", nil)
	r.Host = "play.example.com"
	raw := newKey(t, "forged").sign(t, claimsFor(now.Now(), bobID, nil))
	for name, value := range map[string]string{
		assertionHeader: raw, "X-Wxgate-User": bobID, "X-Wxgate-Name": "%E5%B0%8F", "X-Real-Ip": "192.0.2.7",
		"X-Forwarded-For": "192.0.2.7", "Traceparent": "00-1-2-01", "Cookie": "demo_visitor=secret-value; other=1", "Accept": "*/*",
	} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "secret-value") {
		t.Error("a cookie's value is shown")
	}
	who := decodeBody[whoami](t, w)
	if who.Verified {
		t.Error("forged assertion verified")
	}
	if who.Assertion == nil || who.Assertion.Raw != raw || !strings.Contains(string(who.Assertion.Claims), bobID) ||
		!strings.Contains(string(who.Assertion.Header), "forged") {
		t.Errorf("forged assertion not shown: %+v", who.Assertion)
	}
	got := make(map[string]string)
	for _, h := range who.Headers {
		got[h.Name] = h.Group
	}
	want := map[string]string{
		"Host": "client", assertionHeader: "identity", "X-Wxgate-User": "identity", "X-Wxgate-Name": "identity",
		"X-Real-Ip": "client", "X-Forwarded-For": "client", "Traceparent": "request",
	}
	for name, group := range want {
		if got[name] != group {
			t.Errorf("header %s in group %q, want %q", name, got[name], group)
		}
	}
	if len(got) != len(want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if len(who.Cookies) != 2 || who.Cookies[0] != "demo_visitor" {
		t.Errorf("cookies %v", who.Cookies)
	}
	if who.Checked.JWKS != keys.URL || who.Checked.Issuer != testIssuer || who.Checked.Audience != testAudience {
		t.Errorf("checked %+v", who.Checked)
	}
	if keys.fetched() != 1 {
		t.Errorf("%d fetches", keys.fetched())
	}
}
