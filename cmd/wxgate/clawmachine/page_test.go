package clawmachine

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	app, _, _ := newApp(t, nil)
	w := get(t, app, "/", "")
	page := w.Body.String()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, type %q", w.Code, w.Header().Get("Content-Type"))
	}
	if w.Header().Get("Cache-Control") != "" {
		t.Error("the page sets Cache-Control, which the demo leaves to the gateway")
	}
	if strings.Contains(page, `id="switch"`) {
		t.Error("a switch without an action")
	}
	if !strings.Contains(page, `action="/.wxgate/logout?next=/bye"`) || !strings.Contains(page, `href="/.wxgate/login?profile=1&amp;next=/"`) {
		t.Error("no way to log out or to share a profile")
	}
	if got := get(t, app, "/nowhere", "").Code; got != http.StatusNotFound {
		t.Errorf("an unknown path answered %d", got)
	}
	if got := get(t, app, "/bye", ""); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "已退出") {
		t.Errorf("bye answered %d", got.Code)
	}
}

func TestSwitcher(t *testing.T) {
	app, _, _ := newApp(t, func(c *Config) {
		c.Switcher = Switcher{
			Action:   "/demo/switch",
			Visitors: []Choice{{"mei", "小美"}, {"evil", `"><script>x</script>`}},
			Clients:  []Choice{{"ios", "iPhone 微信"}, {"none", "微信外"}},
		}
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "demo_visitor=evil; demo_client=none")
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	page := w.Body.String()
	for _, want := range []string{
		`<form method="post" action="/demo/switch" id="switch">`,
		`<option value="mei">小美</option>`,
		`<option value="evil" selected>`,
		`<option value="none" selected>微信外</option>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "<script>x") {
		t.Error("a label became markup")
	}
	if n := strings.Count(page, `id="logout"`); n != 1 {
		t.Errorf("%d log-out buttons", n)
	}
}

// The pages run under a policy that forbids anything inline, so there must be none;
// and everything they and the modules name has to exist.
func TestAssets(t *testing.T) {
	app, _, _ := newApp(t, nil)
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*[^>\s])?\s*>[^<]+</script>|<style|\sstyle=|\son\w+=|javascript:`)
	reference := regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"|from '\./([^']+)'|url\("?([^")]+)"?\)`)
	err := fs.WalkDir(static, "static", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := static.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".html") && inline.Match(b) {
			t.Errorf("%s has something inline: %s", path, inline.Find(b))
		}
		for _, m := range reference.FindAllStringSubmatch(string(b), -1) {
			url := m[1]
			if url == "" {
				url = "/assets/" + m[2] + m[3]
			}
			if w := get(t, app, url, ""); w.Code != http.StatusOK {
				t.Errorf("%s names %s, which answers %d", path, url, w.Code)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	w := get(t, app, "/assets/app.js", "")
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/javascript") {
		t.Errorf("modules are served as %q", got)
	}
	r := httptest.NewRequest("GET", "/assets/app.js", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	again := httptest.NewRecorder()
	app.ServeHTTP(again, r)
	if again.Code != http.StatusNotModified {
		t.Errorf("an unchanged module answered %d", again.Code)
	}
	for _, path := range []string{"/assets/", "/assets/none.js", "/assets/../index.html", "/assets/%2e%2e/index.html"} {
		if got := get(t, app, path, "").Code; got == http.StatusOK {
			t.Errorf("%s answered %d", path, got)
		}
	}
}
