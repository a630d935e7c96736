package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
)

// traceParent keeps a valid W3C trace context header and makes one, not
// sampled, where there is none; the vendors' part belonged to the old one and
// goes with it (https://www.w3.org/TR/trace-context/).
func traceParent(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 && validTraceParent(values[0]) {
		return values[0]
	}
	delete(h, "Tracestate")
	var b [24]byte
	rand.Read(b[:])
	text := hex.EncodeToString(b[:])
	return "00-" + text[:32] + "-" + text[32:] + "-00"
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
