package identity

import (
	"crypto/rand"
	"encoding/base32"
)

// idLen is the length of a user id: 128 bits in base32 without padding.
const idLen = 26

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID returns a fresh user id: 128 random bits in lower-case base32 (RFC 4648, section 6, without padding), 26 characters.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: since Go 1.24 it ends the program instead
	return idEncoding.EncodeToString(b[:])
}

// ValidID tells whether s has the shape of a user id. It says nothing about whether such a user exists.
func ValidID(s string) bool {
	if len(s) != idLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
