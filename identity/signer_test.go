package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const (
	issuer   = "https://play.example.com"
	audience = "play.example.com"
	userID   = "aaaaaaaaaaaaaaaaaaaaaaaaae"
)

func secret(fill byte) []byte { return []byte(strings.Repeat(string([]byte{fill}), secretLen)) }

func newTestSigner(t testing.TB, c SignerConfig) *Signer {
	t.Helper()
	c.Issuer, c.Audience = issuer, audience
	if c.Now == nil {
		c.Now = func() time.Time { return t0.Add(300 * time.Millisecond) }
	}
	s, err := NewSigner(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fullClaims() Claims {
	return Claims{
		Subject: userID, SessionID: "c2lk", AuthTime: jwt.NewNumericDate(t0.Add(-time.Hour)),
		Name: "安 <娜>", Picture: "https://thirdwx.qlogo.cn/mmopen/x/132", MergedFrom: []string{"bbbbbbbbbbbbbbbbbbbbbbbbbe"},
		WeChat: &WeChatClaim{ChannelMP, "wx1", "o1", "u1", "snsapi_base"}, Yunxin: &YunxinClaim{userID},
	}
}

// publicKeys reads a JWK set with nothing but the standard library.
func publicKeys(t testing.TB, jwks []byte) (kids []string, keys map[string]crypto.PublicKey) {
	t.Helper()
	var set struct {
		Keys []map[string]string
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	keys = map[string]crypto.PublicKey{}
	for _, k := range set.Keys {
		part := func(name string) []byte {
			b, err := base64.RawURLEncoding.Strict().DecodeString(k[name])
			if err != nil || len(b) == 0 {
				t.Fatalf("member %s of %v: %v", name, k, err)
			}
			return b
		}
		var key crypto.PublicKey
		var wantAlg string
		switch k["kty"] + " " + k["crv"] {
		case "EC P-256":
			x, y := part("x"), part("y")
			p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
			if err != nil {
				t.Fatal(err)
			}
			key, wantAlg = p, "ES256"
		case "OKP Ed25519":
			key, wantAlg = ed25519.PublicKey(part("x")), "EdDSA"
		case "RSA ":
			key, wantAlg = &rsa.PublicKey{N: new(big.Int).SetBytes(part("n")), E: int(new(big.Int).SetBytes(part("e")).Int64())}, "RS256"
		default:
			t.Fatalf("unknown key %v", k)
		}
		if k["alg"] != wantAlg || k["use"] != "sig" || k["d"]+k["p"] != "" {
			t.Errorf("key %v", k)
		}
		kids = append(kids, k["kid"])
		keys[k["kid"]] = key
	}
	return kids, keys
}

// verifyPlain checks a token with nothing but the standard library and returns its two JSON parts.
func verifyPlain(t testing.TB, token string, keys map[string]crypto.PublicKey) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token %q", token)
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = b
	}
	if err := errors.Join(json.Unmarshal(raw[0], &header), json.Unmarshal(raw[1], &claims)); err != nil {
		t.Fatal(err)
	}
	signed := []byte(parts[0] + "." + parts[1])
	sum := sha256.Sum256(signed)
	ok, alg := false, ""
	switch key := keys[header["kid"].(string)].(type) {
	case *ecdsa.PublicKey:
		if len(raw[2]) == 64 {
			ok, alg = ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:])), "ES256"
		}
	case ed25519.PublicKey:
		ok, alg = ed25519.Verify(key, signed, raw[2]), "EdDSA"
	case *rsa.PublicKey:
		ok, alg = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw[2]) == nil, "RS256"
	}
	if !ok || header["alg"] != alg || header["typ"] != "JWT" || len(header) != 3 {
		t.Fatalf("signature good: %v; header %v", ok, header)
	}
	return header, claims
}

// verifyStrict checks a token the way the documentation advises apps to.
func verifyStrict(token string, keys map[string]crypto.PublicKey, now time.Time, alg string) (*Claims, error) {
	p := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuer(issuer),
		jwt.WithAudience(audience), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
	var c Claims
	_, err := p.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		key, ok := keys[t.Header["kid"].(string)]
		if !ok {
			return nil, errors.New("unknown kid")
		}
		return key, nil
	})
	return &c, err
}

