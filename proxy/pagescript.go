package proxy

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strings"
)

//go:embed wxgate.js
var pageScriptSource string

// pageScriptText is the script as pages get it, under 4 KB: without the lines
// that are comments and without indentation, and otherwise the file as it
// stands, so that what a browser's debugger shows can still be read. No string
// in it spans lines.
var pageScriptText = func() []byte {
	var b strings.Builder
	for line := range strings.Lines(pageScriptSource) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	return []byte(b.String())
}()

var pageScriptTag = func() string {
	sum := sha256.Sum256(pageScriptText)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}()

// pageScript serves wxgate.js. It may be kept for five minutes, so that an
// upgraded gateway soon has its own script in the pages; asking whether it has
// changed costs no body.
func (s *Server) pageScript(v *visit) {
	h := v.Header()
	h.Del("Referrer-Policy")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", pageScriptTag)
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if matchesTag(v.r.Header["If-None-Match"], pageScriptTag) {
		h.Del("Content-Type")
		v.WriteHeader(http.StatusNotModified)
		return
	}
	v.write(http.StatusOK, pageScriptText)
}

// matchesTag is If-None-Match (RFC 9110, section 13.1.2), whose comparison is
// weak: front proxies that compress turn our tag into a weak one.
func matchesTag(lines []string, tag string) bool {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.TrimPrefix(item, "W/") == tag {
			return true
		}
	}
	return false
}
