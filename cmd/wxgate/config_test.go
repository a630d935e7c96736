package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the variable table of the README")

// Keys for tests: any 32 bytes that are not too regular.
const (
	keyA = "q2cWp0s5oGgkMPXH3sH0n0t3lKcZyqmU2sXb0vX9r3E"
	keyB = "7m0bqH1xYwqkZ8yJ6n3Jm0m6kqv1xk4w5cQJm8b2f1A"
)

// minimal is the least that starts.
func minimal(more ...string) map[string]string {
	vars := map[string]string{
		"WXGATE_PUBLIC_URL":    "https://play.example.com",
		"WXGATE_UPSTREAM":      "http://127.0.0.1:3000",
		"WXGATE_SECRETS":       keyA,
		"WXGATE_MP_APP_ID":     "wx0123456789abcdef",
		"WXGATE_MP_APP_SECRET": "0123456789abcdef0123456789abcdef",
	}
	for i := 0; i < len(more); i += 2 {
		vars["WXGATE_"+more[i]] = more[i+1]
	}
	return vars
}

func TestMinimalConfiguration(t *testing.T) {
	c, err := newConfig(minimal())
	if err != nil {
		t.Fatal(err)
	}
	if w := c.warnings(); len(w) != 0 {
		t.Errorf("warnings without a reason: %q", w)
	}
	got := []any{
		c.Listen.Value, c.ShutdownDelay.Value, c.PublicURL.Value.String(), c.Upstream.Value[0].URL.String(),
		len(c.Secrets.Value[0]), c.StoreURL.Value, c.SessionTTL.Value, c.LoginRate.Value.N, c.LoginRate.Value.Per,
		c.Login.Value, c.YunxinAPI.Value, c.YunxinURLs.Value, c.JWTIssuer.Value, c.JWTAudience.Value, c.PlainHeaders.Value,
	}
	want := []any{
		":8080", 5 * time.Second, "https://play.example.com", "http://127.0.0.1:3000",
		32, "bolt:wxgate.db", 720 * time.Hour, 60, time.Minute,
		"silent", "v2", []string{"https://open.yunxinapi.com", "https://open-bak.yunxinapi.com"},
		"https://play.example.com", "play.example.com", true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// TestAccepted shows what is read from what, in the words of `wxgate config`.
func TestAccepted(t *testing.T) {
	tests := []struct {
		name string
		vars []string
		want string // a line of the print-out, without WXGATE_
	}{
		{"empty is not given", []string{"LISTEN", ""}, "LISTEN=:8080 (default)"},
		{"blank is not given", []string{"SESSION_TTL", "  "}, "SESSION_TTL=720h (default)"},
		{"listen on any port", []string{"LISTEN", "127.0.0.1:0"}, "LISTEN=127.0.0.1:0"},
		{"listen on IPv6", []string{"ADMIN_LISTEN", "[::1]:9090"}, "ADMIN_LISTEN=[::1]:9090"},
		{"both listeners on any port", []string{"LISTEN", ":0", "ADMIN_LISTEN", ":0"}, "ADMIN_LISTEN=:0"},
		{"listeners on one port of two addresses", []string{"LISTEN", "10.0.0.7:9090"}, "LISTEN=10.0.0.7:9090"},
		{"slash after the public host", []string{"PUBLIC_URL", "https://play.example.com/"}, "PUBLIC_URL=https://play.example.com"},
		{"public host in capitals", []string{"PUBLIC_URL", "HTTPS://Play.Example.COM"}, "PUBLIC_URL=https://play.example.com"},
		{"issuer follows the public URL", []string{"PUBLIC_URL", "https://Play.Example.COM/"}, "JWT_ISSUER=https://play.example.com (default)"},
		{"loopback with http and port", []string{"PUBLIC_URL", "http://LOCALHOST:8080"}, "PUBLIC_URL=http://localhost:8080"},
		{"loopback address", []string{"PUBLIC_URL", "http://127.0.0.1:8080"}, "PUBLIC_URL=http://127.0.0.1:8080"},
		{"loopback IPv6", []string{"PUBLIC_URL", "http://[::1]:8080/"}, "PUBLIC_URL=http://[::1]:8080"},
		{"loopback with the usual port", []string{"PUBLIC_URL", "http://localhost:80"}, "PUBLIC_URL=http://localhost"},
		{"loopback name below localhost", []string{"PUBLIC_URL", "http://play.localhost:1"}, "PUBLIC_URL=http://play.localhost:1"},
		{"loopback IPv4 inside IPv6", []string{"PUBLIC_URL", "http://[::ffff:127.0.0.1]:8080"}, "PUBLIC_URL=http://[::ffff:127.0.0.1]:8080"},
		{"insecure http", []string{"PUBLIC_URL", "http://192.168.1.5:8080", "INSECURE_HTTP", "true"}, "PUBLIC_URL=http://192.168.1.5:8080"},
		{"insecure allows a port on https", []string{"PUBLIC_URL", "https://play.example.com:8443", "INSECURE_HTTP", "1"}, "PUBLIC_URL=https://play.example.com:8443"},
		{"several upstreams", []string{"UPSTREAM", " http://127.0.0.1:3000/ , /api/=https://api.example.com, /ws/=unix:///run/app.sock,"},
			"UPSTREAM=http://127.0.0.1:3000,/api/=https://api.example.com,/ws/=unix:///run/app.sock"},
		{"upstream by the name of a container", []string{"UPSTREAM", "http://claw_app:3000"}, "UPSTREAM=http://claw_app:3000"},
		{"upstream for all paths named so", []string{"UPSTREAM", "/=http://app:3000"}, "UPSTREAM=http://app:3000"},
		{"two keys", []string{"SECRETS", keyA + "," + keyB + "="}, "SECRETS=*** (2 keys)"},
		{"store without password", []string{"STORE_URL", "redis://redis:6379/2"}, "STORE_URL=redis://redis:6379/2"},
		{"store with password", []string{"STORE_URL", "rediss://user:pa%40ss@redis"}, "STORE_URL=rediss://user:***@redis"},
		{"store with several hosts", []string{"STORE_URL", "redis+sentinel://:x@a:26379,b:26379/0?master=m&sentinel_password=y"},
			"STORE_URL=redis+sentinel://:***@a:26379,b:26379/0?master=m&sentinel_password=***"},
		{"store cluster", []string{"STORE_URL", "redis+cluster://a:1,b:2"}, "STORE_URL=redis+cluster://a:1,b:2"},
		{"store in a file", []string{"STORE_URL", "bolt:/var/lib/wxgate/data.db"}, "STORE_URL=bolt:/var/lib/wxgate/data.db"},
		{"routes on several lines", []string{"ROUTES", "public /a/\nuser /b/"}, `ROUTES="public /a/\nuser /b/"`},
		{"hosts", []string{"ALLOWED_HOSTS", "WWW.example.com, localhost:3000,www.example.com"}, "ALLOWED_HOSTS=www.example.com,localhost:3000"},
		{"host with the usual port", []string{"ALLOWED_HOSTS", "www.example.com:443"}, "ALLOWED_HOSTS=www.example.com"},
		{"host with a port, insecure", []string{"ALLOWED_HOSTS", "a.example.com:8443", "INSECURE_HTTP", "true"}, "ALLOWED_HOSTS=a.example.com:8443"},
		{"origins", []string{"ALLOWED_ORIGINS", "https://App.example.com:443/,http://localhost:3000"},
			"ALLOWED_ORIGINS=https://app.example.com,http://localhost:3000"},
		{"cookie domain above", []string{"COOKIE_DOMAIN", ".Example.com"}, "COOKIE_DOMAIN=example.com"},
		{"cookie domain is the host", []string{"COOKIE_DOMAIN", "play.example.com"}, "COOKIE_DOMAIN=play.example.com"},
		{"idle life follows a shorter session", []string{"SESSION_TTL", "24h"}, "SESSION_IDLE=24h"},
		{"trusted proxies", []string{"TRUSTED_PROXIES", "10.1.2.3/8, 192.0.2.7 ,fd00::/8"}, "TRUSTED_PROXIES=10.0.0.0/8,192.0.2.7/32,fd00::/8"},
		{"trusted IPv4 inside IPv6", []string{"TRUSTED_PROXIES", "::ffff:192.0.2.7,::ffff:10.0.0.0/104"}, "TRUSTED_PROXIES=192.0.2.7/32,10.0.0.0/8"},
		{"upstream on the port of another host", []string{"UPSTREAM", "http://app:8080"}, "UPSTREAM=http://app:8080"},
		{"upstream while any port will do", []string{"UPSTREAM", "https://127.0.0.1", "LISTEN", "127.0.0.1:0"}, "UPSTREAM=https://127.0.0.1"},
		{"rate", []string{"LOGIN_RATE", "5/s"}, "LOGIN_RATE=5/s"},
		{"level in capitals", []string{"LOG_LEVEL", "DEBUG"}, "LOG_LEVEL=DEBUG"},
		{"files", []string{"VERIFY_FILES", "MP_verify_a.txt=a,b.txt=x=y"}, "VERIFY_FILES=MP_verify_a.txt=a,b.txt=x=y"},
		{"simulator of WeChat", []string{"WECHAT_API_URL", "http://127.0.0.1:7000/"}, "WECHAT_API_URL=http://127.0.0.1:7000"},
		{"Yunxin v1", []string{"YUNXIN_API", "v1"}, "YUNXIN_URLS=https://api.yunxinapi.com/nimserver,https://api-cn-bak.yunxinapi.com/nimserver (default)"},
		{"Yunxin elsewhere", []string{"YUNXIN_URLS", "https://a.example.com/nim/,http://localhost:1"}, "YUNXIN_URLS=https://a.example.com/nim,http://localhost:1"},
		{"Yunxin", []string{"YUNXIN_APP_KEY", "k", "YUNXIN_APP_SECRET", "s", "YUNXIN_REQUIRED", "true"}, "YUNXIN_APP_SECRET=***"},
		{"audience", []string{"JWT_AUDIENCE", "claw"}, "JWT_AUDIENCE=claw"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := newConfig(minimal(tt.vars...))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			c.print(&out)
			if !strings.Contains(out.String(), "WXGATE_"+tt.want+"\n") {
				t.Errorf("no line %s in\n%s", tt.want, &out)
			}
		})
	}
}

// TestFaults has one mistake a row; each gives exactly one line, under the right name, with what would be right.
func TestFaults(t *testing.T) {
	tests := []struct {
		name string
		vars []string
		want string // beginning of the line, without WXGATE_
		also string // and what it must contain
	}{
		{"no public URL", []string{"PUBLIC_URL", ""}, "PUBLIC_URL: required", "https://play.example.com"},
		{"no upstream", []string{"UPSTREAM", ""}, "UPSTREAM: required", "http://127.0.0.1:3000"},
		{"no secrets", []string{"SECRETS", ""}, "SECRETS: required", "wxgate keygen"},
		{"no account", []string{"MP_APP_ID", "", "MP_APP_SECRET", ""}, "MP_APP_ID: required: without", "WXGATE_MP_APP_SECRET"},
		{"account without id", []string{"MP_APP_ID", ""}, "MP_APP_ID: required, because", "WXGATE_MP_APP_SECRET"},
		{"account without secret", []string{"MP_APP_SECRET", ""}, "MP_APP_SECRET: required, because", "WXGATE_MP_APP_ID"},

		{"port alone", []string{"LISTEN", "8080"}, `LISTEN: "8080" is a port alone`, "write :8080"},
		{"no port", []string{"LISTEN", "localhost"}, `LISTEN: "localhost" is not host:port`, ":8080"},
		{"port too large", []string{"LISTEN", ":80800"}, `LISTEN: ":80800" has no valid port`, "65535"},
		{"port by name", []string{"LISTEN", ":http"}, `LISTEN: ":http" has no valid port`, ":8080"},
		{"listen on a URL", []string{"LISTEN", "http://localhost:8080"}, "LISTEN: ", "host:port"},
		{"listen on nonsense", []string{"LISTEN", "a..b:8080"}, `LISTEN: "a..b:8080" has no valid host`, "none for all"},
		{"same port twice", []string{"LISTEN", ":9090"}, "ADMIN_LISTEN: has the port of WXGATE_LISTEN", "choose another"},

		{"no unit", []string{"SHUTDOWN_DELAY", "30"}, `SHUTDOWN_DELAY: "30" lacks a unit`, "write 30s"},
		{"zero", []string{"SHUTDOWN_DELAY", "0"}, `SHUTDOWN_DELAY: "0" is not above zero`, "30s"},
		{"zero with a unit", []string{"JWT_TTL", "0s"}, `JWT_TTL: "0s" is not above zero`, "30s"},
		{"negative", []string{"SESSION_TTL", "-1h"}, `SESSION_TTL: "-1h" is not above zero`, "30s"},
		{"days", []string{"SESSION_TTL", "30d"}, `SESSION_TTL: "30d" is not a duration`, "720h"},
		{"idle beyond life", []string{"SESSION_TTL", "10h", "SESSION_IDLE", "11h"}, "SESSION_IDLE: 11h is longer than the absolute life of 10h", "WXGATE_SESSION_TTL"},

		{"http", []string{"PUBLIC_URL", "http://play.example.com"}, "PUBLIC_URL: is plain http", "https://play.example.com"},
		{"http with port", []string{"PUBLIC_URL", "http://play.example.com:8080"}, "PUBLIC_URL: is plain http", "https://play.example.com "},
		{"port", []string{"PUBLIC_URL", "https://play.example.com:8443"}, "PUBLIC_URL: has a port", "https://play.example.com "},
		{"looks like loopback", []string{"PUBLIC_URL", "http://localhost.example.com"}, "PUBLIC_URL: is plain http", ""},
		{"path", []string{"PUBLIC_URL", "https://play.example.com/game"}, "PUBLIC_URL: has a path", "https://play.example.com"},
		{"query", []string{"PUBLIC_URL", "https://play.example.com?a=b"}, "PUBLIC_URL: has a query", ""},
		{"empty query", []string{"PUBLIC_URL", "https://play.example.com?"}, "PUBLIC_URL: has a query", ""},
		{"fragment", []string{"PUBLIC_URL", "https://play.example.com/#"}, "PUBLIC_URL: has a query or a fragment", ""},
		{"credentials", []string{"PUBLIC_URL", "https://u:p@play.example.com"}, "PUBLIC_URL: contains credentials", ""},
		{"host alone", []string{"PUBLIC_URL", "play.example.com"}, "PUBLIC_URL: does not begin with http", "https://"},
		{"other scheme", []string{"PUBLIC_URL", "ftp://play.example.com"}, "PUBLIC_URL: does not begin with http", ""},
		{"no host", []string{"PUBLIC_URL", "https://"}, "PUBLIC_URL: names no host", ""},
		{"opaque", []string{"PUBLIC_URL", "https:play.example.com"}, "PUBLIC_URL: names no host", ""},
		{"not ASCII", []string{"PUBLIC_URL", "https://娃娃机.example.com"}, "PUBLIC_URL: has no valid host", "xn--"},
		{"dot at the end", []string{"PUBLIC_URL", "https://play.example.com."}, "PUBLIC_URL: has no valid host", ""},
		{"long host", []string{"PUBLIC_URL", "https://" + strings.Repeat("a.", 126) + "com"}, "PUBLIC_URL: has no valid host", ""},
		{"long label", []string{"PUBLIC_URL", "https://" + strings.Repeat("a", 64) + ".com"}, "PUBLIC_URL: has no valid host", ""},
		{"broken address", []string{"PUBLIC_URL", "https://10.0.0.256"}, "PUBLIC_URL: has no valid host", ""},
		{"control byte", []string{"PUBLIC_URL", "https://play.example.com\n.evil"}, "PUBLIC_URL: is not a URL", ""},
		{"a long text is cut", []string{"LOGIN", strings.Repeat("娃", 61)}, `LOGIN: "` + strings.Repeat("娃", 60) + `…" is not known`, ""},
		{"http while nobody knows whether it is allowed", []string{"PUBLIC_URL", "http://play.example.com", "INSECURE_HTTP", "ja"}, "INSECURE_HTTP: ", ""},
		{"not a switch", []string{"INSECURE_HTTP", "ja"}, `INSECURE_HTTP: "ja" is neither true nor false`, ""},

		{"upstream without scheme", []string{"UPSTREAM", "127.0.0.1:3000"}, `UPSTREAM: "127.0.0.1:3000" is not a URL`, "http://127.0.0.1:3000"},
		{"upstream host alone", []string{"UPSTREAM", "localhost:3000"}, `UPSTREAM: "localhost:3000" does not begin`, "http://127.0.0.1:3000"},
		{"upstream with path", []string{"UPSTREAM", "http://app:3000/base"}, `UPSTREAM: "http://app:3000/base" has a path`, "unchanged"},
		{"upstream with credentials", []string{"UPSTREAM", "http://u:hunter2@app"}, "UPSTREAM: the value contains credentials", ""},
		{"socket with two slashes", []string{"UPSTREAM", "unix://run/app.sock"}, `UPSTREAM: "unix://run/app.sock" is not the URL of a socket`, "unix:///run/app.sock"},
		{"socket without a path", []string{"UPSTREAM", "unix://"}, `UPSTREAM: "unix://" is not the URL of a socket`, ""},
		{"upstream port", []string{"UPSTREAM", "http://app:99999"}, "UPSTREAM: ", "no valid host"},
		{"only prefixes", []string{"UPSTREAM", "/api/=http://app"}, "UPSTREAM: has only targets for some paths", "without a prefix"},
		{"prefix without slash", []string{"UPSTREAM", "http://app,/api=http://api"}, "UPSTREAM: ", "does not end in a slash"},
		{"prefix with dots", []string{"UPSTREAM", "http://app,/a/../b/=http://api"}, "UPSTREAM: ", "not a plain path"},
		{"prefix with escapes", []string{"UPSTREAM", "http://app,/%61/=http://api"}, "UPSTREAM: ", "not a plain path"},
		{"two slashes as prefix", []string{"UPSTREAM", "http://app,//=http://api"}, "UPSTREAM: ", "not a plain path"},
		{"our own prefix", []string{"UPSTREAM", "http://app,/.wxgate/=http://api"}, "UPSTREAM: ", "belongs to wxgate"},
		{"prefix twice", []string{"UPSTREAM", "http://app,/a/=http://b,/a/=http://c"}, `UPSTREAM: "/a/=http://c" repeats a prefix`, ""},
		{"two for all paths", []string{"UPSTREAM", "http://app,http://b"}, `UPSTREAM: "http://b" is a second target`, "/api/="},
		{"prefix without target", []string{"UPSTREAM", "http://app,/api/"}, `UPSTREAM: "/api/" does not begin`, "http://127.0.0.1:3000"},
		{"upstream is the gateway", []string{"UPSTREAM", "http://localhost:8080"}, "UPSTREAM: ", "wxgate itself"},

		{"secrets of commas", []string{"SECRETS", ",,"}, "SECRETS: holds no key", "wxgate keygen"},
		{"short key", []string{"SECRETS", "AAECAwQFBgcICQ"}, "SECRETS: key 1 of 1 has 10 bytes instead of 32", "wxgate keygen"},
		{"second key is no base64", []string{"SECRETS", keyA + ",not a key"}, "SECRETS: key 2 of 2 is not base64url", "wxgate keygen"},
		{"standard base64", []string{"SECRETS", strings.Replace(keyA, "q", "+", 1)}, "SECRETS: key 1 of 1 is standard base64", "_ for /"},
		{"key twice", []string{"SECRETS", keyA + "," + keyA + "="}, "SECRETS: key 2 of 2 repeats", "remove"},

		{"store by path", []string{"STORE_URL", "wxgate.db"}, "STORE_URL: is not the URL of a store", "bolt:PATH"},
		{"unknown store", []string{"STORE_URL", "postgres://h/db"}, "STORE_URL: is not the URL of a store", "redis+cluster"},
		{"bolt without path", []string{"STORE_URL", "bolt:"}, "STORE_URL: names no file", "bolt:PATH"},
		{"bolt with slashes", []string{"STORE_URL", "bolt://wxgate.db"}, "STORE_URL: has slashes", "bolt:PATH"},
		{"redis without host", []string{"STORE_URL", "redis://"}, "STORE_URL: ", ""},
		{"redis without slashes", []string{"STORE_URL", "redis:host:6379"}, "STORE_URL: ", ""},
		{"redis port", []string{"STORE_URL", "redis://h:port"}, "STORE_URL: ", ""},
		{"several redis", []string{"STORE_URL", "redis://a:1,b:2"}, "STORE_URL: ", "redis+sentinel"},
		{"redis database", []string{"STORE_URL", "redis://a:1/main"}, "STORE_URL: ", "number of a database"},
		{"sentinel without master", []string{"STORE_URL", "redis+sentinel://a:1,b:2/0"}, "STORE_URL: ", "master=NAME"},
		{"unescaped password", []string{"STORE_URL", "redis://:pa/ss@h:6379"}, "STORE_URL: ", ""},

		{"route", []string{"ROUTES", "everybody /"}, "ROUTES: ", "everybody /"},

		{"URL as host", []string{"ALLOWED_HOSTS", "https://www.example.com"}, `ALLOWED_HOSTS: "https://www.example.com" is a URL`, "host alone"},
		{"pattern", []string{"ALLOWED_HOSTS", "*.example.com"}, `ALLOWED_HOSTS: "*.example.com" is a pattern`, "list each"},
		{"host with path", []string{"ALLOWED_HOSTS", "a.example.com/x"}, `ALLOWED_HOSTS: "a.example.com/x" is not a host`, "play.example.com"},
		{"host with a port", []string{"ALLOWED_HOSTS", "a.example.com:8443"}, `ALLOWED_HOSTS: "a.example.com:8443" has a port`, "write a.example.com"},

		{"any origin", []string{"ALLOWED_ORIGINS", "*"}, `ALLOWED_ORIGINS: "*" would let every page`, "list each"},
		{"null origin", []string{"ALLOWED_ORIGINS", "null"}, `ALLOWED_ORIGINS: "null" does not begin`, "https://app.example.com"},
		{"origin with path", []string{"ALLOWED_ORIGINS", "https://a.example.com/x"}, "ALLOWED_ORIGINS: ", "has a path"},

		{"foreign cookie domain", []string{"COOKIE_DOMAIN", "example.org"}, `COOKIE_DOMAIN: "example.org" is not the public host`, "drop the cookie"},
		{"half a label", []string{"COOKIE_DOMAIN", "ample.com"}, `COOKIE_DOMAIN: "ample.com" is not the public host`, ""},
		{"below the host", []string{"COOKIE_DOMAIN", "a.play.example.com"}, "COOKIE_DOMAIN: ", "nor above it"},
		{"top level", []string{"COOKIE_DOMAIN", "com"}, `COOKIE_DOMAIN: "com" has no dot`, "example.com"},
		{"public suffix", []string{"COOKIE_DOMAIN", "com.cn", "PUBLIC_URL", "https://play.com.cn"}, `COOKIE_DOMAIN: "com.cn" is a public suffix`, "below it"},
		{"address as domain", []string{"COOKIE_DOMAIN", "127.0.0.1", "PUBLIC_URL", "http://127.0.0.1"}, `COOKIE_DOMAIN: "127.0.0.1" is an address`, ""},
		{"nonsense as domain", []string{"COOKIE_DOMAIN", "-a.com"}, `COOKIE_DOMAIN: "-a.com" is not a domain`, "example.com"},

		{"proxy by name", []string{"TRUSTED_PROXIES", "10.0.0.0/8,lb.internal"}, `TRUSTED_PROXIES: "lb.internal" is neither`, "192.0.2.7"},
		{"proxy too wide", []string{"TRUSTED_PROXIES", "10.0.0.0/33"}, `TRUSTED_PROXIES: "10.0.0.0/33" is neither`, ""},
		{"rate without unit", []string{"LOGIN_RATE", "60"}, `LOGIN_RATE: "60" is not a rate`, "60/m"},
		{"rate per day", []string{"LOGIN_RATE", "60/d"}, `LOGIN_RATE: "60/d" is not a rate`, "60/m"},
		{"rate of zero", []string{"LOGIN_RATE", "0/s"}, `LOGIN_RATE: "0/s" would let nobody log in`, "60/m"},
		{"level", []string{"LOG_LEVEL", "verbose"}, `LOG_LEVEL: "verbose" is not a level`, "debug"},
		{"format", []string{"LOG_FORMAT", "xml"}, `LOG_FORMAT: "xml" is not known`, "json or text"},
		{"file without body", []string{"VERIFY_FILES", "a.txt="}, `VERIFY_FILES: "a.txt=" has no content`, "NAME.txt=BODY"},
		{"file in a folder", []string{"VERIFY_FILES", "x/a.txt=a"}, `VERIFY_FILES: "x/a.txt" is not the name`, "without a folder"},
		{"file of another kind", []string{"VERIFY_FILES", "a.html=a"}, `VERIFY_FILES: "a.html" is not the name`, ".txt"},
		{"hidden file", []string{"VERIFY_FILES", "..txt=a"}, `VERIFY_FILES: "..txt" is not the name`, ".txt"},
		{"file twice", []string{"VERIFY_FILES", "a.txt=a,a.txt=b"}, `VERIFY_FILES: "a.txt" is given twice`, "keep one"},

		{"AppID", []string{"MP_APP_ID", "my app"}, "MP_APP_ID: is not an AppID", "WeChat console"},
		{"AppSecret with a line break", []string{"MP_APP_SECRET", "abc\n"}, "MP_APP_SECRET: contains a blank", "copy it again"},
		{"platform", []string{"PLATFORM_ID", "a b"}, "PLATFORM_ID: contains a blank", ""},
		{"login", []string{"LOGIN", "loud"}, `LOGIN: "loud" is not known`, "silent or consent"},
		{"snapshot", []string{"SNAPSHOT", "deny"}, `SNAPSHOT: "deny" is not known`, "guide or visitor"},
		{"WeChat over http", []string{"WECHAT_API_URL", "http://api.weixin.qq.com"}, "WECHAT_API_URL: would send secrets over plain http", "https://api.weixin.qq.com"},
		{"WeChat without scheme", []string{"WECHAT_OPEN_URL", "open.weixin.qq.com"}, "WECHAT_OPEN_URL: does not begin", "https://open.weixin.qq.com"},

		{"Yunxin without secret", []string{"YUNXIN_APP_KEY", "k"}, "YUNXIN_APP_SECRET: required, because", "WXGATE_YUNXIN_APP_KEY"},
		{"Yunxin without key", []string{"YUNXIN_APP_SECRET", "s"}, "YUNXIN_APP_KEY: required, because", "WXGATE_YUNXIN_APP_SECRET"},
		{"Yunxin required but off", []string{"YUNXIN_REQUIRED", "true"}, "YUNXIN_REQUIRED: is true without", "WXGATE_YUNXIN_APP_KEY"},
		{"Yunxin API", []string{"YUNXIN_API", "v3"}, `YUNXIN_API: "v3" is not known`, "v2 or v1"},
		{"Yunxin over http", []string{"YUNXIN_URLS", "http://yunxin.example.com"}, "YUNXIN_URLS: ", "plain http"},
		{"Yunxin token", []string{"YUNXIN_TOKEN", "none"}, `YUNXIN_TOKEN: "none" is not known`, "static or dynamic"},
		{"name template", []string{"DEFAULT_NAME", "玩家{{.Digits"}, "DEFAULT_NAME: ", "玩家{{.Digits}}"},

		{"key is no PEM", []string{"JWT_KEY", "secret"}, "JWT_KEY: no PEM private key found", "P-256"},
		{"PEM is no key", []string{"JWT_KEY", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "JWT_KEY: ", "P-256"},
		{"issuer with a blank", []string{"JWT_ISSUER", "a b"}, "JWT_ISSUER: contains a blank", ""},
		{"not a switch either", []string{"PLAIN_HEADERS", "maybe"}, `PLAIN_HEADERS: "maybe" is neither`, "true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newConfig(minimal(tt.vars...))
			if err == nil {
				t.Fatal("accepted")
			}
			got := err.Error()
			if strings.Contains(got, "\n") || !strings.HasPrefix(got, "WXGATE_"+tt.want) || !strings.Contains(got, tt.also) {
				t.Errorf("got\n%s\nwant one line beginning %q with %q", got, "WXGATE_"+tt.want, tt.also)
			}
		})
	}
}

// TestAllFaultsTogether breaks everything that can be broken and expects every variable in the order of the table.
func TestAllFaultsTogether(t *testing.T) {
	vars := map[string]string{"WXGATE_ANOTHER": "x", "WXGATE_ALSO": "x"}
	var want []string
	for _, s := range new(config).settings() {
		name := s.base().name
		vars[name] = "\x01"
		want = append(want, name)
	}
	want = append(want, "WXGATE_ALSO", "WXGATE_ANOTHER")
	delete(vars, "WXGATE_UPSTREAM") // a missing one takes its place among the wrong ones
	vars["WXGATE_DEFAULT_NAME"] = "{{"
	_, err := newConfig(vars)
	if err == nil {
		t.Fatal("accepted")
	}
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		name, _, _ := strings.Cut(line, ":")
		if len(got) == 0 || got[len(got)-1] != name {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables with faults (-want +got):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name string
		vars []string
		want string
	}{
		{"plain http", []string{"INSECURE_HTTP", "true", "PUBLIC_URL", "http://play.example.com"}, "WXGATE_INSECURE_HTTP: the public URL is plain http"},
		{"zeros", []string{"SECRETS", strings.Repeat("A", 43)}, "WXGATE_SECRETS: key 1 of 1 is too regular"},
		{"address", []string{"PUBLIC_URL", "https://192.0.2.1"}, "WXGATE_PUBLIC_URL: is an address"},
		{"odd AppID", []string{"MP_APP_ID", "test-account"}, "WXGATE_MP_APP_ID: does not look like"},
		{"the world as proxy", []string{"TRUSTED_PROXIES", "0.0.0.0/0"}, `WXGATE_TRUSTED_PROXIES: "0.0.0.0/0" trusts the whole world`},
		{"origin over http", []string{"ALLOWED_ORIGINS", "http://app.example.com"}, `WXGATE_ALLOWED_ORIGINS: "http://app.example.com" is plain http`},
		{"a port by hand", []string{"PORT", "8080"}, "WXGATE_PORT: ignored"},
		{"http allowed but not used", []string{"INSECURE_HTTP", "true"}, ""},
		{"http on loopback", []string{"PUBLIC_URL", "http://localhost:8080"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := newConfig(minimal(tt.vars...))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(c.warnings(), "\n")
			if !strings.HasPrefix(got, tt.want) || strings.Contains(got, "\n") || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestFields guards what the table and the parser take for granted of every field.
func TestFields(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range new(config).settings() {
		v := s.base()
		if !strings.HasPrefix(v.name, envPrefix) || seen[v.name] || v.name != strings.ToUpper(v.name) {
			t.Errorf("%T has the name %q", s, v.name)
		}
		seen[v.name] = true
		if desc := v.tag.Get("desc"); desc == "" || strings.Count(desc, "'")%2 != 0 {
			t.Errorf("%s has no description, or one with an odd quote: %q", v.name, desc)
		}
		if kubernetesName.MatchString(v.name) {
			t.Errorf("%s has a name that Kubernetes could inject", v.name)
		}
	}
	if reflect.TypeFor[config]().NumField() == 0 || len(seen) < 40 {
		t.Errorf("only %d variables", len(seen))
	}
}

func TestVariableTable(t *testing.T) {
	const begin, end = "<!-- variables -->\n", "<!-- /variables -->"
	readme := filepath.Join("..", "..", "README.md")
	page, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(page, []byte(begin))
	got, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		t.Fatalf("README.md has no block between %q and %q", begin, end)
	}
	var want bytes.Buffer
	writeVariableTable(&want)
	want.WriteByte('\n')
	if bytes.Equal(got, want.Bytes()) {
		return
	}
	if !*update {
		t.Fatalf("the variable table of README.md differs from the configuration; run go test ./cmd/wxgate -run TestVariableTable -update\n%s",
			cmp.Diff(want.String(), string(got)))
	}
	page = bytes.Join([][]byte{before, []byte(begin), want.Bytes(), []byte(end), after}, nil)
	if err := os.WriteFile(readme, page, 0o644); err != nil {
		t.Fatal(err)
	}
}
