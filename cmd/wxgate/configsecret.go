package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"wxgate/identity"
)

// mask stands for every secret in the print-out.
const mask = "***"

// hidden is a password-like text, used byte for byte: trimming would hide that it was copied badly.
type hidden struct{ value[string] }

func (s *hidden) secret() bool { return true }

func (s *hidden) parse(text string) {
	if blankOrControl.MatchString(text) {
		s.fault("contains a blank, a line break or a control character; copy it again without")
		return
	}
	s.Value = text
}

func (s *hidden) shown() string {
	if !s.given() {
		return ""
	}
	return mask
}

// secretKeys are the keys that everything else is sealed with and derived from.
type secretKeys struct{ value[[][]byte] }

const secretKeySize = 32

func (k *secretKeys) secret() bool { return true }

func (k *secretKeys) parse(text string) {
	list := items(text)
	if len(list) == 0 {
		k.fault("holds no key; make one with 'wxgate keygen'")
	}
	for i, item := range list {
		which := fmt.Sprintf("key %d of %d", i+1, len(list))
		key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(item, "="))
		switch {
		case err != nil && strings.ContainsAny(item, "+/"):
			k.fault("%s is standard base64; write - for + and _ for /, or make a key with 'wxgate keygen'", which)
		case err != nil:
			k.fault("%s is not base64url; make one with 'wxgate keygen'", which)
		case len(key) != secretKeySize:
			k.fault("%s has %d bytes instead of %d; make one with 'wxgate keygen'", which, len(key), secretKeySize)
		case contains(k.Value, key):
			k.fault("%s repeats an earlier one; remove it", which)
		default:
			if weak(key) {
				k.warn("%s is too regular to be random, and whoever guesses it can be anybody; make one with 'wxgate keygen'", which)
			}
			k.Value = append(k.Value, key)
		}
	}
}

func (k *secretKeys) shown() string { return masked(len(k.Value), "key") }

// weak finds what nobody's random generator made: of 32 random bytes, fewer than eight different ones happen once in
// some 10^37 keys, while a placeholder of zeros or of one repeated letter is a daily sight.
func weak(key []byte) bool {
	different := map[byte]bool{}
	for _, b := range key {
		different[b] = true
	}
	return len(different) < 8
}

func contains(keys [][]byte, key []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// pemKeys are the operator's own signing keys.
type pemKeys struct{ value[[]byte] }

func (p *pemKeys) secret() bool { return true }

// parse lets the signer itself judge, for which issuer and audience do not matter. Its errors hold no key material.
func (p *pemKeys) parse(text string) {
	p.Value = []byte(text)
	_, err := identity.NewSigner(identity.SignerConfig{PEM: p.Value, Issuer: "any", Audience: "any"})
	if err != nil {
		p.fault("%s; write PEM private keys (P-256, Ed25519 or RSA of at least 2048 bits)",
			strings.TrimPrefix(err.Error(), "identity: signer: "))
	}
}

func (p *pemKeys) shown() string {
	n := 0
	for block, rest := pem.Decode(p.Value); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return masked(n, "key")
}

// masked tells how many secrets there are, which shows whether a rotation arrived.
func masked(n int, noun string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s (1 %s)", mask, noun)
	}
	return fmt.Sprintf("%s (%d %ss)", mask, n, noun)
}
