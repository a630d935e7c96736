package proxy

import (
	"math/rand/v2"
	"net/http"
)

// Request ids and trace contexts only keep requests apart, in logs. Nobody gets
// anything for guessing one, so they are not worth a system call: the runtime's
// own generator, which the system seeded, makes them.

// newRequestID is 80 random bits in base 32.
func newRequestID() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	var b [16]byte
	for i := 0; i < len(b); {
		for bits, end := rand.Uint64(), i+8; i < end; i++ {
			b[i] = alphabet[bits%32]
			bits /= 32
		}
	}
	return string(b[:])
}

// traceParent keeps a valid W3C trace context header and makes one, not
// sampled, where there is none; the vendors' part belonged to the old one and
// goes with it (https://www.w3.org/TR/trace-context/).
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && validTraceParent(values[0]) {
		return values[0]
	}
	delete(h, "Tracestate")
	return newTraceParent()
}

func newTraceParent() string {
	b := [55]byte{0: '0', 1: '0', 2: '-', 35: '-', 52: '-', 53: '0', 54: '0'}
	hex16(b[3:], rand.Uint64())
	hex16(b[19:], rand.Uint64())
	hex16(b[36:], rand.Uint64())
	return string(b[:])
}

func hex16(b []byte, bits uint64) {
	for i := range 16 {
		b[i] = "0123456789abcdef"[bits%16]
		bits /= 16
	}
}

func validTraceParent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	zero := [2]bool{true, true}
	for i := 3; i < len(s); i++ {
		if i == 35 || i == 52 {
			continue
		}
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
		if c != '0' && i < 35 {
			zero[0] = false
		} else if c != '0' && i < 52 {
			zero[1] = false
		}
	}
	return !zero[0] && !zero[1]
}
