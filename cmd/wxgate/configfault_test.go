package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		{"no upstream and no forward-auth", []string{"UPSTREAM", "", "FORWARD_AUTH", "false"}, "UPSTREAM: required", "http://127.0.0.1:3000"},
		{"no upstream while nobody knows whether it is needed", []string{"UPSTREAM", "", "FORWARD_AUTH", "ja"}, `FORWARD_AUTH: "ja" is neither`, "true"},
		{"forward-auth for nobody", []string{"FORWARD_AUTH", "true"}, "TRUSTED_PROXIES: required, because WXGATE_FORWARD_AUTH is true", "192.0.2.7"},
		{"forward-auth for nobody, without upstream", []string{"FORWARD_AUTH", "true", "UPSTREAM", ""}, "TRUSTED_PROXIES: required, because", ""},
		{"forward-auth for a list of nobody", []string{"FORWARD_AUTH", "true", "TRUSTED_PROXIES", ","}, "TRUSTED_PROXIES: required, because", ""},
		{"forward-auth for a wrong proxy", []string{"FORWARD_AUTH", "true", "TRUSTED_PROXIES", "lb"}, `TRUSTED_PROXIES: "lb" is neither a network`, ""},

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

		{"app on all interfaces", []string{"APP_LISTEN", ":9091"}, `APP_LISTEN: ":9091" would listen on all interfaces`, "127.0.0.1:9091"},
		{"app where operators are", []string{"APP_LISTEN", "127.0.0.1:9090"}, "APP_LISTEN: has the port of WXGATE_ADMIN_LISTEN", "9091"},
		{"app where browsers are", []string{"APP_LISTEN", "127.0.0.1:8080"}, "APP_LISTEN: has the port of WXGATE_LISTEN", "9091"},
		{"app on a socket without slashes", []string{"APP_LISTEN", "unix:app.sock"}, "APP_LISTEN: ", "unix:///run"},
		{"app by port alone", []string{"APP_LISTEN", "9091"}, `APP_LISTEN: "9091" would listen on all`, "127.0.0.1:9091"},
		{"app for other machines", []string{"APP_LISTEN", "10.0.0.7:9091"}, `APP_LISTEN: "10.0.0.7:9091" can be reached`, "force:10.0.0.7:9091"},
		{"app on a relative socket", []string{"APP_LISTEN", "unix://app.sock"}, "APP_LISTEN: is no absolute path", "unix:///run"},
		{"app without a port", []string{"APP_LISTEN", "localhost"}, `APP_LISTEN: "localhost" is no address`, "127.0.0.1:9091"},
		{"hook over plain http", []string{"HOOK_URL", "http://app.example.com/events"}, "HOOK_URL: would send personal data over plain http", "127.0.0.1"},
		{"hook with credentials", []string{"HOOK_URL", "https://u:hunter2@app.example.com/events"}, "HOOK_URL: contains credentials", ""},
		{"forward without scheme", []string{"MP_TOKEN", "token1234", "MESSAGE_FORWARD", "app:3000/messages"}, "MESSAGE_FORWARD: does not begin", "http://127.0.0.1"},
		{"forward without a push", []string{"MESSAGE_FORWARD", "http://app:3000/messages"}, "MESSAGE_FORWARD: has no messages to forward", "WXGATE_MP_TOKEN"},
		{"token of a push with a dash", []string{"MP_TOKEN", "to-ken"}, "MP_TOKEN: is no Token of a message push", "letters and digits"},
		{"AES key without token", []string{"MP_AES_KEY", strings.Repeat("k", 43)}, "MP_TOKEN: required, because WXGATE_MP_AES_KEY", ""},
		{"short AES key", []string{"MP_TOKEN", "token1234", "MP_AES_KEY", strings.Repeat("k", 42)}, "MP_AES_KEY: is no EncodingAESKey", "43"},
		{"push without account", []string{"MP_APP_ID", "", "MP_APP_SECRET", "", "MP_TOKEN", "token1234"}, "MP_TOKEN: is for a service account", "WXGATE_MP_APP_ID"},

		{"route", []string{"ROUTES", "everybody /"}, "ROUTES: ", "everybody /"},

		{"answer without a template", []string{"ANSWERS", "POST /tourist"}, "ANSWERS: line 1: ", "METHOD PATH = TEMPLATE"},
		{"second answer without a path", []string{"ANSWERS", "POST /tourist = {}\nGET = {}"}, "ANSWERS: line 2: ", "METHOD PATH = TEMPLATE"},
		{"answer of a token without Yunxin", []string{"ANSWERS", `GET /t = {"t":"{{.Token}}"}`}, "ANSWERS: uses .Account, .Token or .AppKey without", "WXGATE_YUNXIN_APP_KEY"},
		{"answer of a token with half an account", []string{"ANSWERS", `GET /t = {"t":"{{.Token}}"}`, "YUNXIN_APP_KEY", "k"}, "YUNXIN_APP_SECRET: required, because", ""},

		{"fragment switch", []string{"KEEP_FRAGMENT", "#"}, `KEEP_FRAGMENT: "#" is neither`, "true"},
		{"inject switch", []string{"INJECT", "wxgate.js"}, `INJECT: "wxgate.js" is neither`, "true"},
		{"cookie with a blank", []string{"CLEAR_COOKIES", "session id"}, `CLEAR_COOKIES: "session id" has no name of a cookie`, "NAME=PATH"},
		{"cookies apart by semicolons", []string{"CLEAR_COOKIES", "sid;token"}, `CLEAR_COOKIES: "sid;token" has no name of a cookie`, ""},
		{"cookie without a name", []string{"CLEAR_COOKIES", "=/game"}, `CLEAR_COOKIES: "=/game" has no name of a cookie`, ""},
		{"cookie with a value", []string{"CLEAR_COOKIES", "sid=1"}, `CLEAR_COOKIES: "sid=1" has no path of a cookie`, "sid=/game"},
		{"cookie with an empty path", []string{"CLEAR_COOKIES", "sid="}, `CLEAR_COOKIES: "sid=" has no path of a cookie`, ""},
		{"cookie with an attribute", []string{"CLEAR_COOKIES", "sid=/game; Secure"}, `CLEAR_COOKIES: "sid=/game; Secure" has no path`, ""},
		{"cookie path beyond ASCII", []string{"CLEAR_COOKIES", "sid=/娃娃"}, `CLEAR_COOKIES: "sid=/娃娃" has no path of a cookie`, ""},
		{"cookie path with a control byte", []string{"CLEAR_COOKIES", "sid=/a\rb"}, `CLEAR_COOKIES: "sid=/a\rb" has no path of a cookie`, ""},
		{"cookie twice", []string{"CLEAR_COOKIES", "sid,sid=/"}, `CLEAR_COOKIES: "sid=/" is given twice`, "keep one"},
		{"our own cookie", []string{"CLEAR_COOKIES", "sid,__Host-wxgate"}, `CLEAR_COOKIES: "__Host-wxgate" is a cookie of wxgate itself`, ""},
		{"our own cookie of pending logins", []string{"CLEAR_COOKIES", "wxgate-login=/"}, `CLEAR_COOKIES: "wxgate-login" is a cookie of wxgate`, ""},
		{"our own cookie of a domain", []string{"CLEAR_COOKIES", "__Secure-wxgate"}, `CLEAR_COOKIES: "__Secure-wxgate" is a cookie of wxgate`, ""},

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
		{"AppID of a website app", []string{"WEB_APP_ID", "my app", "WEB_APP_SECRET", "s"}, "WEB_APP_ID: is not an AppID", ""},
		{"AppID that is wrong and alone", []string{"WEB_APP_ID", "my app"}, "WEB_APP_ID: is not an AppID", ""},
		{"AppSecret that is wrong and alone", []string{"MINI_APP_SECRET", "a b"}, "MINI_APP_SECRET: contains a blank", ""},
		{"QR code", []string{"QR", "iframe"}, `QR: "iframe" is not known`, "embed or redirect or phone"},
		{"QR frame without a website app", []string{"QR", "embed"}, "QR: embed needs a website app", "give WXGATE_WEB_APP_ID and WXGATE_WEB_APP_SECRET"},
		{"QR page without a website app", []string{"QR", "redirect"}, "QR: redirect needs a website app", "WXGATE_WEB_APP_ID"},
		{"QR code for the phone without a service account", []string{"QR", "phone", "MP_APP_ID", "", "MP_APP_SECRET", "", "WEB_APP_ID", "wxweb", "WEB_APP_SECRET", "s"},
			"QR: phone needs a service account", "give WXGATE_MP_APP_ID and WXGATE_MP_APP_SECRET"},
		{"QR frame with half a website app", []string{"QR", "embed", "WEB_APP_SECRET", "s"}, "WEB_APP_ID: required, because", ""},
		{"QR frame with the other half", []string{"QR", "embed", "WEB_APP_ID", "wxweb"}, "WEB_APP_SECRET: required, because", ""},
		{"QR frame with a wrong AppSecret", []string{"QR", "embed", "WEB_APP_SECRET", "a b"}, "WEB_APP_SECRET: contains a blank", ""},
		{"QR code for the phone with half a service account", []string{"QR", "phone", "MP_APP_ID", ""}, "MP_APP_ID: required, because", ""},
		{"platform", []string{"PLATFORM_ID", "a b"}, "PLATFORM_ID: contains a blank", ""},
		{"login", []string{"LOGIN", "loud"}, `LOGIN: "loud" is not known`, "silent or consent"},
		{"snapshot", []string{"SNAPSHOT", "deny"}, `SNAPSHOT: "deny" is not known`, "guide or visitor"},
		{"WeChat over http", []string{"WECHAT_API_URL", "http://api.weixin.qq.com"}, "WECHAT_API_URL: would send secrets over plain http", "https://api.weixin.qq.com"},
		{"WeChat without scheme", []string{"WECHAT_OPEN_URL", "open.weixin.qq.com"}, "WECHAT_OPEN_URL: does not begin", "https://open.weixin.qq.com"},

		{"Yunxin without secret", []string{"YUNXIN_APP_KEY", "k"}, "YUNXIN_APP_SECRET: required, because", "WXGATE_YUNXIN_APP_KEY"},
		{"Yunxin without key", []string{"YUNXIN_APP_SECRET", "s"}, "YUNXIN_APP_KEY: required, because", "WXGATE_YUNXIN_APP_SECRET"},
		{"Yunxin required with half an account", []string{"YUNXIN_REQUIRED", "true", "YUNXIN_APP_SECRET", "s"}, "YUNXIN_APP_KEY: required, because", ""},
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
			wantFault(t, minimal(tt.vars...), tt.want, tt.also)
		})
	}
}

// TestHalfAccounts takes away the id or the secret of each account.
func TestHalfAccounts(t *testing.T) {
	for _, account := range []string{"MP", "WEB", "MOBILE", "MINI"} {
		id, secret := "WXGATE_"+account+"_APP_ID", "WXGATE_"+account+"_APP_SECRET"
		for missing, given := range map[string]string{id: secret, secret: id} {
			vars := minimal(account+"_APP_ID", "wx0123456789abcdef", account+"_APP_SECRET", "s")
			delete(vars, missing)
			_, err := newConfig(vars)
			if want := missing + ": required, because " + given + " is given"; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
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
	delete(vars, "WXGATE_PUBLIC_URL") // a missing one takes its place among the wrong ones
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
