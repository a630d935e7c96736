package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func injecting(c *Config) { c.Inject = true }

func TestPlaceOfTheScript(t *testing.T) {
	for page, want := range map[string]string{
		"<!doctype html><html><head><title>x</title>":                                                 "<!doctype html><html><head>|<title>x</title>",
		"<!DOCTYPE html>\n<HTML lang=zh>\n<HEAD profile='<head>'>\n<meta charset=utf-8>":              "<!DOCTYPE html>\n<HTML lang=zh>\n<HEAD profile='<head>'>|\n<meta charset=utf-8>",
		"<!-- <head> --><!--[if lt IE 9]><script></script><![endif]--><html><head><script>1</script>": "<!-- <head> --><!--[if lt IE 9]><script></script><![endif]--><html><head>|<script>1</script>",
		"\xef\xbb\xbf<!doctype html><meta charset=utf-8><title>no head</title>":                       "\xef\xbb\xbf<!doctype html>|<meta charset=utf-8><title>no head</title>",
		"<!doctype html><html><body><h1>x</h1>":                                                       "<!doctype html><html>|<body><h1>x</h1>",
		"<html><script>document.write('<head>')</script>":                                             "<html>|<script>document.write('<head>')</script>",
		"<?xml version='1.0'?><!DOCTYPE html><html xmlns='x'><head/>":                                 "<?xml version='1.0'?><!DOCTYPE html><html xmlns='x'><head/>|",
		"<html></head><body>":                    "<html>|</head><body>",
		"<header>no head</header>":               "|<header>no head</header>",
		`{"json":"sent as HTML","x":"<head>"}`:   "",
		"hello <b>world</b>":                     "",
		"":                                       "",
		" \n\t ":                                 "",
		"<!doctype html><!-- never ends <head>":  "",
		"<!doctype html><html><head ":            "",
		"\xff\xfe<\x00h\x00e\x00a\x00d\x00>\x00": "",
		"<!doctype html>" + strings.Repeat(" ", injectWithin) + "<head>":      "",
		"<!--" + strings.Repeat("x", injectWithin-100) + "--><html><head><p>": "<!--" + strings.Repeat("x", injectWithin-100) + "--><html><head>|<p>",
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(page), "bytes": iotest.OneByteReader(strings.NewReader(page)),
			"data with the end": iotest.DataErrReader(strings.NewReader(page)), "halves": iotest.HalfReader(strings.NewReader(page)),
		} {
			if name == "bytes" && len(page) > 4<<10 {
				continue // reading it byte by byte takes a look at all of it each time
			}
			beginning, at, err := findPlace(r)
			rest, restErr := io.ReadAll(afterwards{r, err})
			if restErr != nil {
				t.Fatal(restErr)
			}
			got := ""
			if at >= 0 {
				got = string(beginning[:at]) + "|" + string(beginning[at:]) + string(rest)
			} else if string(beginning)+string(rest) != page {
				t.Errorf("%s, %.60q: the page came through as %.60q", name, page, string(beginning)+string(rest))
			}
			if got != want {
				t.Errorf("%s\n got %.200q\nwant %.200q", name, got, want)
			}
		}
	}
}

// FuzzPlace: however a page comes, in whatever pieces, it gets the same script
// at the same place, and all of its own bytes arrive.
func FuzzPlace(f *testing.F) {
	for _, page := range []string{"<html><head><title>", "<!doctype html><!-- x --><body>", "<head", "</", "<!", "<!-", "<", "\xef\xbb", "<html\x00><head\x00>", "<svg><head>", "<![CDATA[<head>]]><p>"} {
		f.Add(page, 3)
	}
	f.Fuzz(func(t *testing.T, page string, piece int) {
		if len(page) > 2000 {
			t.Skip()
		}
		_, want, _ := findPlace(strings.NewReader(page))
		r := &pieces{page, 1 + (piece%7+7)%7}
		beginning, got, err := findPlace(r)
		rest, _ := io.ReadAll(afterwards{r, err})
		if got != want || string(beginning)+string(rest) != page {
			t.Errorf("%q in pieces of %d: at %d, want %d; arrived as %q", page, r.size, got, want, string(beginning)+string(rest))
		}
	})
}

type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}

const plainPage = "<!doctype html><html><head><title>娃娃机</title></head><body>hello</body></html>"

// pageApp answers with a page whose headers the query chooses (h=Name: value)
// and repeats what it was asked with.
func pageApp(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Asked", strings.Join([]string{r.Header.Get("Accept-Encoding"), r.Header.Get("If-None-Match"), r.Header.Get("If-Modified-Since"), r.Header.Get("Range")}, "|"))
	status := http.StatusOK
	for _, line := range r.URL.Query()["h"] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Status" {
			status, _ = strconv.Atoi(value)
			continue
		}
		h.Set(name, value)
	}
	h.Set("Content-Length", strconv.Itoa(len(plainPage)))
	rw.WriteHeader(status)
	io.WriteString(rw, plainPage)
}

