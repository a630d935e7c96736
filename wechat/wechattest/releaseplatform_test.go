package wechattest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"wxgate/wechat/wechattest"
)

const (
	platformID  = "wxc0ffee0123456789"
	platformOld = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// thirdParty is a third-party platform that passes the release test, unless a
// test makes it do otherwise. It has a cryptography of its own.
type thirdParty struct {
	*httptest.Server
	t       *testing.T
	s       *wechattest.Server
	pushes  chan innerXML // every event that came, in order
	visits  chan *http.Request
	later   sync.WaitGroup
	mu      sync.Mutex
	ticket  string
	token   string
	tokens  map[string]string // access tokens of accounts
	noStore bool              // the event handler only answers

	event func(w http.ResponseWriter, m innerXML) bool // answers an event itself
	reply func(m innerXML) (message, nonce, tail string, answered bool)
	send  func(m innerXML, code string) (with, touser, content string, do bool) // with "older": the account's token before
}

// innerXML is a decrypted push.
type innerXML struct {
	XMLName                                                                    xml.Name `xml:"xml"`
	AppId, InfoType, ComponentVerifyTicket, AuthorizerAppid, AuthorizationCode string
	PreAuthCode, ToUserName, FromUserName, MsgType, Content, Event, CreateTime string
	path                                                                       string
}

func newThirdParty(t *testing.T, s *wechattest.Server, change ...func(*wechattest.Component)) *thirdParty {
	t.Helper()
	p := &thirdParty{t: t, s: s, pushes: make(chan innerXML, 100), visits: make(chan *http.Request, 10), tokens: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /events", p.events)
	mux.HandleFunc("POST /messages/{appid}", p.message)
	mux.HandleFunc("GET /launch", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><a id="go" href="%s">go</a>`, strings.ReplaceAll(r.URL.Query().Get("to"), "&", "&amp;"))
	})
	mux.HandleFunc("GET /back", func(w http.ResponseWriter, r *http.Request) {
		p.visits <- r
		io.WriteString(w, `<!doctype html><link rel="icon" href="data:,">back`)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(func() { p.Close(); p.later.Wait() })
	c := wechattest.Component{
		ID: platformID, Secret: secret, Name: "抓娃娃平台", Token: pushToken, AESKey: aesKey, PreviousAESKey: platformOld,
		EventURL: p.URL + "/events", MessageURL: p.URL + "/messages/$APPID$", LaunchDomain: "127.0.0.1", Published: true,
	}
	for _, f := range change {
		f(&c)
	}
	s.AddComponent(c)
	return p
}

func (p *thirdParty) open(r *http.Request) (m innerXML, key string, err error) {
	var outer struct {
		XMLName xml.Name `xml:"xml"`
		Encrypt string
	}
	if err = xml.NewDecoder(r.Body).Decode(&outer); err != nil {
		return m, "", err
	}
	q := r.URL.Query()
	if q.Get("msg_signature") != sha(pushToken, q.Get("timestamp"), q.Get("nonce"), outer.Encrypt) {
		return m, "", fmt.Errorf("bad signature")
	}
	for _, key = range []string{aesKey, platformOld} {
		var text, tail string
		if text, tail, err = unseal(key, outer.Encrypt); err == nil && tail == platformID {
			m.path = r.PathValue("appid")
			return m, key, xml.Unmarshal([]byte(text), &m)
		}
	}
	return m, "", fmt.Errorf("does not decrypt: %v", err)
}

func (p *thirdParty) events(w http.ResponseWriter, r *http.Request) {
	m, _, err := p.open(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if m.InfoType == "component_verify_ticket" {
		p.mu.Lock()
		p.ticket = m.ComponentVerifyTicket
		p.mu.Unlock()
	}
	p.pushes <- m
	if p.event != nil && p.event(w, m) {
		return
	}
	if m.AuthorizationCode != "" && !p.noStore {
		p.later.Go(func() { p.query(m.AuthorizationCode) })
	}
	io.WriteString(w, "success")
}

// query exchanges an authorization code, once.
func (p *thirdParty) query(code string) (appid, token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.token == "" {
		p.token = text(p.call(wechattest.ComponentTokenPath, map[string]any{"component_appid": platformID, "component_appsecret": secret, "component_verify_ticket": p.ticket}), "component_access_token")
	}
	info, _ := p.call(wechattest.QueryAuthPath+"?component_access_token="+p.token,
		map[string]any{"component_appid": platformID, "authorization_code": code})["authorization_info"].(map[string]any)
	appid, token = text(info, "authorizer_appid"), text(info, "authorizer_access_token")
	p.tokens[appid] = token
	return appid, token
}

func (p *thirdParty) preAuthCode() string {
	p.t.Helper()
	p.s.IssueTicket(platformID)
	tickets := p.s.ComponentState(platformID).Tickets
	token := text(p.call(wechattest.ComponentTokenPath, map[string]any{"component_appid": platformID, "component_appsecret": secret, "component_verify_ticket": tickets[len(tickets)-1].Value}), "component_access_token")
	code := text(p.call(wechattest.PreAuthCodePath+"?component_access_token="+token, map[string]any{"component_appid": platformID}), "pre_auth_code")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = token
	if code == "" {
		p.t.Fatal("no pre_auth_code")
	}
	return code
}

func (p *thirdParty) call(path string, fields map[string]any) (answer map[string]any) {
	body, _ := json.Marshal(fields)
	res, err := http.Post(p.s.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		p.t.Errorf("%s: %v", path, err)
		return nil
	}
	defer res.Body.Close()
	json.NewDecoder(res.Body).Decode(&answer)
	return answer
}

func text(fields map[string]any, name string) string {
	s, _ := fields[name].(string)
	return s
}

func (p *thirdParty) message(w http.ResponseWriter, r *http.Request) {
	m, key, err := p.open(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	message, nonce, tail := "", r.URL.Query().Get("nonce"), platformID
	if p.reply != nil {
		if text, other, end, answered := p.reply(m); answered {
			if text == "" {
				io.WriteString(w, end)
				return
			}
			message, nonce, tail = text, cmpOr(other, nonce), cmpOr(end, tail)
		}
	}
	code, query := strings.CutPrefix(m.Content, "QUERY_AUTH_CODE:")
	switch {
	case message != "":
	case query:
		p.later.Go(func() { p.answerThroughAPI(m, code) })
		return
	case m.Content == "TESTCOMPONENT_MSG_TYPE_TEXT":
		message = passive(m, m.Content+"_callback")
	case m.MsgType == "event":
		message = passive(m, m.Event+"from_callback")
	}
	sealed := seal(key, message, tail)
	fmt.Fprintf(w, "<xml><Encrypt><![CDATA[%s]]></Encrypt><MsgSignature>%s</MsgSignature><TimeStamp>1</TimeStamp><Nonce>%s</Nonce></xml>",
		sealed, sha(pushToken, "1", nonce, sealed), nonce)
}

func passive(m innerXML, content string) string {
	return "<xml><ToUserName>" + m.FromUserName + "</ToUserName><FromUserName>" + m.ToUserName + "</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>" + content + "</Content></xml>"
}

func (p *thirdParty) answerThroughAPI(m innerXML, code string) {
	touser, content, token := m.FromUserName, code+"_from_api", ""
	if p.send != nil {
		with, other, instead, do := p.send(m, code)
		if !do {
			return
		}
		touser, content = cmpOr(other, touser), cmpOr(instead, content)
		if with == "older" {
			p.mu.Lock() // which the exchange of the code before holds to its end
			token = p.tokens[m.path]
			p.mu.Unlock()
		}
	}
	if token == "" {
		_, token = p.query(code)
	}
	p.call(wechattest.CustomSendPath+"?access_token="+token, map[string]any{"touser": touser, "msgtype": "text", "text": map[string]string{"content": content}})
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func sha(parts ...string) string {
	slices.Sort(parts)
	return fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(parts, ""))))
}

func keyOf(key string) (cipher.Block, []byte) {
	raw, _ := base64.StdEncoding.DecodeString(key + "=")
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err)
	}
	return block, raw[:16]
}

func seal(key, message, tail string) string {
	plain := append([]byte("0123456789abcdef"), binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
	plain = append(plain, message+tail...)
	pad := 32 - len(plain)%32
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, iv := keyOf(key)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

func unseal(key, sealed string) (message, tail string, err error) {
	plain, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(plain) == 0 || len(plain)%32 != 0 {
		return "", "", fmt.Errorf("no blocks: %v", err)
	}
	block, iv := keyOf(key)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, plain)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > 32 || len(plain)-pad < 20 {
		return "", "", fmt.Errorf("padding")
	}
	plain = plain[:len(plain)-pad]
	n := int(binary.BigEndian.Uint32(plain[16:20]))
	if n < 0 || n > len(plain)-20 {
		return "", "", fmt.Errorf("length")
	}
	return string(plain[20 : 20+n]), string(plain[20+n:]), nil
}
