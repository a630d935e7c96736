package proxy

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// Everything in it is a value, so that a page's own words are what remains without them.
var pageTestData = pageData{
	Host:       "12.34.56.78",
	RequestID:  "0123456789",
	ActionURL:  "/1?2=3&4=5",
	BackURL:    "/6",
	CopyURL:    "https://12.34.56.78/7?8=9",
	Detail:     detailCookies,
	RetryAfter: 30,
	QR:         newQRCode("https://12.34.56.78/7?8=9"),
	FrameURL:   "https://12.34.56.78/9?1=2",
	WholeURL:   "https://12.34.56.78/9?3=4",
	PairURL:    "/10",
	Number:     42,
	Account:    &pageAccount{Name: "3 & 4", AppID: "56"},
	Asks:       &pairAsks{Device: "1 · 2", Place: "12.34.56.*", Near: true, Seconds: 7, Choices: []int{17, 42, 86}},
}

// pageParts are what the pages carry that do more than to speak and link, where they are given the data for it.
var pageParts = map[pageID]struct{ script, policy string }{
	pageOpenInWeChat:      {script: "copied"},
	pageAuthorizeInWeChat: {script: "copied"},
	pageQRFrame:           {script: "frame", policy: "frame-src https://12.34.56.78; connect-src https://12.34.56.78; "},
	pageQRPair:            {script: "EventSource", policy: "connect-src 'self'; "},
	pagePairConfirm:       {},
}

func pageAnswer(id pageID, lang string, d pageData) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Language", lang)
	w := httptest.NewRecorder()
	writePage(w, r, http.StatusTeapot, id, d)
	return w
}

// pageElements returns all elements of the page in document order.
func pageElements(t *testing.T, body string) []*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

// pageFind returns the elements with this tag name, or with this class if the selector starts with a dot.
func pageFind(all []*html.Node, selector string) []*html.Node {
	var found []*html.Node
	for _, n := range all {
		class, ok := strings.CutPrefix(selector, ".")
		if ok && slices.Contains(strings.Fields(pageAttr(n, "class")), class) || n.Data == selector {
			found = append(found, n)
		}
	}
	return found
}

func pageAttr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func pageTextOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "style" && c.Parent.Data != "script" && c.Parent.Data != "noscript" {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// pageLanguageFault names what in s is not of the language, or "".
func pageLanguageFault(lang, s string) string {
	if lang == "en" {
		if i := strings.IndexFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) || r >= 0x3000 }); i >= 0 {
			return s[i:]
		}
		return ""
	}
	for _, word := range regexp.MustCompile(`[A-Za-z]+`).FindAllString(regexp.MustCompile(`WXGATE_[A-Z_]+`).ReplaceAllString(s, "WXGATE"), -1) {
		if word != "Cookie" && word != "http" && word != "https" && word != "WXGATE" {
			return word
		}
	}
	return ""
}

func TestPageTextsComplete(t *testing.T) {
	declared := 0
	declares := func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		kind, ok := spec.Type.(*ast.Ident)
		if !ok {
			return true
		}
		value := func() string {
			s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		switch kind.Name {
		case "pageID":
			declared++
			if _, ok := pageTopics[pageID(value())]; !ok {
				t.Errorf("%s has no texts", spec.Names[0])
			}
		case "pageDetail":
			if _, ok := pageDetails[pageDetail(value())]; !ok {
				t.Errorf("%s has no text", spec.Names[0])
			}
		}
		return true
	}
	for _, name := range []string{"pagetexts.go", "pagetextsauthorize.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, declares)
	}
	if declared == 0 || declared != len(pageTopics) {
		t.Errorf("%d pages declared, %d with texts", declared, len(pageTopics))
	}

	check := func(where, lang, s string) {
		if s == "" {
			t.Errorf("%s, %s: empty", where, lang)
		}
		if fault := pageLanguageFault(lang, s); fault != "" {
			t.Errorf("%s, %s: %q is of another language", where, lang, fault)
		}
	}
	for id, topic := range pageTopics {
		for lang, text := range map[string]pageText{"zh": topic.zh, "en": topic.en} {
			for _, s := range append(slices.Clone(text.Points), text.Title, text.Sentence, text.Button, text.Instruction) {
				check(string(id), lang, s)
			}
		}
		if len(topic.zh.Points) != len(topic.en.Points) || (topic.zh.Note == "") != (topic.en.Note == "") {
			t.Errorf("%s says more in one language", id)
		}
		if (topic.zh.FromHost == "") != (topic.en.FromHost == "") {
			t.Errorf("%s names the site in one language", id)
		}
		for lang, s := range map[string]string{"zh": topic.zh.FromHost, "en": topic.en.FromHost} {
			if s != "" {
				check(string(id), lang, s)
			}
		}
	}
	for id, detail := range pageDetails {
		check("detail "+string(id), "zh", detail.zh)
		check("detail "+string(id), "en", detail.en)
	}
	for lang, words := range map[string]pageWords{"zh": pageWordsZH, "en": pageWordsEN} {
		v := reflect.ValueOf(words)
		for i := range v.NumField() {
			check(v.Type().Field(i).Name, lang, v.Field(i).String())
		}
	}
}

