package proxy

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

const (
	// injected is what pages get, by an absolute path: it stands in front of
	// any <base> of theirs.
	injected = `<script src="/.wxgate/wxgate.js" defer></script>`
	// injectWithin is how far into a page the place is looked for. A page is
	// held back until it is found, which is nearly always in the first piece.
	injectWithin = 16 << 10
)

// injects reports that the answer to a request may get our script: a person
// asked for a whole page.
func (s *Server) injects(r *http.Request) bool {
	return s.cfg.Inject && r.Method == http.MethodGet && isPageVisit(r) && !isWebSocket(r.Header) && r.Header["Range"] == nil
}

// askPlainly makes the app send a page such that it can be changed. Compressed
// pages would have to be unpacked and packed again; a page is small, so it goes
// without, and its assets keep their compression. And the app must not say
// "not modified" of a page that the browser keeps from a time without the
// script.
func askPlainly(h http.Header) {
	h["Accept-Encoding"] = []string{"identity"}
	for _, condition := range []string{"If-None-Match", "If-Modified-Since"} {
		h.Del(condition)
	}
}

// inject adds our script to an app's page, whose body is otherwise streamed as
// it comes. It is called once the answer belongs to its session: reading the
// beginning may have to wait for the app.
func (s *Server) inject(v *visit, res *http.Response) {
	if !s.injects(v.r) || !s.changeable(v, res) {
		return
	}
	app := res.Body
	beginning, at, err := findPlace(app)
	rest := afterwards{app, err}
	if at < 0 {
		res.Body = injectedBody{io.MultiReader(bytes.NewReader(beginning), rest), app}
		return
	}
	res.Body = injectedBody{io.MultiReader(
		bytes.NewReader(beginning[:at]), strings.NewReader(injected), bytes.NewReader(beginning[at:]), rest), app}
	h := res.Header
	if res.ContentLength >= 0 {
		res.ContentLength += int64(len(injected))
		h.Set("Content-Length", strconv.FormatInt(res.ContentLength, 10))
	}
	// A strong validator promises the same bytes (RFC 9110, section 8.8.1),
	// and ranges of other bytes must not be joined to these.
	if tag := h.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		h.Set("Etag", "W/"+tag)
	}
	h.Del("Accept-Ranges")
}

// changeable reports that an answer is a page that we may change, in a form
// that we understand, and whose own policy lets the script run.
func (s *Server) changeable(v *visit, res *http.Response) bool {
	h := res.Header
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNonAuthoritativeInfo {
		return false
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "text/html" || !asciiBased(params["charset"]) {
		return false
	}
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return false
	}
	if strings.Contains(strings.ToLower(strings.Join(h["Cache-Control"], ",")), "no-transform") {
		return false // RFC 9110, section 7.7
	}
	if disposition, _, _ := strings.Cut(h.Get("Content-Disposition"), ";"); strings.EqualFold(strings.TrimSpace(disposition), "attachment") {
		return false
	}
	for _, vouched := range []string{"Content-Range", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Signature"} {
		if h[vouched] != nil {
			return false // the app vouches for these very bytes
		}
	}
	return policyAllows(h["Content-Security-Policy"], s.hosts.scheme, v.host)
}

// asciiBased reports that ASCII text is itself in a character encoding.
func asciiBased(charset string) bool {
	charset = strings.ToLower(charset)
	return !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "utf-32") && charset != "utf-7" &&
		!strings.Contains(charset, "ucs-2") && !strings.Contains(charset, "10646") && charset != "unicode"
}

// findPlace reads the beginning of a page until it is clear where the script
// goes; at < 0 is nowhere. err ended the reading, io.EOF included.
func findPlace(r io.Reader) (beginning []byte, at int, err error) {
	buf := make([]byte, 0, 4<<10)
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), injectWithin)), buf...)
		}
		var n int
		n, err = r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if at, known := place(buf, err != nil); known || err != nil || len(buf) == injectWithin {
			if !known {
				at = -1
			}
			return buf, at, err
		}
	}
}

// place says where in a page the script goes: behind <head>, or, where a page
// leaves that tag out, in front of the first tag that is not <html>. That is in
// front of the page's own scripts, whose calls it watches, and of a policy in a
// <meta>, which counts for what follows it. What begins with text is no page,
// whatever it calls itself. known is false while more has to be read; whole
// tells that there is no more.
func place(page []byte, whole bool) (at int, known bool) {
	if bytes.HasPrefix(page, []byte("\xfe\xff")) || bytes.HasPrefix(page, []byte("\xff\xfe")) {
		return -1, true // UTF-16, without saying so in a header
	}
	z := html.NewTokenizer(bytes.NewReader(page))
	for at = 0; ; {
		kind := z.Next()
		next := at + len(z.Raw())
		if next == len(page) && !whole && kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			return 0, false // it may go on
		}
		switch kind {
		case html.ErrorToken:
			return -1, whole
		case html.TextToken:
			if len(bytes.TrimSpace(bytes.TrimPrefix(z.Raw(), []byte("\xef\xbb\xbf")))) > 0 {
				return -1, true
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			if string(name) == "head" {
				return next, true
			}
			if string(name) != "html" {
				return at, true
			}
		case html.EndTagToken:
			return at, true
		}
		at = next
	}
}

// injectedBody is a page with its beginning read.
type injectedBody struct {
	io.Reader
	io.Closer
}

// afterwards is the rest of a page, unless reading has ended already.
type afterwards struct {
	io.Reader
	err error
}

func (a afterwards) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	return a.Reader.Read(p)
}
