package wechattest_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"wxgate/wechat/wechattest"
)

const (
	platform       = "wxc0ffee0123456789"
	platformSecret = "c0ffee000000000000000000c0ffee00"
	otherPlatform  = "wxc0ffee9876543210"
	previousKey    = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// received is one push as a platform's server got it.
type received struct {
	path, openid, nonce string
	outer               string // AppId or ToUserName of the envelope
	tail                string
	message             string
	fields              map[string]string
}

// desk is the server of a third-party platform.
type desk struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	seen   []received
	answer func(w http.ResponseWriter, r received) // default: success
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var in struct {
		XMLName    xml.Name `xml:"xml"`
		AppID      string   `xml:"AppId"`
		ToUserName string
		Encrypt    string
	}
	q := r.URL.Query()
	if err := xml.Unmarshal(body, &in); err != nil || r.Method != "POST" || q.Get("encrypt_type") != "aes" {
		d.t.Errorf("%s %s: %s, %v", r.Method, r.URL, body, err)
	}
	got := received{path: r.URL.Path, openid: q.Get("openid"), nonce: q.Get("nonce"), outer: in.AppID + in.ToUserName}
	token := "sidecarToken2026"
	if q.Get("signature") != wechattest.PushSignature(token, q.Get("timestamp"), q.Get("nonce")) ||
		q.Get("msg_signature") != wechattest.PushSignature(token, q.Get("timestamp"), q.Get("nonce"), in.Encrypt) {
		http.Error(w, "wrong signature", http.StatusForbidden)
		return
	}
	for _, key := range []string{aesKey, previousKey} {
		message, tail, err := wechattest.OpenFrame(key, in.Encrypt)
		if err == nil {
			got.message, got.tail, got.fields = message, tail, flat(message)
			break
		}
	}
	if got.tail != platform {
		http.Error(w, "wrong tail", http.StatusForbidden)
		return
	}
	d.mu.Lock()
	d.seen = append(d.seen, got)
	answer := d.answer
	d.mu.Unlock()
	if answer != nil {
		answer(w, got)
		return
	}
	io.WriteString(w, "success")
}

// flat reads the elements right below the root, with their texts.
func flat(message string) map[string]string {
	var in struct {
		Elements []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	}
	if xml.Unmarshal([]byte(message), &in) != nil {
		return nil
	}
	out := map[string]string{}
	for _, e := range in.Elements {
		out[e.XMLName.Local] = e.Text
	}
	return out
}

func (d *desk) set(answer func(http.ResponseWriter, received)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// last is the newest push; all of them are forgotten.
func (d *desk) last() received {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seen) == 0 {
		d.t.Fatal("no push came")
	}
	r := d.seen[len(d.seen)-1]
	d.seen = nil
	return r
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

// startPlatform runs a simulator with a third-party platform and its server.
func startPlatform(t *testing.T) (*wechattest.Server, *desk) {
	t.Helper()
	s, d := start(t), &desk{t: t}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	s.AddComponent(wechattest.Component{
		ID: platform, Secret: platformSecret, Name: "掌柜平台", Token: "sidecarToken2026", AESKey: aesKey, PreviousAESKey: previousKey,
		EventURL: d.URL + "/events", MessageURL: d.URL + "/messages/$APPID$",
		LaunchDomain: "127.0.0.1", OAuthHosts: []string{"pay.example.com", "127.0.0.1", "localhost"}, Published: true,
	})
	return s, d
}

// post calls an interface with the token and a body of pairs; text that begins with
// "{" is a body as it is.
func post(t *testing.T, s *wechattest.Server, path, token string, pairs ...any) reply {
	t.Helper()
	var body []byte
	if len(pairs) == 1 {
		body = []byte(pairs[0].(string))
	} else {
		fields := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			fields[pairs[i].(string)] = pairs[i+1]
		}
		body, _ = json.Marshal(fields)
	}
	link := s.URL + path
	if token != "" {
		link += "?" + url.Values{"component_access_token": {token}, "access_token": {token}}.Encode()
	}
	res, err := http.Post(link, "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

func mint(t *testing.T, s *wechattest.Server, ticket string) reply {
	t.Helper()
	return post(t, s, wechattest.ComponentTokenPath, "",
		"component_appid", platform, "component_appsecret", platformSecret, "component_verify_ticket", ticket)
}

func platformToken(t *testing.T, s *wechattest.Server) string {
	t.Helper()
	r := mint(t, s, s.IssueTicket(platform))
	if r.text("component_access_token") == "" {
		t.Fatalf("no component_access_token: %s", r.raw)
	}
	return r.text("component_access_token")
}

// lent is what an exchanged code gave.
type lent struct{ access, refresh string }

func exchangeGrant(t *testing.T, s *wechattest.Server, token, code string) lent {
	t.Helper()
	r := post(t, s, wechattest.QueryAuthPath, token, "component_appid", platform, "authorization_code", code)
	info, _ := r.fields["authorization_info"].(map[string]any)
	access, _ := info["authorizer_access_token"].(string)
	refresh, _ := info["authorizer_refresh_token"].(string)
	if access == "" || refresh == "" {
		t.Fatalf("exchange: %s", r.raw)
	}
	return lent{access, refresh}
}

func TestAddComponent(t *testing.T) {
	good := wechattest.Component{ID: platform, Secret: "x", Token: "tok", AESKey: aesKey}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*wechattest.Component){
		"appid":         func(c *wechattest.Component) { c.ID = "wx1" },
		"secret":        func(c *wechattest.Component) { c.Secret = "" },
		"push token":    func(c *wechattest.Component) { c.Token = "" },
		"AESKey":        func(c *wechattest.Component) { c.AESKey = "" },
		"EncodingAES":   func(c *wechattest.Component) { c.PreviousAESKey = "x" },
		"push URL":      func(c *wechattest.Component) { c.EventURL = "ftp://a.test/" },
		"has a port":    func(c *wechattest.Component) { c.MessageURL = "http://a.test:99/$APPID$" },
		"launch domain": func(c *wechattest.Component) { c.LaunchDomain = "https://a.test" },
		"three web":     func(c *wechattest.Component) { c.OAuthHosts = []string{"a.test", "b.test", "c.test", "d.test"} },
		"web host":      func(c *wechattest.Component) { c.OAuthHosts = []string{"a.test:80"} },
		"ten test":      func(c *wechattest.Component) { c.TestAccounts = make([]string, 11) },
		"original id":   func(c *wechattest.Component) { c.TestAccounts = []string{appid} },
	} {
		c := good
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, _ := startPlatform(t)
	s.Grant(platform, appid)
	changed := s.Components()[0]
	changed.Name, changed.Published = "换名", false
	s.AddComponent(changed)
	if state := s.ComponentState(platform); state.Component.Name != "换名" || len(state.Authorizations) != 1 || len(s.Components()) != 1 {
		t.Errorf("after a change: %+v", state)
	}
	if state := s.ComponentState(otherPlatform); state.Component.ID != "" {
		t.Errorf("unknown: %+v", state)
	}
}
