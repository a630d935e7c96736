package proxy

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"wxgate/wechat"
)

// This file renders the pages that a visitor reads when there is no app page to show; pagetexts.go holds what they
// say. It knows nothing of sessions, logins or errors: whoever answers a request picks a pageID and fills pageData.

// pageData is what differs between two showings of the same page. Every field may be empty.
type pageData struct {
	Host      string
	RequestID string
	// ActionURL is where the one button leads: a path of this origin or an absolute http(s) URL. Without it, or if it
	// is neither, the page tells the visitor in words what to do.
	ActionURL string
	// BackURL, of the same form, is where the quieter way out of pageConsent leads.
	BackURL string
	// CopyURL is the absolute http(s) address that pageOpenInWeChat offers for copying.
	CopyURL string
	Detail  pageDetail
	// QR is drawn on the pages that know one, as the first thing to do or beside CopyURL, of which it is the easier way
	// for somebody at a computer.
	QR *qrCode
	// FrameURL is what pageQRFrame frames; WholeURL is the same as a page of its own.
	FrameURL, WholeURL string
	// PairURL is where pageQRPair waits and pagePairConfirm sends its answer, a path of this origin. Number is the one
	// to compare.
	PairURL string
	Number  int
	Asks    *pairAsks
	// Account is the one that an authorization is about.
	Account *pageAccount
	// TellOrigin lets the address behind ActionURL know which site the visitor comes from.
	TellOrigin bool
	// RetryAfter in seconds is shown to the visitor and sent as the header of that name, if above zero.
	RetryAfter int
}

// pairAsks is what pagePairConfirm says of the login that it asks about.
type pairAsks struct {
	Device, Place string
	Near          bool // the phone is in the same network
	Seconds       int  // since the login began
	Choices       []int
}

// pageAccount is an official account or mini program. Name may be empty.
type pageAccount struct{ Name, AppID string }

// pageView is what the template sees: every choice is made, every URL judged.
type pageView struct {
	Nonce  string
	Lang   string // BCP 47
	Tone   pageTone
	Text   pageText
	Words  pageWords
	Detail string
	Wait   string
	Action string
	Back   string
	Copy   string
	Guide  bool
	Desk   bool // the reader has another device in the hand, fit to scan what is drawn

	QR      *qrCode
	Frame   string
	Whole   string
	Pair    string
	Number  int
	Asks    *pairAsks
	Account *pageAccount
	Script  string // the file of the page's one script, if it has one

	Host      string
	RequestID string
}

//go:embed pages
var pageFiles embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFiles, "pages/*"))

// writePage answers r with a page in the visitor's language. The answer is complete in memory before its first byte is
// sent, it loads nothing from anywhere, and its policy allows exactly the style and script that it carries itself.
func writePage(w http.ResponseWriter, r *http.Request, status int, id pageID, d pageData) {
	v := pageViewOf(pageLang(strings.Join(r.Header.Values("Accept-Language"), ",")), id, d)
	v.Desk = !wechat.Detect(r.UserAgent()).Mobile
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Lang)
	h.Set("Content-Security-Policy", pagePolicy(v))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	if d.TellOrigin {
		h.Set("Referrer-Policy", "strict-origin")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Language")
	if d.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(d.RetryAfter))
	}

	var body bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&body, "page.html", v); err != nil {
		// No data can cause this, only a fault in the template, and the visitor is owed an answer even so.
		http.Error(w, v.Text.Title, status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body.Bytes()) // an error here means that the visitor has left
	}
}

