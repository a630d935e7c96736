package clawmachine

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"sync"
	"time"
)

const (
	// A key id that is not known yet may be a fresh key, or anybody's invention:
	// it causes at most one fetch in this time.
	keysRetry = 5 * time.Second
	// After this time keys are fetched again even if nothing is missing, so that
	// a key which the gateway withdrew stops being accepted.
	keysMaxAge  = 10 * time.Minute
	keysTimeout = 5 * time.Second
	// An answer longer than this is no key set.
	keysMaxBytes = 64 << 10
)

var (
	errUnknownKey = errors.New("signed with a key that the gateway does not publish")
	errNoKeys     = errors.New("the gateway's keys could not be fetched")
)

// keySet holds the gateway's public keys by key id.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time
	logger *slog.Logger

	fetching chan struct{} // holds one token: whoever has it may fetch

	mu      sync.Mutex // guards what follows
	keys    map[string]any
	fetched time.Time // last success
	tried   time.Time // last attempt
}

func newKeySet(url string, client *http.Client, now func() time.Time, logger *slog.Logger) *keySet {
	s := &keySet{url: url, client: client, now: now, logger: logger, fetching: make(chan struct{}, 1)}
	s.fetching <- struct{}{}
	return s
}

// key returns the public key named kid. It is an error if the gateway does not
// publish it: a verifier that falls back to "the other key" has none.
func (s *keySet) key(ctx context.Context, kid string) (any, error) {
	if key, fresh := s.known(kid); fresh {
		return key, nil
	}
	select {
	case <-s.fetching:
		defer func() { s.fetching <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNoKeys, ctx.Err())
	}
	if s.due(kid) {
		s.fetch(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return nil, errNoKeys
	}
	// Old keys outlive a gateway that cannot be asked just now.
	if key, ok := s.keys[kid]; ok {
		return key, nil
	}
	return nil, errUnknownKey
}

func (s *keySet) known(kid string) (key any, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[kid]
	return key, ok && s.now().Sub(s.fetched) < keysMaxAge
}

// due reports whether a fetch is worth it, now that nobody else is fetching.
func (s *keySet) due(kid string) bool {
	if _, fresh := s.known(kid); fresh {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried.IsZero() || s.now().Sub(s.tried) >= keysRetry
}

func (s *keySet) fetch(ctx context.Context) {
	// Not ended by the caller's leaving: a fetch begun counts against keysRetry
	// and serves whoever waits next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	keys, err := s.download(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = s.now()
	if err != nil {
		s.logger.Warn("fetching the gateway's keys", "err", err)
		return
	}
	s.keys, s.fetched = keys, s.tried
}

func (s *keySet) download(ctx context.Context) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, keysMaxBytes)).Decode(&set); err != nil {
		return nil, fmt.Errorf("decoding key set: %w", err)
	}
	keys := make(map[string]any, len(set.Keys))
	for _, k := range set.Keys {
		// RFC 7517 section 5: keys of a kind that is not understood are ignored.
		if key, ok := k.public(); ok && k.ID != "" {
			keys[k.ID] = key
		}
	}
	return keys, nil
}

// jwk is the part of a JSON Web Key (RFC 7517, 7518, 8037) that public signing keys use.
type jwk struct {
	Type  string `json:"kty"`
	ID    string `json:"kid"`
	Use   string `json:"use"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
	N     string `json:"n"`
	E     string `json:"e"`
}

// public returns the key, if it is one of the three kinds that sign assertions.
func (k jwk) public() (key any, ok bool) {
	if k.Use != "" && k.Use != "sig" {
		return nil, false
	}
	switch {
	case k.Type == "EC" && k.Curve == "P-256":
		x, y := decode(k.X), decode(k.Y)
		if len(x) != 32 || len(y) != 32 {
			return nil, false
		}
		// ParseUncompressedPublicKey also checks that the point is on the curve.
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		return key, err == nil
	case k.Type == "OKP" && k.Curve == "Ed25519":
		x := decode(k.X)
		return ed25519.PublicKey(x), len(x) == ed25519.PublicKeySize
	case k.Type == "RSA":
		n, e := new(big.Int).SetBytes(decode(k.N)), new(big.Int).SetBytes(decode(k.E))
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil, false
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, true
	}
	return nil, false
}

func decode(s string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
