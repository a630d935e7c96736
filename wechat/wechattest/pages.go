package wechattest

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed pages/style.css
var style []byte

//go:embed pages/jweixin.js
var jweixin []byte

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"avatar":  avatarPath,
	"display": display,
	"verifyFile": func(appid string) string {
		name, _ := verifyFile(appid)
		return name
	},
}).ParseFS(pageFiles, "pages/*.html"))

// page writes one of the embedded pages. Status 200 also for errors, as WeChat.
func (s *Server) page(w http.ResponseWriter, name string, data any) {
	s.pageIn(w, "'none'", name, data)
}

// pageIn is page for one that the ancestors may frame.
func (s *Server) pageIn(w http.ResponseWriter, ancestors, name string, data any) {
	nonce := random(22)
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, map[string]any{"Nonce": nonce, "Data": data}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// No form-action: it would also judge the redirect to the app's callback
	// that follows a form. connect-src is for the pages that call back twice or
	// wait for a scan.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; connect-src *; "+
		"script-src 'nonce-"+nonce+"'; base-uri 'none'; frame-ancestors "+ancestors)
	w.Write(out.Bytes())
}

// display makes a nickname fit to read.
func display(p Player) string {
	name := strings.ToValidUTF8(p.Nickname, "\uFFFD")
	if name == "" {
		return "（空昵称）"
	}
	if r := []rune(name); len(r) > 24 {
		return string(r[:24]) + "…"
	}
	return name
}

func avatarPath(player string) string { return controlPath + "avatar/" + player + ".svg" }

// portrait draws a face: colours, eyes and mouth follow from the id.
func portrait(player string) []byte {
	sum := sha256.Sum256([]byte(player))
	hue := int(sum[0]) * 360 / 256
	eyes := 34 + int(sum[1])%6
	mouth := 62 + int(sum[2])%10
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="132" height="132">`+
		`<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">`+
		`<stop offset="0" stop-color="hsl(%d 75%% 72%%)"/><stop offset="1" stop-color="hsl(%d 70%% 52%%)"/></linearGradient></defs>`+
		`<rect width="100" height="100" fill="url(#g)"/><circle cx="50" cy="54" r="33" fill="#fff" fill-opacity=".92"/>`+
		`<circle cx="%d" cy="49" r="4.5" fill="#2b2b33"/><circle cx="%d" cy="49" r="4.5" fill="#2b2b33"/>`+
		`<circle cx="30" cy="60" r="5" fill="hsl(%d 80%% 80%%)"/><circle cx="70" cy="60" r="5" fill="hsl(%d 80%% 80%%)"/>`+
		`<path d="M40 60Q50 %d 60 60" fill="none" stroke="#2b2b33" stroke-width="3.5" stroke-linecap="round"/></svg>`,
		hue, (hue+40)%360, eyes, 100-eyes, hue, hue, mouth+8)
}

// outside is the page for browsers that are not WeChat's.
func (s *Server) outside(w http.ResponseWriter, e Entry) {
	e.Result = "not wechat"
	s.record(e)
	s.page(w, "outside.html", nil)
}

// refusePage is WeChat's page for a link that it does not like.
func (s *Server) refusePage(w http.ResponseWriter, e Entry, bad *refusal) {
	e.Result, e.Errcode = "error page", bad.Code
	s.record(e)
	w.Header().Set(ErrorHeader, fmt.Sprint(bad.Code))
	s.page(w, "error.html", bad)
}
