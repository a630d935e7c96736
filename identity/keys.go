package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	// deriveInfo binds the derived keys to their purpose (RFC 5869, section 3.2). Changing it changes every key.
	deriveInfo = "wxgate assertion ES256 v1"

	secretLen  = 32
	minRSABits = 2048
	maxRSABits = 8192 // beyond that one signature takes a large part of a second
)

// deriveKey derives the P-256 key that belongs to a secret: HKDF-SHA256 with a counter byte after the label, and the first counter
// whose 32 bytes are a scalar in [1, n-1]. Practically that is always the first.
func deriveKey(secret []byte) (*ecdsa.PrivateKey, error) {
	if len(secret) != secretLen {
		return nil, fmt.Errorf("has %d bytes, not %d", len(secret), secretLen)
	}
	return firstScalar(func(counter byte) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, deriveInfo+string([]byte{counter}), 32)
	})
}

func firstScalar(candidate func(counter byte) ([]byte, error)) (*ecdsa.PrivateKey, error) {
	for counter := range 256 {
		b, err := candidate(byte(counter))
		if err != nil {
			return nil, err
		}
		// It refuses zero and what is not below the order, in constant time for what it accepts.
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no valid scalar")
}

// parsePEM reads concatenated private keys in their order. Errors count the blocks from 1 and never repeat any content: neither
// what stands in a block nor what a parser says about it.
func parsePEM(data []byte) ([]crypto.Signer, error) {
	var keys []crypto.Signer
	for i, block := range splitPEM(data) {
		// One block at a time: pem.Decode skips a damaged block in silence, and the next one would then sign.
		p, _ := pem.Decode(block)
		if p == nil && bytes.Contains(block, []byte(`\n`)) {
			return nil, fmt.Errorf(`PEM block %d is damaged: its line breaks must be real ones, not the two characters \n`, i+1)
		}
		if p == nil {
			return nil, fmt.Errorf("PEM block %d is damaged", i+1)
		}
		if p.Type == "EC PARAMETERS" {
			continue // openssl ecparam writes one before the key
		}
		key, err := parseBlock(p)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("no PEM private key found")
	}
	return keys, nil
}

func splitPEM(data []byte) [][]byte {
	begin := []byte("-----BEGIN ")
	var blocks [][]byte
	start := bytes.Index(data, begin)
	for start >= 0 {
		data = data[start:]
		next := bytes.Index(data[len(begin):], begin)
		if next < 0 {
			return append(blocks, data)
		}
		start = next + len(begin)
		blocks = append(blocks, data[:start])
	}
	return blocks
}

func parseBlock(p *pem.Block) (crypto.Signer, error) {
	if p.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(p.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errors.New("the key is protected by a pass phrase; decrypt it first")
	}
	var key any
	var err error
	switch p.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(p.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(p.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(p.Bytes)
	case "OPENSSH PRIVATE KEY":
		return nil, errors.New("OpenSSH's own format is not supported; convert the key to PKCS #8")
	default:
		return nil, errors.New("not a private key (want PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY)")
	}
	if err != nil {
		return nil, errors.New("the key cannot be decoded")
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("the curve is %s; only P-256 is supported", key.Curve.Params().Name)
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits; %d to %d are supported", bits, minRSABits, maxRSABits)
		}
		return key, nil
	default:
		return nil, errors.New("the kind of key is not supported; use P-256, Ed25519 or RSA")
	}
}