func TestInject(t *testing.T) {
	w := newWorld(t, 1, pageApp, injecting)
	b := w.browser(iPhone)
	b.open("/")
	with := strings.Replace(plainPage, "<head>", "<head>"+injected, 1)
	for _, c := range []struct {
		headers  []string // of the app's answer
		injected bool
	}{
		{nil, true},
		{[]string{"Content-Type: text/html"}, true},
		{[]string{"Content-Type: TEXT/HTML;charset=GBK"}, true},
		{[]string{"Status: 203"}, true},
		{[]string{"Content-Encoding: identity"}, true},
		{[]string{"Content-Disposition: inline"}, true},
		{[]string{"Content-Security-Policy: script-src 'self'"}, true},
		{[]string{"Content-Security-Policy-Report-Only: script-src 'none'"}, true},
		{[]string{"Content-Type: text/html; charset=utf-16le"}, false},
		{[]string{"Content-Type: application/json"}, false},
		{[]string{"Content-Type: application/xhtml+xml"}, false},
		{[]string{"Content-Type: ;"}, false},
		{[]string{"Content-Encoding: br"}, false},
		{[]string{"Cache-Control: public, no-transform"}, false},
		{[]string{"Content-Disposition: attachment; filename=x.html"}, false},
		{[]string{"Content-Digest: sha-256=:x:"}, false},
		{[]string{"Content-Security-Policy: script-src 'nonce-x'"}, false},
		{[]string{"Status: 404"}, false},
		{[]string{"Status: 500"}, false},
	} {
		res := b.open("/?h=" + strings.Join(mapped(c.headers, url.QueryEscape), "&h="))
		want := plainPage
		if c.injected {
			want = with
		}
		if res.body != want || res.ContentLength != int64(len(want)) {
			t.Errorf("%q: %d bytes, want %d: %s", c.headers, res.ContentLength, len(want), res.body)
		}
	}

	// What is no page visit stays as it is, and so does its request.
	for name, res := range map[string]answer{
		"a script's call": b.do("GET", "/", "Accept", "*/*", "Sec-Fetch-Dest", "empty", "If-None-Match", `"v1"`, "Accept-Encoding", "br"),
		"a frame":         b.do("GET", "/", "Accept", "text/html", "Sec-Fetch-Dest", "iframe", "If-None-Match", `"v1"`, "Accept-Encoding", "br"),
		"a range":         b.open("/", "Range", "bytes=0-99999", "If-None-Match", `"v1"`, "Accept-Encoding", "br"),
		"a form":          b.do("POST", "/", "Accept", "text/html", "If-None-Match", `"v1"`, "Accept-Encoding", "br"),
	} {
		if res.body != plainPage || !strings.HasPrefix(res.Header.Get("X-Asked"), `br|"v1"|`) {
			t.Errorf("%s got %s, and the app was asked %s", name, res.body, res.Header.Get("X-Asked"))
		}
	}
	if res := b.do("HEAD", "/", "Accept", "text/html"); res.ContentLength != int64(len(plainPage)) {
		t.Errorf("HEAD says %d bytes", res.ContentLength)
	}
}

func mapped(list []string, f func(string) string) (out []string) {
	for _, s := range list {
		out = append(out, f(s))
	}
	return out
}

func TestInjectAndValidators(t *testing.T) {
	w := newWorld(t, 1, pageApp, injecting)
	b := w.browser(iPhone)
	b.open("/")
	headers := "&h=" + url.QueryEscape(`Etag: "v1"`) + "&h=" + url.QueryEscape("Last-Modified: Mon, 09 Jul 2018 08:00:00 GMT") + "&h=" + url.QueryEscape("Accept-Ranges: bytes")
	res := b.open("/?x"+headers, "If-None-Match", `"v1"`, "If-Modified-Since", "Mon, 09 Jul 2018 08:00:00 GMT", "Accept-Encoding", "gzip, br")
	if got := res.Header.Get("X-Asked"); got != "identity|||" {
		t.Errorf("the app was asked %s", got)
	}
	if h := res.Header; h.Get("Etag") != `W/"v1"` || h.Get("Last-Modified") == "" || h.Get("Accept-Ranges") != "" {
		t.Errorf("the page came with %v", h)
	}
	res = b.open("/?x" + headers + "&h=" + url.QueryEscape("Content-Type: text/plain"))
	if h := res.Header; h.Get("Etag") != `"v1"` || h.Get("Accept-Ranges") != "bytes" {
		t.Errorf("what was not changed came with %v", h)
	}
}

func TestInjectOff(t *testing.T) {
	w := newWorld(t, 1, pageApp)
	b := w.browser(iPhone)
	b.open("/")
	if res := b.open("/", "If-None-Match", `"v1"`, "Accept-Encoding", "br"); res.body != plainPage || !strings.HasPrefix(res.Header.Get("X-Asked"), `br|"v1"|`) {
		t.Errorf("%s, asked %s", res.body, res.Header.Get("X-Asked"))
	}
}

// A page that comes in pieces goes on in pieces, and one that breaks off breaks
// off for the browser too.
func TestInjectWhileStreaming(t *testing.T) {
	next := make(chan string)
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		if r.URL.Path != "/slow" {
			return
		}
		for piece := range next {
			if piece == "break" {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(rw, piece)
			http.NewResponseController(rw).Flush()
		}
	}, injecting)
	b := w.browser(iPhone)
	b.open("/")
	r, _ := http.NewRequest(http.MethodGet, w.front.URL+"/slow", nil)
	r.Header.Set("User-Agent", iPhone)
	r.Header.Set("Accept", "text/html")
	go func() {
		next <- "<html><he"
		next <- "ad><title>x"
	}()
	client := *b.client
	client.Timeout = time.Minute
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
			t.Fatalf("%v: %q, want %q", err, got, want)
		}
	}
	read("<html><head>" + injected + "<title>x")
	next <- "</title>more"
	read("</title>more") // long before the page is whole
	next <- "break"
	if _, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the broken page ended with %v", err)
	}
}
