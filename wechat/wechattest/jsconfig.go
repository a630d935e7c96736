package wechattest

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// JSSDKPath is where a stand-in for WeChat's page script lies. It knows config,
// ready and error, and asks /sim/jsconfig whether the configuration is good.
const JSSDKPath = "/open/js/jweixin-1.6.0.js"

// JSConfig is a call of wx.config and the page that makes it.
type JSConfig struct {
	AppID     string
	NonceStr  string
	Timestamp int64 // seconds
	Signature string
	// Landing is the address that the page was loaded from, Current the one it
	// has by now. WeChat on iOS checks the signature against Landing, all others
	// against Current: https://github.com/vuejs/vue-router/issues/429
	Landing, Current string
	UserAgent        string
	// Snapshot pages cannot use the JS-SDK.
	Snapshot bool
}

// JSError is the text that wx.error is called with.
type JSError string

func (e JSError) Error() string { return "config:" + string(e) }

// What a page is told.
const (
	InvalidDomain    JSError = "invalid url domain"
	InvalidSignature JSError = "invalid signature"
	InvalidAppID     JSError = "invalid appid"
	PermissionDenied JSError = "permission denied"
)

// CheckJSConfig decides as WeChat's client does, nil meaning "config:ok". The
// error is a JSError.
func (s *Server) CheckJSConfig(c JSConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, found := s.apps[c.AppID]
	switch {
	case !found || app.Kind != ServiceAccount:
		return InvalidAppID
	case c.Snapshot:
		return PermissionDenied
	}
	page := c.Current
	if ios(c.UserAgent) {
		page = c.Landing
	}
	page, _, _ = strings.Cut(page, "#")
	if u, err := url.Parse(page); err != nil || !app.mayScript(u, s.behaviour.AllowLoopbackPort) {
		return InvalidDomain
	}
	t, found := s.tickets[ticketKey{app.ID, "jsapi"}]
	if !found || !s.now().Before(t.expires) || c.NonceStr == "" || c.Timestamp <= 0 {
		return InvalidSignature
	}
	sum := sha1.Sum([]byte("jsapi_ticket=" + t.value + "&noncestr=" + c.NonceStr +
		"&timestamp=" + strconv.FormatInt(c.Timestamp, 10) + "&url=" + page))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(c.Signature)) != 1 {
		return InvalidSignature
	}
	return nil
}

// mayScript tells whether u lies on one of the JS-SDK domains, on port 80 or 443.
func (a App) mayScript(u *url.URL, loopbackPort bool) bool {
	host := strings.ToLower(u.Hostname())
	switch port := u.Port(); {
	case u.Scheme != "http" && u.Scheme != "https":
		return false
	case port != "" && port != "80" && port != "443" && !(loopbackPort && loopback(host)):
		return false
	}
	for _, d := range a.JSDomains {
		h, dir, _ := strings.Cut(strings.TrimSuffix(d, "/"), "/")
		if h == host && (dir == "" || u.Path == "/"+dir || strings.HasPrefix(u.Path, "/"+dir+"/")) {
			return true
		}
	}
	return false
}

func ios(userAgent string) bool {
	ua := strings.ToLower(userAgent)
	return strings.Contains(ua, "iphone") || strings.Contains(ua, "ipad") || strings.Contains(ua, "ipod")
}

// jsConfig answers the stand-in script, which runs on other sites' pages. What
// kind of client the page has is the User-Agent of this very request, or
// userAgent for clients that are no browser.
func (s *Server) jsConfig(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true") // the cookie says who visits
		h.Add("Vary", "Origin")
	}
	h.Set("Content-Type", "application/json")
	// A string, as it was seen in pages, and a number are both taken.
	stamp, _ := strconv.ParseInt(r.PostFormValue("timestamp"), 10, 64)
	agent := r.PostFormValue("userAgent")
	if agent == "" {
		agent = r.UserAgent()
	}
	err := s.CheckJSConfig(JSConfig{
		AppID: r.PostFormValue("appId"), NonceStr: r.PostFormValue("nonceStr"), Timestamp: stamp,
		Signature: r.PostFormValue("signature"), Landing: r.PostFormValue("landing"), Current: r.PostFormValue("current"),
		UserAgent: agent, Snapshot: s.inSnapshot(r),
	})
	text := "config:ok"
	if err != nil {
		text = err.Error()
	}
	json.NewEncoder(w).Encode(map[string]string{"errMsg": text})
}