// Every page in both languages, with all data and with none: complete, of one language, one thing to do, and nothing
// that the policy would have to forbid.
func TestPages(t *testing.T) {
	nonces := map[string]bool{}
	for id, topic := range pageTopics {
		for lang, text := range map[string]pageText{"zh": topic.zh, "en": topic.en} {
			for name, d := range map[string]pageData{"full": pageTestData, "empty": {}} {
				t.Run(string(id)+"/"+lang+"/"+name, func(t *testing.T) {
					w := pageAnswer(id, lang, d)
					body := w.Body.String()
					all := pageElements(t, body)
					if w.Code != http.StatusTeapot {
						t.Errorf("status = %d", w.Code)
					}

					want := map[string]string{"zh": "zh-CN", "en": "en"}[lang]
					if got := pageAttr(pageFind(all, "html")[0], "lang"); got != want || w.Header().Get("Content-Language") != want {
						t.Errorf("lang = %q, Content-Language = %q, want %q", got, w.Header().Get("Content-Language"), want)
					}
					shown := pageTextOf(pageFind(all, "html")[0])
					if fault := pageLanguageFault(lang, shown); fault != "" {
						t.Errorf("shows %q", fault)
					}
					for _, s := range []string{text.Sentence, text.Note, d.Host, d.RequestID} {
						if !strings.Contains(shown, s) {
							t.Errorf("does not show %q", s)
						}
					}
					for _, tag := range []string{"title", "h1"} {
						if n := pageFind(all, tag); len(n) != 1 || pageTextOf(n[0]) != text.Title {
							t.Errorf("want one %s with the title", tag)
						}
					}
					metas := map[string]string{}
					for _, n := range pageFind(all, "meta") {
						metas[pageAttr(n, "name")] = pageAttr(n, "content")
					}
					if metas["robots"] != "noindex" || !strings.Contains(metas["viewport"], "width=device-width") {
						t.Errorf("metas = %q", metas)
					}
					if icons := pageFind(all, ".badge")[0]; len(pageFind(all, "svg")) == 0 || len(slices.Collect(icons.Descendants())) < 3 {
						t.Error("no icon")
					}
					parts, special := pageParts[id]
					special = special && name == "full"
					if n := len(pageFind(all, ".button")) + len(pageFind(all, ".todo")); n != 1 && !(special && parts.script != "copied") {
						t.Errorf("%d things to do, want 1", n)
					}

					nonce := pageAttr(pageFind(all, "style")[0], "nonce")
					if len(nonce) < 22 || nonces[nonce] {
						t.Errorf("nonce %q is short or used again", nonce)
					}
					nonces[nonce] = true
					scripts := pageFind(all, "script")
					policy := "default-src 'none'; style-src 'nonce-" + nonce + "'; "
					if special && parts.script != "" {
						policy += "script-src 'nonce-" + nonce + "'; " + parts.policy
						if len(scripts) != 1 || pageAttr(scripts[0], "nonce") != nonce || !strings.Contains(scripts[0].FirstChild.Data, parts.script) {
							t.Error("want one script with the nonce")
						}
					} else if len(scripts) != 0 {
						t.Errorf("%d scripts, want none", len(scripts))
					}
					policy += "img-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
					if got := w.Header().Get("Content-Security-Policy"); got != policy {
						t.Errorf("policy %s\nwant   %s", got, policy)
					}
					for _, n := range all {
						framing, sending := special && id == pageQRFrame && n.Data == "iframe", special && id == pagePairConfirm && n.Data == "form"
						if slices.Contains([]string{"link", "img", "iframe", "object", "embed", "base", "form"}, n.Data) && !framing && !sending {
							t.Errorf("<%s> on a page that loads and sends nothing", n.Data)
						}
						for _, a := range n.Attr {
							if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" && !framing {
								t.Errorf("<%s %s>", n.Data, a.Key)
							}
						}
					}
					if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "url(") || strings.Contains(body, "@import") {
						t.Error("refused or foreign content")
					}
				})
			}
		}
	}
}

