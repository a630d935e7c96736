package clawmachine

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed static
var static embed.FS

var pages = template.Must(template.ParseFS(static, "static/*.html"))

// pagePolicy lets the page run its own modules and nothing else. Avatars come from
// wherever WeChat keeps them. There is no form-action: browsers apply it to the
// redirects after a form too, and the demo's switch ends at the simulated WeChat.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' http: https: data:; base-uri 'none'; frame-ancestors 'none'"

// pageData fills index.html.
type pageData struct {
	YunxinProof bool // whether a Yunxin token can be tried
	Switcher    *switcherData
}

type switcherData struct {
	Switcher
	Visitor, Client string
}

// servePage sends no Cache-Control, as apps do; the gateway supplies one that keeps
// a page from outliving its session in the browser's cache.
func (a *App) servePage(w http.ResponseWriter, r *http.Request) {
	data := pageData{YunxinProof: a.config.YunxinLoginURL != ""}
	if a.config.Switcher.Action != "" {
		data.Switcher = &switcherData{
			Switcher: a.config.Switcher, Visitor: cookie(r, "demo_visitor"), Client: cookie(r, "demo_client"),
		}
	}
	a.render(w, "index.html", data)
}

func (a *App) serveBye(w http.ResponseWriter, r *http.Request) { a.render(w, "bye.html", nil) }

func (a *App) render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		a.config.Logger.Error("rendering a page", "page", name, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(b.Bytes())
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// assetTags are the entity tags of everything under static/assets. Embedded files
// have no date, and modules that import each other cannot carry versions in their names.
var assetTags = func() map[string]string {
	tags := make(map[string]string)
	err := fs.WalkDir(static, "static/assets", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := static.ReadFile(path)
		sum := sha256.Sum256(b)
		tags[path] = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		return err
	})
	if err != nil {
		panic(err) // reading what was compiled in
	}
	return tags
}()

func (a *App) serveAsset(w http.ResponseWriter, r *http.Request) {
	path := "static" + r.URL.Path
	tag, ok := assetTags[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, static, path)
}
