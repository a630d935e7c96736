package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
		c.QR.Value, c.ForwardAuth.Value, c.KeepFragment.Value, c.Inject.Value, len(c.ClearCookies.Value), c.WebAppID.Value, c.WebAppSecret.Value,
	}
	want := []any{
		":8080", 5 * time.Second, "https://play.example.com", "http://127.0.0.1:3000",
		32, "bolt:wxgate.db", 720 * time.Hour, 60, time.Minute,
		"silent", "v2", []string{"https://open.yunxinapi.com", "https://open-bak.yunxinapi.com"},
		"https://play.example.com", "play.example.com", true,
		"phone", false, false, false, 0, "", "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// wantShown wants a line of the print-out, without WXGATE_.
func wantShown(t *testing.T, vars map[string]string, want string) {
	t.Helper()
	c, err := newConfig(vars)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c.print(&out)
	if !strings.Contains(out.String(), "WXGATE_"+want+"\n") {
		t.Errorf("no line %s in\n%s", want, &out)
	}
}

// wantWarning wants one warning that begins so, or none.
func wantWarning(t *testing.T, vars map[string]string, want string) {
	t.Helper()
	c, err := newConfig(vars)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(c.warnings(), "\n")
	if !strings.HasPrefix(got, want) || strings.Contains(got, "\n") || want == "" && got != "" {
		t.Errorf("got %q, want %q", got, want)
	}
}

// wantFault wants one fault that begins so, without WXGATE_, and says this too.
func wantFault(t *testing.T, vars map[string]string, want, also string) {
	t.Helper()
	_, err := newConfig(vars)
	if err == nil {
		t.Fatal("accepted")
	}
	got := err.Error()
	if strings.Contains(got, "\n") || !strings.HasPrefix(got, "WXGATE_"+want) || !strings.Contains(got, also) {
		t.Errorf("got\n%s\nwant one line beginning %q with %q", got, "WXGATE_"+want, also)
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
		{"only forward-auth", []string{"UPSTREAM", "", "FORWARD_AUTH", "true", "TRUSTED_PROXIES", "10.0.0.0/8"}, "UPSTREAM= (default: required unless forward-auth only)"},
		{"forward-auth beside an upstream", []string{"FORWARD_AUTH", "true", "TRUSTED_PROXIES", "192.0.2.7"}, "FORWARD_AUTH=true"},
		{"answers on several lines", []string{"ANSWERS", `POST /login = {"id":"{{.User}}"}` + "\n" + `GET /who = {"name":"{{.Name}}"}`},
			`ANSWERS="POST /login = {\"id\":\"{{.User}}\"}\nGET /who = {\"name\":\"{{.Name}}\"}"`},
		{"answer of a token", []string{"ANSWERS", `GET /t = {"t":"{{.Token}}"}`, "YUNXIN_APP_KEY", "k", "YUNXIN_APP_SECRET", "s"},
			`ANSWERS=GET /t = {"t":"{{.Token}}"}`},
		{"keep the fragment", []string{"KEEP_FRAGMENT", "true"}, "KEEP_FRAGMENT=true"},
		{"inject", []string{"INJECT", "true"}, "INJECT=true"},
		{"cookies", []string{"CLEAR_COOKIES", " sid, token = /game/ ,sid=/game,__Host-app,"}, "CLEAR_COOKIES=sid=/,token=/game/,sid=/game,__Host-app=/"},
		{"no account at all", []string{"MP_APP_ID", "", "MP_APP_SECRET", ""}, "MP_APP_SECRET= (default)"},
		{"website app alone", []string{"MP_APP_ID", "", "MP_APP_SECRET", "", "WEB_APP_ID", "wxweb", "WEB_APP_SECRET", "s"}, "WEB_APP_SECRET=***"},
		{"mobile app", []string{"MOBILE_APP_ID", "wxmobile", "MOBILE_APP_SECRET", "s"}, "MOBILE_APP_SECRET=***"},
		{"mini program", []string{"MINI_APP_ID", "wxmini", "MINI_APP_SECRET", "s"}, "MINI_APP_SECRET=***"},
		{"QR code without a website app", nil, "QR=phone (default)"},
		{"QR code with a website app", []string{"WEB_APP_ID", "wxweb", "WEB_APP_SECRET", "s"}, "QR=embed (default)"},
		{"QR code of the page", []string{"WEB_APP_ID", "wxweb", "WEB_APP_SECRET", "s", "QR", "embed"}, "QR=embed"},
		{"QR code of WeChat", []string{"WEB_APP_ID", "wxweb", "WEB_APP_SECRET", "s", "QR", "redirect"}, "QR=redirect"},
		{"QR code of our own beside a website app", []string{"WEB_APP_ID", "wxweb", "WEB_APP_SECRET", "s", "QR", " phone "}, "QR=phone"},
		{"audience", []string{"JWT_AUDIENCE", "claw"}, "JWT_AUDIENCE=claw"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantShown(t, minimal(tt.vars...), tt.want)
		})
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
		{"odd AppID of another account", []string{"MINI_APP_ID", "wxmini", "MINI_APP_SECRET", "s"}, "WXGATE_MINI_APP_ID: does not look like"},
		{"no account", []string{"MP_APP_ID", "", "MP_APP_SECRET", ""}, "WXGATE_MP_APP_ID: no account of WeChat is given"},
		{"the mini program is an account", []string{"MP_APP_ID", "", "MP_APP_SECRET", "", "MINI_APP_ID", "wx0123456789abcdef", "MINI_APP_SECRET", "s"}, ""},
		{"the world as proxy", []string{"TRUSTED_PROXIES", "0.0.0.0/0"}, `WXGATE_TRUSTED_PROXIES: "0.0.0.0/0" trusts the whole world`},
		{"origin over http", []string{"ALLOWED_ORIGINS", "http://app.example.com"}, `WXGATE_ALLOWED_ORIGINS: "http://app.example.com" is plain http`},
		{"a port by hand", []string{"PORT", "8080"}, "WXGATE_PORT: ignored"},
		{"http allowed but not used", []string{"INSECURE_HTTP", "true"}, ""},
		{"http on loopback", []string{"PUBLIC_URL", "http://localhost:8080"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantWarning(t, minimal(tt.vars...), tt.want)
		})
	}
}

// Two apostrophes would turn what stands between them into code.
var apostrophe = regexp.MustCompile(`\pL'\pL`)

// TestFields guards what the table and the parser take for granted of every field.
func TestFields(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range new(config).settings() {
		v := s.base()
		if !strings.HasPrefix(v.name, envPrefix) || seen[v.name] || v.name != strings.ToUpper(v.name) {
			t.Errorf("%T has the name %q", s, v.name)
		}
		seen[v.name] = true
		if desc := v.tag.Get("desc"); desc == "" || strings.Count(desc, "'")%2 != 0 || apostrophe.MatchString(desc) {
			t.Errorf("%s has no description, or one with an odd quote or an apostrophe: %q", v.name, desc)
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
