package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// newMailbox is a part of the app that gets messages, for any world.
func newMailbox(t *testing.T) *mailbox {
	m := &mailbox{}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *mailbox) forwards(c *Config) { c.MessageForward = m.URL + "/messages" }

// appids are the accounts that the app was told the messages are of.
func (m *mailbox) appids() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.seen {
		all = append(all, strings.Join(r.Header["X-Wxgate-Appid"], ","))
	}
	return all
}

func TestMessagesOfAuthorizers(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 2, mail.forwards)
	p.ticket()
	for _, appID := range []string{customerID, otherID} {
		p.authorize(appID)
	}
	reply := "<xml><ToUserName>" + p.wechat.OpenID("aqiang", customerID) + "</ToUserName><FromUserName>" + customerGh + "</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>回复</Content></xml>"
	mail.says(text200(reply))
	for _, previous := range []bool{false, true} {
		out, err := p.wechat.PushComponent(t.Context(), portalID, wechattest.ComponentPush{
			AppID: customerID, XML: p.wechat.TextMessage(customerID, "aqiang", "你好"), PreviousKey: previous,
		})
		if err != nil || out.Reply == "" || !strings.Contains(out.Reply, "回复") {
			t.Errorf("previous key %v: %v, %+v", previous, err, out)
		}
	}
	// Two accounts may use the same id of a message, and one delivers it again.
	mail.says(text200(""))
	same := func(original string) string {
		return messageTo(original, "text", "<Content>x</Content><MsgId>24000000000000001</MsgId>")
	}
	for range 2 {
		p.writes(customerID, same(customerGh))
		p.writes(otherID, same(p.wechat.OriginalID(otherID)))
	}
	if got := mail.appids(); !slices.Equal(got, []string{customerID, otherID}) {
		t.Errorf("the app got messages of %v", got)
	}
	if got := mail.bodies[0]; got != same(customerGh) {
		t.Errorf("the app got %s", got)
	}
	if strings.Contains(p.log.String(), "ozy4qt1eDxSxzCr0aNT0mXCWfrDE") {
		t.Error("the log shows who wrote")
	}
}

// The path is signed by nobody: a message is for the account that it names itself.
func TestMessagesAreForTheirAccount(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 1, mail.forwards)
	p.ticket()
	p.authorize(customerID)
	p.authorize(otherID)
	message := p.wechat.TextMessage(customerID, "aqiang", "x")
	likeness := ""
	forged := spoiltPushes(p, message)
	query, body := sealedPush(p.clock.now(), testPushKey, portalID, message)
	for name, request := range forged {
		res := p.call(http.MethodPost, messagesPath+customerID, request[0], request[1])
		if res.StatusCode != http.StatusBadRequest {
			t.Fatalf("%s: answered %d %s", name, res.StatusCode, res.body)
		}
		if got := res.likeness(t); likeness == "" {
			likeness = got
		} else if got != likeness {
			t.Errorf("%s is told\n%s\nothers\n%s", name, got, likeness)
		}
	}
	for _, to := range []string{otherID} {
		if got := p.call(http.MethodPost, messagesPath+to, query, body).likeness(t); got != likeness {
			t.Errorf("as one to %s: %s", to, got)
		}
	}
	if got := p.told(messagesPath+customerID, messageTo("", "text", "<Content>x</Content>")).likeness(t); got != likeness {
		t.Errorf("to nobody: %s", got)
	}
	// Nobody here knows this account.
	p.call(http.MethodPost, messagesPath+"wxdeadbeef01234567", query, body).accepted(t, "an unknown account")
	if !strings.Contains(p.log.String(), "this platform does not know") {
		t.Error("the log does not say why nothing was forwarded")
	}
	if mail.count() != 0 {
		t.Errorf("the app got %q", mail.bodies)
	}
	p.call(http.MethodPost, messagesPath+customerID, query, body).accepted(t, "the account itself")
	if got := mail.appids(); !slices.Equal(got, []string{customerID}) {
		t.Errorf("the app got messages of %v", got)
	}
	// An account that left is not the app's any more.
	if _, err := p.wechat.Deauthorize(t.Context(), portalID, customerID); err != nil {
		t.Fatal(err)
	}
	if a := p.writes(customerID, p.wechat.TextMessage(customerID, "aqiang", "still there?")); a.Answer != "success" || mail.count() != 1 {
		t.Errorf("answered %+v, the app has %d", a, mail.count())
	}
}

