package identity

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// SignerConfig configures a [Signer].
type SignerConfig struct {
	// Secrets has 32 bytes each, newest first. A P-256 key is derived from each of them. Required without PEM.
	Secrets [][]byte
	// PEM holds private keys, newest first: P-256 (SEC 1 or PKCS #8), Ed25519 (PKCS #8), RSA of 2048 to 8192 bits (PKCS #1 or
	// PKCS #8). If given, the secrets are not used at all.
	PEM      []byte
	Issuer   string           // required
	Audience string           // required
	TTL      time.Duration    // life of an assertion; default 5 minutes
	Now      func() time.Time // default time.Now
}

const defaultTTL = 5 * time.Minute

// Signer signs assertions with the newest key and publishes the public halves of all of them, so that during a rotation replicas with the
// old and the new list accept each other's assertions. It is safe for concurrent use.
type Signer struct {
	issuer, audience string
	ttl              time.Duration
	now              func() time.Time
	key              signingKey
	jwks             []byte
}

type signingKey struct {
	private crypto.Signer
	method  jwt.SigningMethod
	kid     string
}

// NewSigner reads or derives the keys and proves with a round trip that each of them works. Its errors never contain key material.
func NewSigner(c SignerConfig) (*Signer, error) {
	if c.Issuer == "" || c.Audience == "" {
		return nil, errors.New("identity: signer: issuer and audience are required")
	}
	if c.TTL < 0 {
		return nil, errors.New("identity: signer: negative life of assertions")
	}
	privates, err := readKeys(c)
	if err != nil {
		return nil, fmt.Errorf("identity: signer: %w", err)
	}
	s := &Signer{issuer: c.Issuer, audience: c.Audience, ttl: c.TTL, now: c.Now}
	if s.ttl == 0 {
		s.ttl = defaultTTL
	}
	if s.now == nil {
		s.now = time.Now
	}
	var public []jwk
	seen := map[string]bool{}
	for i, private := range privates {
		k, method, err := publicJWK(private.Public())
		if err != nil {
			return nil, fmt.Errorf("identity: signer: key %d: %w", i+1, err)
		}
		if seen[k.Kid] {
			continue // the same key twice in the list is harmless, but a kid must be unique
		}
		seen[k.Kid] = true
		key := signingKey{private, method, k.Kid}
		if err := s.check(key); err != nil {
			return nil, fmt.Errorf("identity: signer: key %d does not verify its own signature: %w", i+1, err)
		}
		if len(public) == 0 {
			s.key = key
		}
		public = append(public, k)
	}
	if s.jwks, err = marshalJWKS(public); err != nil {
		return nil, fmt.Errorf("identity: signer: %w", err)
	}
	return s, nil
}

func readKeys(c SignerConfig) ([]crypto.Signer, error) {
	if len(c.PEM) > 0 {
		return parsePEM(c.PEM)
	}
	if len(c.Secrets) == 0 {
		return nil, errors.New("neither secrets nor keys")
	}
	var keys []crypto.Signer
	for i, secret := range c.Secrets {
		key, err := deriveKey(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// check signs a token with the key and reads it the way an app would.
func (s *Signer) check(key signingKey) error {
	c := Claims{Subject: VisitorSubject, Snapshot: true}
	token, _, err := s.sign(key, c)
	if err != nil {
		return err
	}
	// No validation of times: the check is about keys, and the clock of a test may stand anywhere.
	p := jwt.NewParser(jwt.WithValidMethods([]string{key.method.Alg()}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err = p.ParseWithClaims(token, &Claims{}, func(*jwt.Token) (any, error) { return key.private.Public(), nil })
	return err
}

// Sign returns an assertion with these claims and the time at which it expires: the configured life, in whole seconds and at least three, after iat. The issuer,
// audience, times and token id of the argument are replaced. The subject must be a user id or [GatewaySubject]; for a snapshot
// visitor it is [VisitorSubject], or empty.
func (s *Signer) Sign(c Claims) (token string, expires time.Time, err error) {
	switch {
	case c.Snapshot && (c.Subject == "" || c.Subject == VisitorSubject):
		c.Subject = VisitorSubject
	case c.Snapshot || c.Subject != GatewaySubject && !ValidID(c.Subject):
		// An assertion is what the app trusts: better none than one about nobody in particular.
		return "", time.Time{}, errors.New("identity: sign: the subject is not a user id")
	}
	return s.sign(s.key, c)
}

func (s *Signer) sign(key signingKey, c Claims) (string, time.Time, error) {
	now := s.now()
	// Claims have whole seconds, and the start is rounded down: a life of one or two could be over before the app has looked.
	life := max((s.ttl + time.Second - 1).Truncate(time.Second), 3*time.Second)
	expires := now.Truncate(time.Second).Add(life)
	c.Issuer, c.Audience = s.issuer, s.audience
	c.IssuedAt = jwt.NewNumericDate(now)
	c.NotBefore = c.IssuedAt
	c.ExpiresAt = jwt.NewNumericDate(expires)
	c.ID = NewID()
	t := jwt.NewWithClaims(key.method, c)
	t.Header["kid"] = key.kid
	token, err := t.SignedString(key.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("identity: sign: %w", err)
	}
	return token, expires, nil
}

// JWKS returns the public keys as a JWK set (RFC 7517, section 5), the signing one first. The result belongs to the caller.
func (s *Signer) JWKS() []byte { return bytes.Clone(s.jwks) }