func TestPageHeaders(t *testing.T) {
	w := pageAnswer(pageRateLimited, "en", pageTestData)
	got := w.Result().Header
	got.Del("Content-Security-Policy") // fresh each time, see TestPages
	want := http.Header{
		"Content-Type":           {"text/html; charset=utf-8"},
		"Content-Language":       {"en"},
		"Content-Length":         {strconv.Itoa(w.Body.Len())},
		"Cache-Control":          {"no-store"},
		"Referrer-Policy":        {"no-referrer"},
		"X-Content-Type-Options": {"nosniff"},
		"Vary":                   {"Accept-Language"},
		"Retry-After":            {"30"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := pageAnswer(pageNotFound, "en", pageData{}).Header().Get("Retry-After"); got != "" {
		t.Errorf("Retry-After = %q without a time", got)
	}

	r := httptest.NewRequest("HEAD", "/", nil)
	head := httptest.NewRecorder()
	writePage(head, r, http.StatusNotFound, pageNotFound, pageTestData)
	if head.Code != http.StatusNotFound || head.Body.Len() != 0 || head.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, %d bytes, Content-Length %s", head.Code, head.Body.Len(), head.Header().Get("Content-Length"))
	}

	r = httptest.NewRequest("GET", "/", nil)
	r.Header["Accept-Language"] = []string{"zh;q=0.1", "en;q=0.2"}
	twoLines := httptest.NewRecorder()
	writePage(twoLines, r, http.StatusNotFound, pageNotFound, pageData{})
	if got := twoLines.Header().Get("Content-Language"); got != "en" {
		t.Errorf("header in two lines: %q, want en", got)
	}
}

func TestPageEscapes(t *testing.T) {
	const nasty = `"></p></style><script>alert('1')</script><img src=x onerror=alert(2)>&amp;{{.Host}}`
	d := pageData{Host: nasty, RequestID: nasty, CopyURL: "https://play.example.com/" + strings.ReplaceAll(nasty, " ", "%20"), Detail: nasty}
	all := pageElements(t, pageAnswer(pageOpenInWeChat, "en", d).Body.String())
	if n := len(pageFind(all, "script")); n != 1 {
		t.Errorf("%d scripts, want our own", n)
	}
	if n := len(pageFind(all, "img")); n != 0 {
		t.Errorf("%d images, want none", n)
	}
	if got, want := pageTextOf(pageFind(all, "footer")[0]), nasty+" \n Request ID  "+nasty; strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("footer reads %q, want %q", got, want)
	}
	if got := pageTextOf(pageFind(all, ".address")[0]); got != d.CopyURL {
		t.Errorf("address reads %q, want %q", got, d.CopyURL)
	}
	if n := len(pageFind(all, ".detail")); n != 0 {
		t.Error("a detail outside the closed set is shown")
	}
}