// Until it is known which account an appid is, its messages come again.
func TestMessagesBeforeTheDescription(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 1, mail.forwards)
	p.ticket()
	const exchange = "/cgi-bin/component/api_query_auth"
	p.wechat.Inject(exchange, wechattest.Fault{Errcode: -1}) // or it might be known before the message is here
	p.told(eventsPath, eventXML(p.clock.now(), "authorized", "AuthorizerAppid", customerID, "AuthorizationCode", "queryauthcode@@@x")).accepted(t, "the authorization")
	if a := p.writes(customerID, p.wechat.TextMessage(customerID, "aqiang", "x")); a.Status != http.StatusServiceUnavailable || mail.count() != 0 {
		t.Errorf("answered %+v, the app has %d", a, mail.count())
	}
	p.wechat.ClearFaults()
	p.authorize(customerID)
	if a := p.writes(customerID, p.wechat.TextMessage(customerID, "aqiang", "x")); a.Answer != "success" || mail.count() != 1 {
		t.Errorf("answered %+v, the app has %d", a, mail.count())
	}
}

// What WeChat says about a person is followed for the account that it came by.
func TestUserEventsOfAuthorizers(t *testing.T) {
	t.Parallel()
	mail := newMailbox(t)
	p := newPortal(t, 2, mail.forwards)
	p.ticket()
	p.authorize(customerID)
	p.authorize(otherID)
	users := p.replica(0).cfg.Users
	person := func(appID string) string {
		res, err := users.Resolve(t.Context(), identity.Login{
			Platform: "default", Channel: identity.ChannelComponent, AppID: appID, OpenID: p.wechat.OpenID("aqiang", appID), At: p.clock.now().Add(-time.Hour),
			Profile: &identity.Profile{Name: "阿强", Avatar: "https://thirdwx.qlogo.cn/x/132", UpdatedAt: p.clock.now().Add(-time.Hour)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.User.ID
	}
	profile := func(id string) bool {
		u, found, err := users.User(context.WithoutCancel(t.Context()), id)
		if err != nil || !found {
			t.Fatal(id, err)
		}
		return u.Profile != nil
	}
	here, there := person(customerID), person(otherID)
	own := person(testAppID)
	for _, event := range []string{wechat.EventUserInfoModified, wechat.EventRevoke} {
		if a := p.writes(customerID, p.wechat.EventMessage(customerID, "aqiang", event)); a.Answer != "success" {
			t.Fatalf("%s is answered %+v", event, a)
		}
		if profile(here) || !profile(there) || !profile(own) {
			t.Errorf("after %s: %v, elsewhere %v, at our own account %v", event, profile(here), profile(there), profile(own))
		}
	}
	u, _, _ := users.User(t.Context(), here)
	if !u.Withdrawn() {
		t.Errorf("the user is %+v", u)
	}
	// Events of the open platform name an app; no account may speak for another one.
	foreign := "<xml><ToUserName>" + customerGh + "</ToUserName><FromUserName>oPlatform</FromUserName><CreateTime>" +
		fmt.Sprint(p.clock.now().Unix()) + "</CreateTime><MsgType>event</MsgType><Event>user_authorization_revoke</Event><OpenID>" + p.wechat.OpenID("aqiang", testAppID) +
		"</OpenID><AppID>" + testAppID + "</AppID><RevokeInfo>205</RevokeInfo></xml>"
	if a := p.writes(customerID, foreign); a.Answer != "success" || !profile(own) {
		t.Errorf("one account speaks for another: %+v", a)
	}
	if n := mail.count(); n != 3 {
		t.Errorf("the app got %d messages", n)
	}
}

// An event of the platform itself is taken at this URL too, with the same care.
func TestEventsAtTheMessageURL(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.told(messagesPath+customerID, eventXML(p.clock.now(), "component_verify_ticket", "ComponentVerifyTicket", "ticket@@@here")).accepted(t, "a ticket")
	if o := p.overview().Ticket; !o.Valid {
		t.Errorf("the ticket is %+v", o)
	}
}

// The service account's own messages say whose they are, too.
func TestOwnMessagesNameTheirAccount(t *testing.T) {
	t.Parallel()
	w, m := newMailWorld(t, 1, wechattest.PushSafe)
	w.once(w.wechat.TextMessage(testAppID, "aqiang", "x"))
	if got := m.appids(); !slices.Equal(got, []string{testAppID}) {
		t.Errorf("the app got messages of %v", got)
	}
}
