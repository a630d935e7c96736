package proxy

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

const (
	portalID     = "wxc0ffee0123456789"
	portalSecret = "00112233445566778899aabbccddeeff"
	portalOldKey = "oLdKeY0123456789oLdKeY0123456789oLdKeY01234"
	customerID   = "wx1a2b3c4d5e6f7081"
	customerGh   = "gh_0123456789ab"
	otherID      = "wx1a2b3c4d5e6f7082"

	eventsPath   = "/.wxgate/component/events"
	messagesPath = "/.wxgate/component/messages/"
)

// portal is a world whose gateway is a third-party platform. Two accounts could
// authorize it: customerID and otherID.
type portal struct {
	*world
	settings portalSettings
}

type portalSettings struct {
	id, token string
	keys      []string
}

var usualPortal = portalSettings{portalID, testPushToken, []string{testPushKey, portalOldKey}}

func newPortal(t *testing.T, n int, opts ...option) *portal {
	t.Helper()
	p := newPortalAs(t, n, usualPortal, opts...)
	p.wechat.AddApp(wechattest.App{ID: customerID, Secret: "unknown here", Name: "一号店", UserName: customerGh, CallbackHosts: []string{"127.0.0.1"}})
	p.wechat.AddApp(wechattest.App{ID: otherID, Secret: "unknown here", Name: "二号店", CallbackHosts: []string{"127.0.0.1"}})
	p.wechat.AddComponent(wechattest.Component{
		ID: portalID, Secret: portalSecret, Token: testPushToken, AESKey: testPushKey, PreviousAESKey: portalOldKey, Published: true,
		EventURL: p.front.URL + eventsPath, MessageURL: p.front.URL + messagesPath + "$APPID$", LaunchDomain: "127.0.0.1",
	})
	t.Cleanup(p.besides)
	return p
}

func newPortalAs(t *testing.T, n int, settings portalSettings, opts ...option) *portal {
	t.Helper()
	p := &portal{newWorld(t, 0, nil), settings}
	for range n {
		p.add("http://127.0.0.1:1", append(slices.Clone(opts), p.configure)...)
	}
	return p
}

func (p *portal) configure(c *Config) {
	secret := sha256.Sum256([]byte("a secret of the tests"))
	sessions, err := session.NewManager(session.Config{Store: p.store, Secrets: [][]byte{secret[:]}, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Now: c.Now})
	if err != nil {
		p.t.Fatal(err)
	}
	c.Sessions = sessions
	c.WeChat = wechat.New(wechat.Config{APIURL: p.wechat.URL, OpenURL: p.wechat.URL, MPURL: p.wechat.URL})
	c.Component = component.New(component.Config{
		App: wechat.App{ID: p.settings.id, Secret: portalSecret}, Client: c.WeChat, Store: p.store, Queue: p.store, Sealer: sessions,
		Announce: c.HookURL != "", Logger: c.Logger, Now: c.Now,
	})
	if c.ComponentPush, err = wechat.NewPush(wechat.PushConfig{Token: p.settings.token, AppID: p.settings.id, AESKeys: p.settings.keys, Now: c.Now}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *portal) platform() *component.Platform { return p.replica(0).cfg.Component }

// ticket has WeChat push one.
func (p *portal) ticket() {
	p.t.Helper()
	if out, err := p.wechat.PushTicket(p.t.Context(), portalID); err != nil || len(out.Attempts) != 1 {
		p.t.Fatalf("the ticket ends in %v, %+v", err, out)
	}
}

// authorize lets an account authorize the platform, after a ticket.
func (p *portal) authorize(appID string) {
	p.t.Helper()
	code := p.wechat.Grant(portalID, appID)
	if out, err := p.wechat.PushAuthorized(p.t.Context(), portalID, appID, code, "preauthcode@@@none"); err != nil || len(out.Attempts) != 1 {
		p.t.Fatalf("the push ends in %v, %+v", err, out)
	}
	p.described(appID)
}

func (p *portal) described(appID string) {
	p.t.Helper()
	eventually(p.t, appID+" is authorized and described", func() bool {
		a, _ := p.authorizer(appID)
		return a.Status == component.StatusAuthorized && a.UserName != ""
	})
}

func (p *portal) authorizer(appID string) (component.Authorizer, bool) {
	p.t.Helper()
	a, known, err := p.platform().Authorizer(context.WithoutCancel(p.t.Context()), appID)
	if err != nil {
		p.t.Fatal(err)
	}
	return a, known
}

func (p *portal) overview() component.Overview {
	p.t.Helper()
	o, err := p.platform().Overview(context.WithoutCancel(p.t.Context()))
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

// at sets the gateway's clock.
func (p *portal) at(unix int64) { p.clock.offset.Store(int64(time.Until(time.Unix(unix, 0)))) }

// call asks an endpoint as anybody can.
func (p *portal) call(method, path, query, body string) answer {
	p.t.Helper()
	r, err := http.NewRequest(method, p.front.URL+path+"?"+query, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := direct.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{res, readAll(p.t, res)}
}

// told posts an encrypted message as WeChat does, made without the package that
// opens it.
func (p *portal) told(path, message string) answer {
	p.t.Helper()
	query, body := sealedPush(p.clock.now(), testPushKey, portalID, message)
	return p.call(http.MethodPost, path, query, body)
}

func sealedPush(at time.Time, key, tail, message string) (query, body string) {
	raw, _ := base64.StdEncoding.DecodeString(key + "=")
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err)
	}
	frame := binary.BigEndian.AppendUint32([]byte("0123456789abcdef"), uint32(len(message)))
	frame = append(frame, message+tail...)
	pad := 32 - len(frame)%32
	frame = append(frame, strings.Repeat(string(rune(pad)), pad)...)
	cipher.NewCBCEncrypter(block, raw[:16]).CryptBlocks(frame, frame)
	sealed := base64.StdEncoding.EncodeToString(frame)
	return signedQuery(at, "4711", sealed) + "&encrypt_type=aes", "<xml><AppId>x</AppId><Encrypt><![CDATA[" + sealed + "]]></Encrypt></xml>"
}

// eventXML is an event of the platform.
func eventXML(at time.Time, kind string, fields ...string) string {
	text := fmt.Sprintf("<xml><AppId>%s</AppId><CreateTime>%d</CreateTime><InfoType><![CDATA[%s]]></InfoType>", portalID, at.Unix(), kind)
	for i := 0; i < len(fields); i += 2 {
		text += fmt.Sprintf("<%s>%s</%[1]s>", fields[i], fields[i+1])
	}
	return text + "</xml>"
}

// likeness is all of an answer but what differs by the request.
func (a answer) likeness(t *testing.T) string {
	t.Helper()
	e := a.jsonError(t)
	var lines []string
	for name, values := range a.Header {
		switch name {
		case "Date":
		case "X-Request-Id":
			if values[0] != e.RequestID {
				t.Errorf("the header says %s, the body %s", values[0], e.RequestID)
			}
		default:
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	return fmt.Sprint(a.StatusCode, a.Close, lines, strings.Replace(a.body, e.RequestID, "", 1))
}

// accepted checks that WeChat got exactly what it wants.
func (a answer) accepted(t *testing.T, what string) {
	t.Helper()
	if a.StatusCode != 200 || a.body != "success" || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" || a.ContentLength != 7 {
		t.Errorf("%s: answered %d %v %q", what, a.StatusCode, a.Header, a.body)
	}
}
