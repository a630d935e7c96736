package proxy

import (
	"net/http"
	"net/textproto"
	"strings"
)

// Values that many requests share. Nobody may change or extend them.
var (
	teTrailers        = []string{"trailers"}
	connectionClose   = []string{"close"}
	connectionUpgrade = []string{"Upgrade"}
	upgradeWebSocket  = []string{"websocket"}
)

// hopByHop knows the headers that concern one connection only (RFC 9110,
// section 7.6.1; Keep-Alive and Proxy-Connection are older than it).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// forwarding knows the headers that say who asked, which we alone can know.
func forwarding(name string) bool {
	switch name {
	case "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	return false
}

// dropNamed removes the headers that a Connection header names as its own.
func dropNamed(h http.Header, connection []string) {
	for _, value := range connection {
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name != "" && name != "keep-alive" {
				h.Del(name)
			}
		}
	}
}

// dropHopByHop removes from an answer what concerns the app's connection.
func dropHopByHop(h http.Header) {
	dropNamed(h, h["Connection"])
	for name := range h {
		if hopByHop(name) {
			delete(h, name)
		}
	}
}