func TestPageLinks(t *testing.T) {
	const authorize = "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1&redirect_uri=https%3A%2F%2Fplay.example.com%2F.wxgate%2Fcallback&response_type=code&scope=snsapi_userinfo&state=a1&connect_redirect=1#wechat_redirect"
	for _, tt := range []struct {
		raw  string
		link bool
		copy bool
	}{
		{"", false, false},
		{"/", true, false},
		{"/.wxgate/login?next=%2Fclaw%3Froom%3D1&profile=1", true, false},
		{"/a:b", true, false},
		{authorize, true, true},
		{"http://127.0.0.1:8080/", true, true},
		{"claw", false, false},
		{"?a=1", false, false},
		{"//evil.example", false, false},
		{"///evil.example", false, false},
		{"/\\evil.example", false, false},
		{"/\t/evil.example", false, false},
		{"/\n/evil.example", false, false},
		{"\\\\evil.example", false, false},
		{" https://evil.example", false, false},
		{"https://play.example.com/ or evil.example", false, false},
		{"https:evil.example", false, false},
		{"https:///evil.example", false, false},
		{"https://play.example.com@evil.example/", false, false},
		{"https://play.example.com/\u202e", false, false},
		{"https://play.example.com/\x7f", false, false},
		{"javascript:alert(1)", false, false},
		{"JavaScript://play.example.com/%0aalert(1)", false, false},
		{"data:text/html,x", false, false},
		{"weixin://dl/scan", false, false},
		{"https://[::1", false, false},
		{"/%zz", false, false},
	} {
		all := pageElements(t, pageAnswer(pageConsent, "zh", pageData{ActionURL: tt.raw, BackURL: tt.raw}).Body.String())
		var want []string
		if tt.link {
			want = []string{tt.raw, tt.raw} // button and the quieter way back
		}
		var got []string
		for _, n := range pageFind(all, "a") {
			got = append(got, pageAttr(n, "href"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("links for %q:\n%s", tt.raw, diff)
		}
		all = pageElements(t, pageAnswer(pageOpenInWeChat, "zh", pageData{CopyURL: tt.raw}).Body.String())
		if offered := len(pageFind(all, ".address")) == 1; offered != tt.copy {
			t.Errorf("%q offered for copying: %v, want %v", tt.raw, offered, tt.copy)
		}
	}
}

// Whoever sits at a computer scans, and copies only in need; a phone cannot scan itself.
func TestPageOpenInWeChatByDevice(t *testing.T) {
	for _, tt := range []struct {
		agent  string
		qr     *qrCode
		order  []string
		orCopy bool
		says   string
		not    string
	}{
		{desktop, pageTestData.QR, []string{"qr", "address", "button"}, true, pageWordsEN.Phone, pageWordsEN.OtherPhone},
		{phoneSafari, pageTestData.QR, []string{"address", "button", "qr"}, false, pageWordsEN.OtherPhone, pageWordsEN.Phone},
		{desktop, nil, []string{"address", "button"}, false, "", pageWordsEN.Phone},
	} {
		for _, id := range []pageID{pageOpenInWeChat, pageAuthorizeInWeChat} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Language", "en")
			r.Header.Set("User-Agent", tt.agent)
			w := httptest.NewRecorder()
			writePage(w, r, http.StatusOK, id, pageData{CopyURL: pageTestData.CopyURL, QR: tt.qr})
			var order []string
			all := pageElements(t, w.Body.String())
			for _, n := range all {
				for _, class := range strings.Fields(pageAttr(n, "class")) {
					if slices.Contains([]string{"qr", "address", "button"}, class) {
						order = append(order, class)
					}
				}
			}
			shown := pageTextOf(pageFind(all, "main")[0])
			if strings.Contains(shown, pageWordsEN.OrCopy) != tt.orCopy || strings.Contains(shown, pageTopics[id].en.Instruction) == tt.orCopy {
				t.Errorf("%s for %s says %s", id, tt.agent, shown)
			}
			if !slices.Equal(order, tt.order) || !strings.Contains(shown, tt.says) || strings.Contains(shown, tt.not) {
				t.Errorf("%s for %s: %v, says %s", id, tt.agent, order, shown)
			}
		}
	}
}

// Only the page of consent has a second way, and a snapshot page never hides WeChat's own button behind ours.
func TestPageSecondWays(t *testing.T) {
	for id, topic := range pageTopics {
		all := pageElements(t, pageAnswer(id, "en", pageTestData).Body.String())
		if _, special := pageParts[id]; special {
			continue
		}
		if quiet := len(pageFind(all, ".quiet")) == 1; quiet != (id == pageConsent || topic.guide) {
			t.Errorf("%s: quiet link %v", id, quiet)
		}
		if topic.guide && pageTextOf(pageFind(all, ".todo")[0]) != topic.en.Instruction {
			t.Errorf("%s: the instruction does not stand", id)
		}
	}
	if got, want := pageAnswer("unheard-of", "en", pageData{}).Body.String(), pageTopics[pageInternal].en.Title; !strings.Contains(got, want) {
		t.Error("an unknown id is not the internal page")
	}
}

func TestPageLang(t *testing.T) {
	for header, want := range map[string]string{
		"":                                       "zh",
		"zh-CN,zh;q=0.9,en-US;q=0.8,en;q=0.7":    "zh",
		"en-US,en;q=0.9":                         "en",
		"en-US,en;q=0.9,zh-CN;q=0.8,zh;q=0.7":    "en",
		"zh;q=0.5,en;q=0.6":                      "en",
		"EN-gb":                                  "en",
		"en , zh":                                "zh",
		"en;q=0.5, zh-TW;q=0.5":                  "zh",
		"fr-FR,fr;q=0.9":                         "zh",
		"fr-FR,en;q=0.1":                         "en",
		"*":                                      "zh",
		"zh;q=0,*":                               "en",
		"zh;q=0":                                 "zh",
		"en;q=0, *;q=0.1":                        "zh",
		"yue-Hant-HK,en;q=0.9":                   "zh",
		"en;q=2,zh;q=0.1":                        "zh",
		"en;q=NaN":                               "zh",
		"en;q=-1":                                "zh",
		"en;q=":                                  "zh",
		"en; q=0.9 , zh;Q=0.8":                   "en",
		"english":                                "zh",
		";;;,=,q=,*;;":                           "zh",
		strings.Repeat("a,", 1000) + "en;q=0.01": "en",
	} {
		if got := pageLang(header); got != want {
			t.Errorf("pageLang(%.60q) = %q, want %q", header, got, want)
		}
	}
}

func TestPageWait(t *testing.T) {
	for seconds, want := range map[int][2]string{
		-1:  {"", ""},
		0:   {"", ""},
		1:   {"请等 1 秒再试。", "Please wait 1 second."},
		59:  {"请等 59 秒再试。", "Please wait 59 seconds."},
		60:  {"请等 1 分钟再试。", "Please wait 1 minute."},
		61:  {"请等 2 分钟再试。", "Please wait 2 minutes."},
		120: {"请等 2 分钟再试。", "Please wait 2 minutes."},
	} {
		if got := [2]string{pageWait("zh", seconds), pageWait("en", seconds)}; got != want {
			t.Errorf("pageWait(%d) = %q, want %q", seconds, got, want)
		}
	}
}

// In a real browser: the style passes its own policy, no page is wider than the narrowest phone, and the copy button
// works with and without the clipboard interface, and says so when neither does.
func TestPagesInBrowser(t *testing.T) {
	ctx := pageBrowser(t)
	const address = "https://play.example.com/claw/room/12?from=menu&invite=8f3a91c2d4e5f60718293a4b5c6d7e8f"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/")
		if _, ok := pageTopics[pageID(id)]; !ok {
			http.NotFound(w, r)
			return
		}
		r.Header.Set("Accept-Language", r.URL.Query().Get("lang"))
		writePage(w, r, http.StatusOK, pageID(id), pageData{
			Host: "play.example.com", RequestID: strings.Repeat("0123456789abcdef", 2), ActionURL: "/", BackURL: "/",
			CopyURL: address, Detail: detailWrongHost, RetryAfter: 30,
		})
	}))
	defer server.Close()

	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 320, Height: 568, DeviceScaleFactor: 1, Mobile: true}); err != nil {
		t.Fatal(err)
	}
	open := func(id pageID, lang string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/"+string(id)+"?lang="+lang)); err != nil {
			t.Fatal(err)
		}
	}
	eval := func(expression string) string {
		t.Helper()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for id := range pageTopics {
		for _, lang := range []string{"zh", "en"} {
			open(id, lang)
			if got := eval(`getComputedStyle(document.querySelector(".badge")).borderTopLeftRadius`); got != "50%" {
				t.Errorf("%s, %s: the style does not apply: %q", id, lang, got)
			}
			if got := eval(`getComputedStyle(document.querySelector(".badge")).backgroundColor`); got == "rgba(0, 0, 0, 0)" {
				t.Errorf("%s: its tone has no colour", id)
			}
			if got := eval(`document.documentElement.scrollWidth`); got != "320" {
				t.Errorf("%s, %s: %s pixels wide on a screen of 320", id, lang, got)
			}
		}
	}

	for _, tt := range []struct{ name, before, want, selected string }{
		{"clipboard interface", `navigator.clipboard.writeText = function (s) { window.copied = s; return Promise.resolve(); }`, pageWordsEN.Copied, ""},
		{"interface refuses", `navigator.clipboard.writeText = function () { return Promise.reject(new Error("refused")); }`, pageWordsEN.Copied, address},
		{"no interface", `Object.defineProperty(navigator, "clipboard", {value: undefined})`, pageWordsEN.Copied, address},
		{"nothing works", `(Object.defineProperty(navigator, "clipboard", {value: undefined}), document.execCommand = function () { return false; })`, pageWordsEN.CopyByHand, address},
	} {
		open(pageOpenInWeChat, "en")
		eval(`document.addEventListener("copy", function () { window.copied = getSelection().toString(); })`)
		eval(tt.before)
		if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#copy"))); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.getElementById("status").textContent !== `+strconv.Quote(pageTopics[pageOpenInWeChat].en.Instruction))); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := eval(`document.getElementById("status").textContent`); got != tt.want {
			t.Errorf("%s: says %q, want %q", tt.name, got, tt.want)
		}
		if got := eval(`getSelection().toString()`); got != tt.selected {
			t.Errorf("%s: selected %q, want %q", tt.name, got, tt.selected)
		}
		if got := eval(`window.copied`); tt.want == pageWordsEN.Copied && got != address {
			t.Errorf("%s: copied %q, want %q", tt.name, got, address)
		}
	}
}

// pageBrowser starts a headless Chromium that ends with the test.
func pageBrowser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "chromium") {
			t.Fatal("no chromium on PATH, and WXGATE_TEST_REQUIRE names it")
		}
		t.Skip("no chromium on PATH")
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.CombinedOutput(io.Discard))...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // starts it; a time limit here would end it
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
