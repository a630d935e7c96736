package proxy

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpiredForms(t *testing.T) {
	for _, c := range []struct {
		host, scheme, domain string
		cookies              []AppCookie
		want                 []string
	}{
		{"play.example.com", "https", "", nil, nil},
		{"play.example.com", "https", "", []AppCookie{{"sid", "/"}}, []string{
			"sid=; Path=/; Max-Age=0; Secure", "sid=; Path=/; Domain=play.example.com; Max-Age=0; Secure"}},
		{"play.example.com", "https", "example.com", []AppCookie{{"sid", "/h5/"}}, []string{
			"sid=; Path=/h5; Max-Age=0; Secure", "sid=; Path=/h5/; Max-Age=0; Secure",
			"sid=; Path=/h5; Domain=play.example.com; Max-Age=0; Secure", "sid=; Path=/h5/; Domain=play.example.com; Max-Age=0; Secure",
			"sid=; Path=/h5; Domain=example.com; Max-Age=0; Secure", "sid=; Path=/h5/; Domain=example.com; Max-Age=0; Secure"}},
		{"localhost:8080", "http", "", []AppCookie{{"a", "/"}, {"b", "/x"}}, []string{
			"a=; Path=/; Max-Age=0", "b=; Path=/x; Max-Age=0", "b=; Path=/x/; Max-Age=0"}},
		{"127.0.0.1:8080", "http", "", []AppCookie{{"a", "/"}}, []string{"a=; Path=/; Max-Age=0"}},
	} {
		w := httptest.NewRecorder()
		s := &Server{cfg: Config{CookieDomain: c.domain, ClearCookies: c.cookies}, hosts: hosts{scheme: c.scheme}}
		s.clearAppCookies(&visit{w: w, host: c.host})
		if diff := cmp.Diff(c.want, w.Header()["Set-Cookie"]); diff != "" {
			t.Errorf("%s, %s: %s", c.host, c.domain, diff)
		}
		// Whoever reads them has to agree that they are over.
		for _, cookie := range (&http.Response{Header: w.Header()}).Cookies() {
			if cookie.MaxAge >= 0 || cookie.Value != "" {
				t.Errorf("%v stays", cookie)
			}
		}
	}
}
