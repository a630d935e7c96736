package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// setEnv gives this process the variables, and takes away every other one of ours for as long as the test runs.
func setEnv(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, text, _ := strings.Cut(entry, "="); strings.HasPrefix(name, envPrefix) {
			t.Setenv(name, text) // so that the end of the test brings it back
			os.Unsetenv(name)
		}
	}
	for name, text := range vars {
		t.Setenv(name, text)
	}
}

func writeFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnknownNames(t *testing.T) {
	tests := []struct {
		name, want string // want is the nearest known name; empty if the name is ignored
	}{
		{"WXGATE_PUBLIC_ULR", "WXGATE_PUBLIC_URL"},
		{"WXGATE_UPSTREAMS", "WXGATE_UPSTREAM"},
		{"WXGATE_SECRET", "WXGATE_SECRETS"},
		{"WXGATE_SECRETS_FIEL", "WXGATE_SECRETS_FILE"},
		{"WXGATE_JWT_KEYS_FILE", "WXGATE_JWT_KEY_FILE"},
		{"WXGATE_LISTEN_FILE", "WXGATE_LISTEN"}, // not a secret
		{"WXGATE_MP_APPID", "WXGATE_MP_APP_ID"},
		{"WXGATE_YUNXIN_APPKEY", "WXGATE_YUNXIN_APP_KEY"},
		{"WXGATE_log_level", "WXGATE_LOG_LEVEL"},
		{"WXGATE_SERVICE", "WXGATE_SECRETS"},
		{"WXGATE_PORTS", "WXGATE_ROUTES"},
		{"WXGATE_SERVICE_HOSTS", "WXGATE_ALLOWED_HOSTS"},
		// Not ours at all.
		{"WXGATEWAY_URL", ""},
		{"wxgate_listen", ""},
		{"JWT_KEY", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars := minimal()
			vars[tt.name] = "tcp://10.0.0.1:80"
			c, err := newConfig(vars)
			want := tt.name + ": unknown; the nearest known variable is " + tt.want
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("not ignored: %v", err)
			case tt.want == "" && len(c.warnings()) > 0:
				t.Errorf("warned of: %q", c.warnings())
			case tt.want != "" && (err == nil || err.Error() != want):
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

// What Kubernetes injects for Services named wxgate, wxgate-redis and wxgate-port.
func TestKubernetesNames(t *testing.T) {
	vars := minimal()
	injected := map[string]string{
		"WXGATE_SERVICE_HOST":             "10.0.0.1",
		"WXGATE_SERVICE_PORT":             "80",
		"WXGATE_SERVICE_PORT_HTTP":        "80",
		"WXGATE_PORT":                     "tcp://10.0.0.1:80",
		"WXGATE_PORT_80_TCP":              "tcp://10.0.0.1:80",
		"WXGATE_PORT_80_TCP_PROTO":        "tcp",
		"WXGATE_PORT_80_TCP_PORT":         "80",
		"WXGATE_PORT_80_TCP_ADDR":         "10.0.0.1",
		"WXGATE_REDIS_SERVICE_HOST":       "10.0.0.2",
		"WXGATE_REDIS_SERVICE_PORT":       "6379",
		"WXGATE_REDIS_SERVICE_PORT_REDIS": "6379",
		"WXGATE_REDIS_PORT":               "tcp://10.0.0.2:6379",
		"WXGATE_REDIS_PORT_6379_TCP_ADDR": "10.0.0.2",
		"WXGATE_PORT_SERVICE_HOST":        "10.0.0.3",
		"WXGATE_PORT_PORT":                "tcp://10.0.0.3:80",
	}
	maps.Copy(vars, injected)
	c, err := newConfig(vars)
	if err != nil {
		t.Fatalf("not ignored: %v", err)
	}
	if w := c.warnings(); len(w) > 0 {
		t.Errorf("warned of: %q", w)
	}
}

// The app's own variables must not become ours: envconfig falls back to names without prefix if it is let.
func TestNamesWithoutPrefixAreNotRead(t *testing.T) {
	vars := minimal()
	vars["LISTEN"], vars["JWT_ISSUER"], vars["SECRETS"] = ":1", "the app", "of the app"
	setEnv(t, vars)
	c, err := loadConfig()
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen.Value != ":8080" || c.JWTIssuer.Value != "https://play.example.com" {
		t.Errorf("read from names without prefix: listen %q, issuer %q", c.Listen.Value, c.JWTIssuer.Value)
	}
}

func TestSecretFiles(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	tests := []struct{ name, content, want string }{
		{"bare", secret, secret},
		{"newline", secret + "\n", secret},
		{"newline of Windows", secret + "\r\n", secret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars := minimal("MP_APP_SECRET", "", "MP_APP_SECRET_FILE", writeFile(t, tt.content))
			setEnv(t, vars)
			c, err := loadConfig()
			if err != nil {
				t.Fatal(err)
			}
			if got := c.MPAppSecret.Value; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("every secret", func(t *testing.T) {
		vars := minimal("YUNXIN_APP_KEY", "key")
		for _, s := range new(config).settings() {
			if s.secret() {
				delete(vars, s.base().name)
			}
		}
		vars["WXGATE_SECRETS_FILE"] = writeFile(t, keyA+","+keyB+"\n")
		vars["WXGATE_STORE_URL_FILE"] = writeFile(t, "redis://:x@redis:6379/0\n")
		vars["WXGATE_MP_APP_SECRET_FILE"] = writeFile(t, "a")
		vars["WXGATE_YUNXIN_APP_SECRET_FILE"] = writeFile(t, "b")
		vars["WXGATE_JWT_KEY_FILE"] = writeFile(t, newPEM(t))
		setEnv(t, vars)
		c, err := loadConfig()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.settings() {
			if s.secret() && vars[s.base().name+"_FILE"] == "" {
				t.Errorf("this test lacks %s_FILE", s.base().name)
			}
		}
		if len(c.Secrets.Value) != 2 || c.StoreURL.Value != "redis://:x@redis:6379/0" || c.MPAppSecret.Value != "a" ||
			c.YunxinAppSecret.Value != "b" || len(c.JWTKey.Value) == 0 {
			t.Error("not every secret arrived from its file")
		}
	})
}

func TestSecretFileFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	folder := t.TempDir()
	tests := []struct {
		name string
		vars []string
		want string
	}{
		{"missing", []string{"SECRETS", "", "SECRETS_FILE", missing}, "WXGATE_SECRETS_FILE: cannot read " + missing + ": no such file or directory"},
		{"folder", []string{"SECRETS", "", "SECRETS_FILE", folder}, "WXGATE_SECRETS_FILE: cannot read " + folder + ": is a directory"},
		{"both", []string{"SECRETS_FILE", missing}, "WXGATE_SECRETS: WXGATE_SECRETS_FILE is given too; keep one of the two"},
		{"empty", []string{"JWT_KEY_FILE", writeFile(t, "\n")}, " is empty"},
		{"large", []string{"JWT_KEY_FILE", writeFile(t, strings.Repeat("x", maxSecretFile+1))}, " is larger than 1 MiB"},
		{"two newlines", []string{"MP_APP_SECRET", "", "MP_APP_SECRET_FILE", writeFile(t, "a\n\n")}, "WXGATE_MP_APP_SECRET: contains a blank"},
		{"the store's default is no reason", []string{"STORE_URL_FILE", writeFile(t, "nothing\n")}, "WXGATE_STORE_URL: is not the URL of a store"},
		{"the secret itself", []string{"MP_APP_SECRET", "", "MP_APP_SECRET_FILE", "cafebabecafebabe"},
			"WXGATE_MP_APP_SECRET_FILE: cannot read the file (not named here, because the value does not look like a path): no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnv(t, minimal(tt.vars...))
			_, err := loadConfig()
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); strings.Contains(got, "\n") || !strings.Contains(got, tt.want) {
				t.Errorf("got\n%s\nwant one line with %s", got, tt.want)
			}
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		if os.Getuid() == 0 || runtime.GOOS == "windows" {
			t.Skip("this user may read every file")
		}
		path := writeFile(t, "a")
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		setEnv(t, minimal("JWT_KEY_FILE", path))
		if _, err := loadConfig(); err == nil || !strings.Contains(err.Error(), "cannot read "+path+": permission denied") {
			t.Errorf("got %v", err)
		}
	})
}

// TestSecretsAreNeverPrinted gives every secret in every valid and broken form that a person could produce, and reads
// all that the commands print for it.
func TestSecretsAreNeverPrinted(t *testing.T) {
	const mark = "hunter2hunter2"
	key := newPEM(t)
	body := strings.Split(key, "\n")[1]
	badPasswords := []string{mark + " ", "a " + mark, "\t" + mark, mark + "\x01", mark + "\n" + mark}
	forms := map[string]struct{ valid, broken []string }{
		"WXGATE_SECRETS": {
			valid: []string{keyA, keyA + "," + keyB, " " + keyB + "= ,"},
			broken: []string{
				mark, keyA + "," + mark, mark + "," + keyA, " " + mark + " ", keyA + "," + keyA, strings.Repeat(mark, 20),
				mark + "+/", mark + "\n" + mark, "redis://:" + mark + "@h", "-" + mark, keyA + keyB, keyA + ";" + keyB,
			},
		},
		"WXGATE_MP_APP_SECRET":     {valid: []string{mark, mark + "/+=@"}, broken: badPasswords},
		"WXGATE_YUNXIN_APP_SECRET": {valid: []string{mark, mark + "/+=@"}, broken: badPasswords},
		"WXGATE_JWT_KEY": {
			valid: []string{key, "Key of play.example.com:\n" + key + key},
			broken: []string{
				mark, body, strings.ReplaceAll(key, "\n", ""), strings.ReplaceAll(key, "\n", `\n`), key[:len(key)/2], key[30:],
				strings.ReplaceAll(key, "PRIVATE", "PUBLIC"), strings.Replace(key, body, body+mark, 1), strings.ReplaceAll(key, "PRIVATE", mark),
			},
		},
		"WXGATE_STORE_URL": {
			valid: []string{
				"redis://:" + mark + "@h:6379/0", "redis://u:" + mark + "@h", "redis://:a@" + mark + "@h", "redis://:a:" + mark + "@h",
				"redis+sentinel://a,b/0?master=m&sentinel_password=" + mark, "redis+cluster://:" + mark + "@a:1,b:2",
			},
			broken: []string{
				mark, "://" + mark, "rediss://u:" + mark + "@h:x", "redis://" + mark + "@h", "redis://:a/" + mark + "@h", "redis://:a?" + mark + "@h",
				"redis://:%zz" + mark + "@h", "redis:" + mark + "@h", "postgres://u:" + mark + "@h", "redis+sentinel://a,b/0?sentinel_password=" + mark,
				"redis://h/0?password=" + mark, "redis://h/" + mark, "redis://h:6379:" + mark, "redis://:" + mark, "redis://h?tls=" + mark,
				"redis://h?ca=" + "/nowhere&x=" + mark, "bolt://" + mark,
			},
		},
	}
	var names []string
	rows := 0
	for _, s := range new(config).settings() {
		if name := s.base().name; s.secret() {
			if len(forms[name].valid) == 0 || len(forms[name].broken) == 0 {
				t.Fatalf("no forms of %s", name)
			}
			names = append(names, name)
			rows = max(rows, len(forms[name].valid), len(forms[name].broken))
		}
	}
	// One row gives all secrets at once, in the ways that the environment has for it.
	give := func(want int, row int, broken bool, way func(name, form string) map[string]string) {
		t.Helper()
		vars := minimal("YUNXIN_APP_KEY", "key")
		for _, name := range names {
			list := forms[name].valid
			if broken {
				list = forms[name].broken
			}
			delete(vars, name)
			maps.Copy(vars, way(name, list[row%len(list)]))
		}
		code, out := outputOf(t, vars)
		if code != want {
			t.Errorf("%q: exit code %d, want %d:\n%s", vars, code, want, out)
		}
		for _, secret := range []string{mark, body, keyA, keyB} {
			if strings.Contains(out, secret) {
				t.Errorf("%q prints\n%s", vars, out)
			}
		}
	}
	direct := func(name, form string) map[string]string { return map[string]string{name: form} }
	inFile := func(name, form string) map[string]string {
		return map[string]string{name + "_FILE": writeFile(t, form+"\r\n")}
	}
	asFile := func(name, form string) map[string]string { return map[string]string{name + "_FILE": form} }
	twice := func(name, form string) map[string]string {
		return map[string]string{name: form, name + "_FILE": writeFile(t, form)}
	}
	misspelt := func(name, form string) map[string]string { return map[string]string{name + "_": form} }
	for row := range rows {
		give(exitOK, row, false, direct)
		give(exitOK, row, false, inFile)
		for _, way := range []func(name, form string) map[string]string{asFile, twice, misspelt} {
			give(exitUsage, row, false, way)
		}
		for _, way := range []func(name, form string) map[string]string{direct, inFile, asFile, twice, misspelt} {
			give(exitUsage, row, true, way)
		}
	}
	// Passwords also end up where no secret belongs.
	for _, name := range []string{"PUBLIC_URL", "UPSTREAM", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "WECHAT_API_URL", "YUNXIN_URLS", "TRUSTED_PROXIES", "LISTEN"} {
		code, out := outputOf(t, minimal(name, "http://user:"+mark+"@example.com:x"))
		if strings.Contains(out, mark) || !strings.Contains(out, "WXGATE_"+name+": ") || code != exitUsage {
			t.Errorf("exit code %d; %s prints\n%s", code, name, out)
		}
	}
}

// outputOf is what `wxgate config` exits with and prints, to either stream, in an environment.
func outputOf(t *testing.T, vars map[string]string) (code int, out string) {
	t.Helper()
	setEnv(t, vars)
	var both bytes.Buffer
	code = run([]string{"config"}, &both, &both)
	return code, both.String()
}

func newPEM(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"abc", "abc", 0},
		{"kitten", "sitting", 3}, {"ULR", "URL", 2}, {"flaw", "lawn", 2},
	}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
