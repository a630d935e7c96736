package proxy

import (
	"strings"
	"testing"
)

func TestPolicyAllows(t *testing.T) {
	for policy, want := range map[string]bool{
		"":                                      true,
		"img-src 'none'":                        true,
		"default-src 'self'":                    true,
		"DEFAULT-SRC 'SELF'":                    true,
		"default-src *":                         true,
		"default-src https:":                    true,
		"default-src http:":                     true,
		"default-src 'none'":                    false,
		"default-src":                           false,
		"default-src 'none'; script-src 'self'": true,
		"script-src 'none'; default-src 'self'": false,
		"script-src 'self'; script-src-elem 'none'":      false,
		"script-src 'none'; script-src-elem 'self'":      true,
		"script-src 'self'; script-src 'none'":           true,
		"script-src 'nonce-abc'":                         false,
		"script-src 'unsafe-inline' 'unsafe-eval'":       false,
		"script-src 'self' 'nonce-abc' 'strict-dynamic'": false,
		"script-src 'nonce-abc' 'self'":                  true,
		"script-src https://cdn.example.com":             false,
		"script-src play.example.com":                    true,
		"script-src play.example.com:443":                true,
		"script-src play.example.com:*":                  true,
		"script-src play.example.com:8443":               false,
		"script-src https://play.example.com/":           true,
		"script-src http://play.example.com":             true,
		"script-src wss://play.example.com":              false,
		"script-src https://play.example.com/js/":        false,
		"script-src *.example.com":                       true,
		"script-src *.play.example.com":                  false,
		"script-src xplay.example.com":                   false,
		"script-src-attr 'none'; script-src 'self'":      true,
		"default-src 'none'; script-src\u00a0'self'":     true,
		"sandbox":             false,
		"sandbox allow-forms": false,
		"sandbox allow-scripts allow-same-origin; script-src 'self'": true,
		"script-src 'self', default-src 'none'":                      false,
		"script-src 'self', default-src 'self'":                      true,
		"script-src 'self'\nscript-src 'none'":                       false,
		"upgrade-insecure-requests; ;; script-src   'self'  ":        true,
	} {
		var headers []string
		if policy != "" {
			headers = strings.Split(policy, "\n")
		}
		if got := policyAllows(headers, "https", "play.example.com"); got != want {
			t.Errorf("%q: %v", policy, got)
		}
	}
	for source, want := range map[string]bool{"localhost:8080": true, "localhost": false, "http://localhost:8080": true, "https://localhost:8080": false, "https:": false, "localhost:*": true} {
		if got := policyAllows([]string{"script-src " + source}, "http", "localhost:8080"); got != want {
			t.Errorf("%s on a port: %v", source, got)
		}
	}
}

func BenchmarkPolicyAllows(b *testing.B) {
	headers := []string{"default-src 'none'; img-src 'self' data: https://thirdwx.qlogo.cn; style-src 'self' 'unsafe-inline'; script-src 'nonce-abc' https://res.wx.qq.com 'self'; connect-src 'self' wss:; frame-ancestors 'none'"}
	b.ReportAllocs()
	for b.Loop() {
		if !policyAllows(headers, "https", "play.example.com") {
			b.Fatal("not allowed")
		}
	}
}
