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

func writeFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// allAccounts is minimal with every account, so that every secret has its place.
func allAccounts() map[string]string {
	return minimal("YUNXIN_APP_KEY", "key", "YUNXIN_APP_SECRET", "b",
		"WEB_APP_ID", "wx0123456789abcde1", "WEB_APP_SECRET", "c",
		"MOBILE_APP_ID", "wx0123456789abcde2", "MOBILE_APP_SECRET", "d",
		"MINI_APP_ID", "wx0123456789abcde3", "MINI_APP_SECRET", "e",
		"MP_TOKEN", "tokenOfThePush", "MP_AES_KEY", strings.Repeat("k", 43), "ADMIN_TOKEN", "f",
		"COMPONENT_APP_ID", "wx0123456789abcde4", "COMPONENT_APP_SECRET", "g", "COMPONENT_TOKEN", "tokenOfThePlatform",
		"COMPONENT_AES_KEY", strings.Repeat("k", 43), "COMPONENT_AES_KEY_PREVIOUS", strings.Repeat("p", 43))
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
		vars := allAccounts()
		for _, s := range new(config).settings() {
			if s.secret() {
				delete(vars, s.base().name)
			}
		}
		vars["WXGATE_SECRETS_FILE"] = writeFile(t, keyA+","+keyB+"\n")
		vars["WXGATE_STORE_URL_FILE"] = writeFile(t, "redis://:x@redis:6379/0\n")
		vars["WXGATE_MP_APP_SECRET_FILE"] = writeFile(t, "a")
		vars["WXGATE_YUNXIN_APP_SECRET_FILE"] = writeFile(t, "b")
		vars["WXGATE_WEB_APP_SECRET_FILE"] = writeFile(t, "c")
		vars["WXGATE_MOBILE_APP_SECRET_FILE"] = writeFile(t, "d")
		vars["WXGATE_MINI_APP_SECRET_FILE"] = writeFile(t, "e")
		vars["WXGATE_ADMIN_TOKEN_FILE"] = writeFile(t, "f")
		vars["WXGATE_MP_TOKEN_FILE"] = writeFile(t, "token1234\n")
		vars["WXGATE_MP_AES_KEY_FILE"] = writeFile(t, strings.Repeat("k", 43))
		vars["WXGATE_COMPONENT_APP_SECRET_FILE"] = writeFile(t, "g")
		vars["WXGATE_COMPONENT_TOKEN_FILE"] = writeFile(t, "token5678\n")
		vars["WXGATE_COMPONENT_AES_KEY_FILE"] = writeFile(t, strings.Repeat("n", 43))
		vars["WXGATE_COMPONENT_AES_KEY_PREVIOUS_FILE"] = writeFile(t, strings.Repeat("p", 43))
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
			c.YunxinAppSecret.Value != "b" || c.WebAppSecret.Value != "c" || c.MobileAppSecret.Value != "d" ||
			c.MiniAppSecret.Value != "e" || c.AdminToken.Value != "f" || c.MPToken.Value != "token1234" || len(c.MPAESKey.Value) != 43 || len(c.JWTKey.Value) == 0 ||
			c.ComponentAppSecret.Value != "g" || c.ComponentToken.Value != "token5678" || c.ComponentAESKey.Value[0] != 'n' || c.ComponentAESKeyPrevious.Value[0] != 'p' {
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
	// Whatever else misses the secret says nothing while its file is at fault.
	for _, tt := range []struct{ secret, id, qr string }{
		{"WXGATE_MP_APP_SECRET", "WXGATE_MP_APP_ID", "phone"},
		{"WXGATE_WEB_APP_SECRET", "WXGATE_WEB_APP_ID", "embed"},
		{"WXGATE_MOBILE_APP_SECRET", "WXGATE_MOBILE_APP_ID", ""},
		{"WXGATE_MINI_APP_SECRET", "WXGATE_MINI_APP_ID", ""},
		{"WXGATE_YUNXIN_APP_SECRET", "WXGATE_YUNXIN_APP_KEY", ""},
		{"WXGATE_COMPONENT_AES_KEY", "WXGATE_COMPONENT_AES_KEY_PREVIOUS", ""},
	} {
		for _, id := range []string{allAccounts()[tt.id], ""} {
			vars := allAccounts()
			vars["WXGATE_YUNXIN_REQUIRED"], vars["WXGATE_QR"] = "true", tt.qr
			vars[tt.id], vars[tt.secret], vars[tt.secret+"_FILE"] = id, "", missing
			setEnv(t, vars)
			_, err := loadConfig()
			if want := tt.secret + "_FILE: cannot read " + missing + ": no such file or directory"; err == nil || err.Error() != want {
				t.Errorf("%s=%s: got %v, want %s", tt.id, id, err, want)
			}
		}
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
	passwords := []string{mark, mark + "/+=@"}
	badTokens := []string{mark + "!", mark + mark + mark + mark + mark, "ä" + mark}
	aesKey := (mark + strings.Repeat("A", 43))[:43]
	badKeys := []string{mark, aesKey + "A", "-" + aesKey[:42]}
	badPasswords := []string{mark + " ", "a " + mark, "\t" + mark, mark + "\x01", mark + "\n" + mark}
	forms := map[string]struct{ valid, broken []string }{
		"WXGATE_SECRETS": {
			valid: []string{keyA, keyA + "," + keyB, " " + keyB + "= ,"},
			broken: []string{
				mark, keyA + "," + mark, mark + "," + keyA, " " + mark + " ", keyA + "," + keyA, strings.Repeat(mark, 20),
				mark + "+/", mark + "\n" + mark, "redis://:" + mark + "@h", "-" + mark, keyA + keyB, keyA + ";" + keyB,
			},
		},
		"WXGATE_MP_APP_SECRET":        {valid: passwords, broken: badPasswords},
		"WXGATE_WEB_APP_SECRET":       {valid: passwords, broken: badPasswords},
		"WXGATE_MOBILE_APP_SECRET":    {valid: passwords, broken: badPasswords},
		"WXGATE_MINI_APP_SECRET":      {valid: passwords, broken: badPasswords},
		"WXGATE_YUNXIN_APP_SECRET":    {valid: passwords, broken: badPasswords},
		"WXGATE_COMPONENT_APP_SECRET": {valid: passwords, broken: badPasswords},
		"WXGATE_ADMIN_TOKEN":          {valid: passwords, broken: badPasswords},
		"WXGATE_MP_TOKEN":             {valid: []string{mark}, broken: badTokens},
		"WXGATE_COMPONENT_TOKEN":      {valid: []string{mark}, broken: badTokens},
		"WXGATE_MP_AES_KEY":           {valid: []string{aesKey}, broken: badKeys},
		"WXGATE_COMPONENT_AES_KEY":    {valid: []string{aesKey}, broken: badKeys},
		"WXGATE_COMPONENT_AES_KEY_PREVIOUS": {
			valid: []string{aesKey[:42] + "Z"}, broken: append(badKeys, aesKey, aesKey[:42]+"B"),
		},
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
		vars := allAccounts()
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
	for _, name := range []string{
		"PUBLIC_URL", "UPSTREAM", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "WECHAT_API_URL", "YUNXIN_URLS", "TRUSTED_PROXIES", "LISTEN",
		"FORWARD_AUTH", "ANSWERS", "CLEAR_COOKIES", "QR", "WEB_APP_ID", "MOBILE_APP_ID", "MINI_APP_ID",
		"COMPONENT_APP_ID", "COMPONENT_ACCOUNTS", "WECHAT_MP_URL",
	} {
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