func pageViewOf(lang string, id pageID, d pageData) pageView {
	topic, ok := pageTopics[id]
	if !ok {
		topic = pageTopics[pageInternal]
	}
	v := pageView{
		Nonce:     rand.Text(), // at least 128 bits; letters and digits, so it reads the same in header and attribute
		Tone:      topic.tone,
		Guide:     topic.guide,
		Action:    pageLink(d.ActionURL),
		Host:      d.Host,
		RequestID: d.RequestID,
	}
	detail := pageDetails[d.Detail]
	if lang == "en" {
		v.Lang, v.Text, v.Words, v.Detail = "en", topic.en, pageWordsEN, detail.en
	} else {
		v.Lang, v.Text, v.Words, v.Detail = "zh-CN", topic.zh, pageWordsZH, detail.zh
	}
	if id != pageAuthorizeTooEarly { // it says so in its own words
		v.Wait = pageWait(lang, d.RetryAfter)
	}
	switch id {
	case pageConsent:
		v.Back = pageLink(d.BackURL)
	case pageOpenInWeChat, pageAuthorizeInWeChat:
		if link := pageLink(d.CopyURL); link != "" && !strings.HasPrefix(link, "/") {
			v.Copy, v.QR, v.Script = link, d.QR, "copy.js"
		}
	case pageQRFrame:
		if link := pageLink(d.FrameURL); pageOrigin(link) != "" {
			v.Frame, v.Whole, v.Script = link, pageLink(d.WholeURL), "frame.js"
		}
	case pageQRPair:
		if link := pageLink(d.PairURL); d.QR != nil && link != "" {
			v.QR, v.Pair, v.Number, v.Script = d.QR, link, d.Number, "pair.js"
		}
	case pagePairConfirm:
		if link := pageLink(d.PairURL); d.Asks != nil && link != "" {
			v.Pair, v.Asks = link, d.Asks
		}
	case pageAuthorize, pageAuthorizeMobile, pageAuthorizeDone:
		v.Account = d.Account
	}
	return v
}

// pagePolicy is the Content-Security-Policy (CSP level 3) of one answer.
func pagePolicy(v pageView) string {
	policy := "default-src 'none'; style-src 'nonce-" + v.Nonce + "'; "
	if v.Script != "" {
		policy += "script-src 'nonce-" + v.Nonce + "'; "
	}
	switch {
	case v.Frame != "":
		// connect-src: the script asks whether WeChat can be reached at all, which a frame does not tell.
		origin := pageOrigin(v.Frame)
		policy += "frame-src " + origin + "; connect-src " + origin + "; "
	case v.Pair != "" && v.Script != "":
		policy += "connect-src 'self'; "
	}
	return policy + "img-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// pageLink returns raw if a link may lead there, else "". Browsers drop tabs and line ends from a URL and read "\" as
// "/" (URL Standard, 4.4), so that a path with any of them, or with two slashes in front, could name another host.
// Invisible characters are refused because CopyURL is also read by eye.
func pageLink(raw string) string {
	if strings.ContainsFunc(raw, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '\\' }) {
		return ""
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, "//"):
		return raw
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil:
		return raw
	}
	return ""
}

// pageOrigin is the origin of an absolute link that pageLink let pass, fit for a policy, else "".
func pageOrigin(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host, ";,'* ") {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// pageLang picks "zh" or "en" from an Accept-Language value (RFC 9110 section 12.5.4). English needs to be wanted more
// than Chinese: with equal wishes, none, or none that can be read, the visitor gets Chinese.
func pageLang(acceptLanguage string) string {
	wish := map[string]float64{}
	for entry := range strings.SplitSeq(acceptLanguage, ",") {
		tag, params, _ := strings.Cut(entry, ";")
		weight := 1.0
		if name, value, ok := strings.Cut(strings.TrimSpace(params), "="); ok && strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				continue
			}
			weight = q
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if slices.Contains([]string{"cmn", "yue"}, primary) { // Mandarin and Cantonese by their own codes
			primary = "zh"
		}
		wish[primary] = max(wish[primary], weight)
	}
	for _, lang := range []string{"zh", "en"} {
		if _, named := wish[lang]; !named {
			wish[lang] = wish["*"]
		}
	}
	if wish["en"] > wish["zh"] {
		return "en"
	}
	return "zh"
}

// pageWait says how long to wait, in whole minutes (rounded up) from one minute on; "" if there is nothing to wait for.
func pageWait(lang string, seconds int) string {
	if seconds <= 0 {
		return ""
	}
	n, zh, en := seconds, "秒", "second"
	if seconds >= 60 {
		n, zh, en = 1+(seconds-1)/60, "分钟", "minute"
	}
	if lang != "en" {
		return "请等 " + strconv.Itoa(n) + " " + zh + "再试。"
	}
	if n != 1 {
		en += "s"
	}
	return "Please wait " + strconv.Itoa(n) + " " + en + "."
}
