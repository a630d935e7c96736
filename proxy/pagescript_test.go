package proxy

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestPageScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone).stay()
	res := b.fetch("/.wxgate/wxgate.js")
	if res.StatusCode != http.StatusOK || res.body != string(pageScriptText) {
		t.Fatalf("answered %d with %d bytes", res.StatusCode, len(res.body))
	}
	if len(res.body) >= 4096 {
		t.Errorf("%d bytes, must be under 4096", len(res.body))
	}
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=300", "Referrer-Policy": "", "Set-Cookie": "",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	tag := res.Header.Get("ETag")
	if !regexp.MustCompile(`^"[0-9a-f]{24}"$`).MatchString(tag) {
		t.Errorf("the ETag is %s", tag)
	}

	for value, want := range map[string]int{
		tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304,
		`"other"`: 200, strings.Trim(tag, `"`): 200, "": 200,
	} {
		res := b.do(http.MethodGet, "/.wxgate/wxgate.js", "If-None-Match", value)
		if res.StatusCode != want || (res.body == "") != (want == 304) || res.Header.Get("ETag") != tag || res.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("If-None-Match %s: %d with %d bytes, %v", value, res.StatusCode, len(res.body), res.Header)
		}
	}
	if res := b.do(http.MethodHead, "/.wxgate/wxgate.js"); res.StatusCode != 200 || res.body != "" || res.ContentLength != int64(len(pageScriptText)) {
		t.Errorf("HEAD: %d, %d bytes announced, %q", res.StatusCode, res.ContentLength, res.body)
	}
	if res := b.do(http.MethodPost, "/.wxgate/wxgate.js"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodGet {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

// What is served is the source without whole lines; nothing of the code may be
// lost, and nothing in it may need more than the policy 'self'.
func TestPageScriptText(t *testing.T) {
	code := regexp.MustCompile(`(?m)^\s*//.*\n`).ReplaceAllString(pageScriptSource, "")
	blank := regexp.MustCompile(`\s+`)
	if got, want := blank.ReplaceAllString(string(pageScriptText), ""), blank.ReplaceAllString(code, ""); got != want {
		t.Error("served text and source differ in more than comments and blanks")
	}
	for _, line := range strings.Split(code, "\n") {
		if strings.Count(line, "`")%2 != 0 {
			t.Errorf("a string spans lines: %s", line)
		}
	}
	if found := regexp.MustCompile(`\beval\b|\bFunction\(|setTimeout\(['"]|innerHTML|document\.write|javascript:|\.style\b|\.text\b|\?\.|\?\?`).FindString(code); found != "" {
		t.Errorf("%q needs a wider policy, or a newer browser", found)
	}
}