func TestSign(t *testing.T) {
	s := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(1)}})
	_, keys := publicKeys(t, s.JWKS())
	token, expires, err := s.Sign(fullClaims())
	if err != nil {
		t.Fatal(err)
	}
	_, claims := verifyPlain(t, token, keys)
	jti, _ := claims["jti"].(string)
	if !ValidID(jti) {
		t.Errorf("jti %q", jti)
	}
	delete(claims, "jti")
	const want = `{"iss":"https://play.example.com","aud":"play.example.com","sub":"aaaaaaaaaaaaaaaaaaaaaaaaae","iat":1772366400,"nbf":1772366400,"exp":1772366700,
		"sid":"c2lk","auth_time":1772362800,"name":"安 <娜>","picture":"https://thirdwx.qlogo.cn/mmopen/x/132","merged_from":["bbbbbbbbbbbbbbbbbbbbbbbbbe"],
		"wechat":{"channel":"mp","appid":"wx1","openid":"o1","unionid":"u1","scope":"snsapi_base"},"yunxin":{"accid":"aaaaaaaaaaaaaaaaaaaaaaaaae"}}`
	var wantClaims map[string]any
	if err := json.Unmarshal([]byte(want), &wantClaims); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantClaims, claims); diff != "" {
		t.Error(diff)
	}
	if expires.Unix() != 1772366700 {
		t.Errorf("expires %v", expires)
	}
	c, err := verifyStrict(token, keys, t0.Add(time.Second), "ES256")
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "安 <娜>" || c.WeChat.OpenID != "o1" || !c.AuthTime.Equal(t0.Add(-time.Hour)) {
		t.Errorf("read back: %+v", c)
	}
	if token2, _, _ := s.Sign(fullClaims()); token2 == token {
		t.Error("two tokens are equal")
	}
	for _, tt := range []struct {
		name string
		now  time.Time
		want error
	}{
		{"before", t0.Add(-time.Second), jwt.ErrTokenNotValidYet},
		{"last moment", expires.Add(-time.Nanosecond), nil},
		{"expired", expires, jwt.ErrTokenExpired},
	} {
		if _, err := verifyStrict(token, keys, tt.now, "ES256"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestSignEmptyClaimsAreLeftOut(t *testing.T) {
	s := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(1)}})
	_, keys := publicKeys(t, s.JWKS())
	for _, tt := range []struct {
		claims Claims
		want   []string
		sub    string
	}{
		{Claims{Subject: userID, WeChat: &WeChatClaim{Channel: ChannelMP}}, []string{"wechat"}, userID},
		{Claims{Snapshot: true}, []string{"snapshot"}, VisitorSubject},
		{Claims{Snapshot: true, Subject: VisitorSubject, Issuer: "evil", Audience: "evil", ID: "evil"}, []string{"snapshot"}, VisitorSubject},
	} {
		token, _, err := s.Sign(tt.claims)
		if err != nil {
			t.Fatal(err)
		}
		_, got := verifyPlain(t, token, keys)
		if got["sub"] != tt.sub || got["iss"] != issuer || got["aud"] != audience || got["jti"] == "evil" {
			t.Errorf("%v", got)
		}
		for _, name := range []string{"iss", "aud", "sub", "iat", "nbf", "exp", "jti"} {
			if _, ok := got[name]; !ok {
				t.Errorf("no %s", name)
			}
			delete(got, name)
		}
		for _, name := range tt.want {
			if _, ok := got[name]; !ok {
				t.Errorf("no %s", name)
			}
			delete(got, name)
		}
		if len(got) != 0 {
			t.Errorf("also %v", got)
		}
	}
	if got, err := json.Marshal(&WeChatClaim{Channel: ChannelMP}); err != nil || string(got) != `{"channel":"mp"}` {
		t.Errorf("%s, %v", got, err)
	}
	for _, c := range []Claims{{}, {Subject: "x"}, {Subject: VisitorSubject}, {Subject: userID, Snapshot: true}} {
		if token, _, err := s.Sign(c); err == nil || token != "" {
			t.Errorf("%+v was signed", c)
		}
	}
}

