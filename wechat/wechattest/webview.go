package wechattest

import (
	"bufio"
	"cmp"
	"fmt"
	"html"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// FullCookie names the player who asked for the full service; a browser
	// without it is in snapshot mode again.
	FullCookie = "wxsim_full"
	// snapshotPrefix begins the names of cookies that a snapshot page keeps.
	snapshotPrefix = "wxsnap_"
	fullPath       = controlPath + "full"
)

// WebView plays WeChat's web view in front of a site, as far as one ordinary
// browser can. It must be reached under the host name of the simulator, the port
// may differ: that is how both see the same visitor.
//
// For a visitor in snapshot mode the site sees, and sets, cookies of a storage of
// its own, which goes when the mode is left; a bar at the end of its pages leads
// to 使用完整服务, which reopens the page in the normal storage after consent. See
// https://developers.weixin.qq.com/community/develop/doc/000c2c34068880629ced91a2f56001
//
// While Behaviour.LoseCookies is above zero, a callback arrives without cookies,
// which are gone afterwards.
func (s *Server) WebView(site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		v := &webView{ResponseWriter: w, method: r.Method, snapshot: s.inSnapshot(r)}
		var own []*http.Cookie
		for _, c := range r.Cookies() {
			name, kept := strings.CutPrefix(c.Name, snapshotPrefix)
			switch {
			case strings.HasPrefix(c.Name, "wxsim_"):
				own = append(own, c) // WeChat's, not the site's, but harmless to it
			case kept && v.snapshot:
				own = append(own, &http.Cookie{Name: name, Value: c.Value})
			case kept: // the mode was left
				v.expire = append(v.expire, c.Name)
			case !v.snapshot:
				own = append(own, c)
			}
		}
		if s.losesCookies(r) {
			for _, c := range own {
				if !strings.HasPrefix(c.Name, "wxsim_") {
					v.expire = append(v.expire, v.stored(c.Name))
				}
			}
			own = slices.DeleteFunc(own, func(c *http.Cookie) bool { return !strings.HasPrefix(c.Name, "wxsim_") })
		}
		r.Header.Del("Cookie")
		for _, c := range own {
			r.AddCookie(c)
		}
		if v.snapshot {
			r.Header.Del("Accept-Encoding") // the bar is written at the end of plain HTML
			v.full = s.fullServiceLink(r)
		}
		site.ServeHTTP(v, r)
		v.finish()
	})
}

// inSnapshot tells whether this browser is shown pages in snapshot mode.
func (s *Server) inSnapshot(r *http.Request) bool {
	p, _ := s.visitor(r)
	return (p.Snapshot || s.Behaviour().Snapshot) && !fullService(r, p)
}

// fullService tells whether the visitor has left snapshot mode.
func fullService(r *http.Request, p Player) bool {
	c, err := r.Cookie(FullCookie)
	return err == nil && c.Value == p.ID
}

func (s *Server) losesCookies(r *http.Request) bool {
	q := r.URL.Query()
	if !q.Has("code") || !q.Has("state") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behaviour.LoseCookies <= 0 {
		return false
	}
	s.behaviour.LoseCookies--
	return true
}

func (s *Server) fullServiceLink(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return cmp.Or(s.publicURL, s.URL) + fullPath + "?url=" + url.QueryEscape(scheme+"://"+r.Host+r.URL.RequestURI())
}

// leaveSnapshot is the button 使用完整服务: the consent page, then the page itself
// anew, with the normal storage.
func (s *Server) leaveSnapshot(w http.ResponseWriter, r *http.Request) {
	next := r.URL.Query().Get("url")
	if u, err := url.Parse(next); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		http.Error(w, "url is no http or https URL", http.StatusBadRequest)
		return
	}
	p, _ := s.visitor(r)
	switch r.Method + " " + r.PostFormValue("consent") {
	case "GET ":
		s.page(w, "consent.html", map[string]any{"App": App{Name: "使用完整服务"}, "Player": p})
		return
	case "POST agree":
		http.SetCookie(w, &http.Cookie{Name: FullCookie, Value: p.ID, Path: "/", SameSite: http.SameSiteLaxMode})
	case "POST deny": // back to the snapshot page
	default:
		http.Error(w, "GET, or POST with consent=agree or consent=deny", http.StatusBadRequest)
		return
	}
	w.Header().Set("Location", next)
	w.WriteHeader(http.StatusSeeOther)
}

// webView changes the answer of a site on its way.
type webView struct {
	http.ResponseWriter
	method   string
	snapshot bool
	expire   []string // cookies to remove from the browser
	full     string   // where the bar leads
	begun    bool
	bar      bool
}

// stored is the name under which the browser keeps a cookie of the site.
func (v *webView) stored(name string) string {
	if v.snapshot {
		return snapshotPrefix + name
	}
	return name
}

func (v *webView) WriteHeader(status int) {
	if status < 200 || v.begun {
		v.ResponseWriter.WriteHeader(status)
		return
	}
	v.begun = true
	h := v.Header()
	set := h.Values("Set-Cookie")
	h.Del("Set-Cookie")
	for _, name := range v.expire { // first, so that the site may set them anew
		line := name + "=; Path=/; Max-Age=0"
		if strings.HasPrefix(name, "__") { // else browsers ignore the line
			line += "; Secure"
		}
		h.Add("Set-Cookie", line)
	}
	for _, line := range set {
		if v.snapshot {
			line = snapshotPrefix + line
		}
		h.Add("Set-Cookie", line)
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if v.snapshot && v.method == http.MethodGet && kind == "text/html" && h.Get("Content-Encoding") == "" &&
		status != http.StatusNoContent && status/100 != 3 {
		v.bar = true
		h.Del("Content-Length")
	}
	v.ResponseWriter.WriteHeader(status)
}

func (v *webView) Write(b []byte) (int, error) {
	if !v.begun {
		v.WriteHeader(http.StatusOK)
	}
	return v.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the real writer.
func (v *webView) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// Flush and Hijack for handlers that ask for the interfaces.
func (v *webView) Flush() {
	if !v.begun {
		v.WriteHeader(http.StatusOK)
	}
	http.NewResponseController(v.ResponseWriter).Flush()
}

func (v *webView) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	v.begun = true
	return http.NewResponseController(v.ResponseWriter).Hijack()
}

// finish writes the bar, which browsers put at the end of the page even behind
// its last tag. A page whose policy forbids the style shows it without.
func (v *webView) finish() {
	if !v.begun {
		v.WriteHeader(http.StatusOK)
	}
	if v.bar {
		fmt.Fprintf(v.ResponseWriter, `<p style="position:fixed;right:0;bottom:0;left:0;margin:0;padding:.7rem 1rem;`+
			`background:#fffbe6;border-top:1px solid #eee;text-align:right;z-index:99999">`+
			`<small>快照页：仅可浏览</small> <a id="wxsim-full" href="%s">使用完整服务</a></p>`, html.EscapeString(v.full))
	}
}
