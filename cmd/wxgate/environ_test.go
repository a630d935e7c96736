package main

import (
	"maps"
	"os"
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
		{"WXGATE_MINIAPP_ID", "WXGATE_MINI_APP_ID"},
		{"WXGATE_WEB_SECRET_FILE", "WXGATE_WEB_APP_SECRET_FILE"},
		{"WXGATE_QR_FILE", "WXGATE_QR"}, // not a secret either
		{"WXGATE_ANSWER", "WXGATE_ANSWERS"},
		{"WXGATE_CLEAR_COOKIE", "WXGATE_CLEAR_COOKIES"},
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
