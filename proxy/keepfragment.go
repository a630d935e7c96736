package proxy

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"strings"
)

// Servers never see the fragment of an address, and WeChat's own addresses end
// with one, "#wechat_redirect", which takes its place on the way. The only one
// who can keep it is a script on a page that still has it.

// leadToLogin sends a page visit to login: by a redirect, or by a page that
// takes the fragment along.
func (s *Server) leadToLogin(v *visit, q loginQuery) {
	if s.cfg.KeepFragment && v.r.Method == http.MethodGet {
		s.fragmentPage(v, q)
		return
	}
	s.toLogin(v, q)
}

// fragmentPage answers with a page that shows nothing and goes on at once. Its
// status is 200: WebViews have their own pages for errors. It replaces itself,
// so the way back does not lead into it.
func (s *Server) fragmentPage(v *visit, q loginQuery) {
	login := s.loginURL(v.host, q)
	d := fragmentPageData{
		Nonce: rand.Text(), Login: login,
		Head: s.loginURL(v.host, loginQuery{next: q.next}),
		Lang: "zh-CN", Continue: "继续登录",
	}
	d.Tail = strings.TrimPrefix(login, d.Head)
	if pageLang(strings.Join(v.r.Header["Accept-Language"], ",")) == "en" {
		d.Lang, d.Continue = "en", "Continue to login"
	}
	var body bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&body, "fragment.html", d); err != nil {
		s.toLogin(v, q)
		return
	}
	v.outcome = outcomeRedirected
	h := v.Header()
	noStore(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+d.Nonce+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Language")
	v.write(http.StatusOK, body.Bytes())
}

// fragmentPageData is what pages/fragment.html shows. Head ends with the value
// of next, where the fragment joins it; Tail is what follows.
type fragmentPageData struct{ Nonce, Lang, Login, Head, Tail, Continue string }