// The life counts from iat, in whole seconds, and is never so short that an assertion is born expired.
func TestSignLife(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Nanosecond, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond, time.Hour} {
		for _, offset := range []time.Duration{0, 1, 500 * time.Millisecond, 999999999} {
			now := t0.Add(offset)
			s := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(1)}, TTL: ttl, Now: func() time.Time { return now }})
			want := ttl
			if ttl == 0 {
				want = 5 * time.Minute
			}
			_, expires, err := s.Sign(Claims{Subject: userID})
			if err != nil {
				t.Fatal(err)
			}
			want = max((want + time.Second - 1).Truncate(time.Second), 3*time.Second)
			if life := expires.Sub(now.Truncate(time.Second)); life != want {
				t.Errorf("life %v at offset %v, want %v", life, offset, want)
			}
		}
	}
}

// With lists of secrets that overlap, each replica's assertions verify with the keys that the other publishes.
func TestSignerRotation(t *testing.T) {
	before := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(1)}})
	prepared := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(1), secret(2)}})
	turned := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(2), secret(1), secret(2)}})
	after := newTestSigner(t, SignerConfig{Secrets: [][]byte{secret(2)}})
	accepts := func(reader, writer *Signer) bool {
		token, _, err := writer.Sign(Claims{Subject: userID})
		if err != nil {
			t.Fatal(err)
		}
		_, keys := publicKeys(t, reader.JWKS())
		_, err = verifyStrict(token, keys, t0.Add(time.Second), "ES256")
		return err == nil
	}
	steps := []*Signer{before, prepared, turned, after}
	for i := range steps[1:] {
		if i > 0 && !accepts(steps[i], steps[i+1]) || !accepts(steps[i+1], steps[i]) && i < 2 {
			t.Errorf("steps %d and %d do not overlap", i, i+1)
		}
	}
	if accepts(before, after) || accepts(after, before) {
		t.Error("a dropped secret still counts")
	}
	kids, keys := publicKeys(t, turned.JWKS())
	if len(kids) != 2 || len(keys) != 2 {
		t.Errorf("kids %v, want two different ones", kids)
	}
	token, _, _ := turned.Sign(Claims{Subject: userID})
	if header, _ := verifyPlain(t, token, keys); header["kid"] != kids[0] {
		t.Errorf("signed by %v, want the first of %v", header["kid"], kids)
	}
	jwks := turned.JWKS()
	jwks[0] = 'x'
	if turned.JWKS()[0] != '{' {
		t.Error("JWKS hands out its own bytes")
	}
}

func TestSignerRefusals(t *testing.T) {
	ok := SignerConfig{Secrets: [][]byte{secret(1)}, Issuer: issuer, Audience: audience}
	for name, change := range map[string]func(*SignerConfig){
		"no issuer":    func(c *SignerConfig) { c.Issuer = "" },
		"no audience":  func(c *SignerConfig) { c.Audience = "" },
		"negative TTL": func(c *SignerConfig) { c.TTL = -1 },
		"no keys":      func(c *SignerConfig) { c.Secrets = nil },
		"empty secret": func(c *SignerConfig) { c.Secrets = [][]byte{secret(1), {}} },
		"short secret": func(c *SignerConfig) { c.Secrets = [][]byte{secret(1)[:31]} },
		"long secret":  func(c *SignerConfig) { c.Secrets = [][]byte{append(secret(1), 0)} },
		"bad PEM":      func(c *SignerConfig) { c.PEM = []byte("x") },
	} {
		c := ok
		change(&c)
		if s, err := NewSigner(c); err == nil || s != nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := NewSigner(ok); err != nil {
		t.Error(err)
	}
	c := ok
	c.Secrets = [][]byte{secret(1), secret('S')[:20]}
	if _, err := NewSigner(c); err == nil || !strings.Contains(err.Error(), "secret 2 has 20 bytes") || strings.Contains(err.Error(), "SS") {
		t.Errorf("%v", err)
	}
}

func BenchmarkSign(b *testing.B) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	for _, bm := range []struct {
		name string
		c    SignerConfig
	}{
		{"ES256", SignerConfig{Secrets: [][]byte{secret(1)}}},
		{"EdDSA", SignerConfig{PEM: pkcs8(b, edKey)}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s := newTestSigner(b, bm.c)
			c := fullClaims()
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Sign(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
