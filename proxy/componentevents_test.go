package proxy

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

func TestEventsAreCommitted(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 2, func(c *Config) { c.LoginRate = Rate{N: 1, Per: time.Hour} })
	p.ticket()
	if o := p.overview(); !o.Ticket.Valid {
		t.Errorf("after the push: %+v", o)
	}
	p.authorize(customerID)
	if out, err := p.wechat.Deauthorize(t.Context(), portalID, customerID); err != nil || out.Answer() != "success" {
		t.Errorf("the push ends in %v, %+v", err, out)
	}
	if a, _ := p.authorizer(customerID); a.Status != component.StatusUnauthorized || a.HasRefreshToken {
		t.Errorf("the account is %+v", a)
	}
	// Nobody asks for a session, a rate or a type that is known.
	for _, kind := range []string{"notify_3rd_wxa_auth", "a type that nobody knows ]]&gt;", ""} {
		p.told(eventsPath, eventXML(p.clock.now(), kind)).accepted(t, kind)
	}
	p.told(eventsPath, eventXML(p.clock.now(), "notify_third_fasteregister", "appid", otherID, "status", "100001", "msg", "x")).accepted(t, "registration")
	// The key before is good as long as it is configured.
	if out, err := p.wechat.PushComponent(t.Context(), portalID, wechattest.ComponentPush{InfoType: "x", PreviousKey: true}); err != nil {
		t.Errorf("with the previous key: %v, %+v", err, out)
	}
}

// What was heard before, or is older than what is known, changes nothing.
func TestOldEvents(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 2)
	p.ticket()
	newest := p.overview().Ticket
	first := p.clock.now().Add(-9 * time.Minute)
	stale := eventXML(first, "component_verify_ticket", "ComponentVerifyTicket", "ticket@@@old")
	for range 2 {
		p.told(eventsPath, stale).accepted(t, "an older ticket")
	}
	if o := p.overview().Ticket; !o.CreatedAt.Equal(*newest.CreatedAt) {
		t.Errorf("the ticket became %+v, was %+v", o, newest)
	}

	code := p.wechat.Grant(portalID, customerID)
	out, err := p.wechat.PushComponent(t.Context(), portalID, wechattest.ComponentPush{
		InfoType: "authorized", Copies: 2,
		Fields: []string{"AuthorizerAppid", customerID, "AuthorizationCode", code, "AuthorizationCodeExpiredTime", "3600", "PreAuthCode", "x"},
	})
	if err != nil || len(out.Attempts) != 3 {
		t.Fatalf("three copies end in %v, %+v", err, out)
	}
	if again := p.wechat.Redeliver(t.Context(), out.Attempts[0]); again.Answer != "success" {
		t.Errorf("the same bytes once more: %+v", again)
	}
	p.described(customerID)
	if n := len(p.wechat.Calls("/cgi-bin/component/api_query_auth")); n != 1 {
		t.Errorf("the code was exchanged %d times", n)
	}
	// An end that came before the beginning is none.
	p.told(eventsPath, eventXML(first, "unauthorized", "AuthorizerAppid", customerID)).accepted(t, "an old end")
	if a, _ := p.authorizer(customerID); a.Status != component.StatusAuthorized || !a.HasRefreshToken {
		t.Errorf("an old end makes it %+v", a)
	}
	// And a beginning from before the end does not bring it back.
	if _, err := p.wechat.Deauthorize(t.Context(), portalID, customerID); err != nil {
		t.Fatal(err)
	}
	p.told(eventsPath, eventXML(first, "authorized", "AuthorizerAppid", customerID, "AuthorizationCode", code, "AuthorizationCodeExpiredTime", "3600")).accepted(t, "an old beginning")
	p.told(eventsPath, eventXML(first, "updateauthorized", "AuthorizerAppid", customerID, "AuthorizationCode", "queryauthcode@@@other", "AuthorizationCodeExpiredTime", "3600")).accepted(t, "an old update")
	eventually(t, "the old codes are done with", func() bool {
		n, err := p.store.QueueLen(context.WithoutCancel(t.Context()), "component:"+portalID)
		return err == nil && n == 0
	})
	if a, _ := p.authorizer(customerID); a.Status != component.StatusUnauthorized {
		t.Errorf("an old beginning makes it %+v", a)
	}
}

// spoiltPushes are requests of every kind that is not WeChat's, for either URL.
func spoiltPushes(p *portal, inner string) map[string][2]string {
	now := p.clock.now()
	query, body := sealedPush(now, testPushKey, portalID, inner)
	signature := strings.Index(query, "msg_signature=") + len("msg_signature=")
	plain := signedQuery(now, "4711")
	sealed := func(at time.Time, key, tail, message string) [2]string {
		q, b := sealedPush(at, key, tail, message)
		return [2]string{q, b}
	}
	flipped := []byte(query)
	flipped[signature] ^= 1 // a digit or a to f becomes another, or no hex digit
	all := map[string][2]string{
		"nothing":                   {"", ""},
		"no query":                  {"", body},
		"no body":                   {query, ""},
		"signature flipped":         {string(flipped), body},
		"signature upper-case":      {query[:signature] + strings.ToUpper(query[signature:signature+40]) + query[signature+40:], body},
		"signature short":           {query[:signature+39] + query[signature+40:], body},
		"signature twice":           {query + "&msg_signature=" + query[signature:signature+40], body},
		"signature missing":         {strings.Replace(query, "msg_signature", "x", 1), body},
		"other signature only":      {plain, body},
		"plain":                     {plain, inner},
		"plain, no encryption said": {plain + "&encrypt_type=raw", inner},
		"plain beside":              {query, inner},
		"stale":                     sealed(now.Add(-11*time.Minute), testPushKey, portalID, inner),
		"early":                     sealed(now.Add(11*time.Minute), testPushKey, portalID, inner),
		"nonce no digits":           {strings.Replace(query, "nonce=4711", "nonce=x", 1), body},
		"digit moved":               {strings.Replace(query, "&nonce=", "0&nonce=", 1), body},
		"foreign tail":              sealed(now, testPushKey, "wxdeadbeef01234567", inner),
		"longer tail":               sealed(now, testPushKey, portalID+"0", inner),
		"no tail":                   sealed(now, testPushKey, "", inner),
		"foreign key":               sealed(now, strings.Repeat("A", 43), portalID, inner),
		"no XML inside":             sealed(now, testPushKey, portalID, "unauthorized"),
		"JSON inside":               sealed(now, testPushKey, portalID, `{"InfoType":"unauthorized"}`),
		"document type inside":      sealed(now, testPushKey, portalID, "<!DOCTYPE xml>"+inner),
		"element twice inside":      sealed(now, testPushKey, portalID, strings.Replace(inner, "</xml>", "<CreateTime>1</CreateTime></xml>", 1)),
		"time no number":            sealed(now, testPushKey, portalID, "<xml><AppId>"+portalID+"</AppId><CreateTime>x</CreateTime></xml>"),
		"one byte too long":         {query, body + strings.Repeat(" ", wechat.MaxPush+1-len(body))},
		"a lot too long":            {query, strings.Repeat(body, 2000)},
		"JSON":                      {query, `{"Encrypt":"x"}`},
		"two roots":                 {query, body + body},
		"document type":             {query, "<!DOCTYPE xml>" + body},
		"two ciphertexts":           {query, strings.Replace(body, "</xml>", "<Encrypt>AAAA</Encrypt></xml>", 1)},
		"ciphertext cut":            {query, strings.Replace(body, "]]></Encrypt>", "AAAA]]></Encrypt>", 1)},
		"query unreadable":          {query + "&x=%zz", body},
		"query too long":            {query + "&x=" + strings.Repeat("x", 5000), body},
	}
	return all
}

// Who is not WeChat learns nothing: not from status, headers or body.
func TestForgedEvents(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	p.authorize(customerID)
	before := p.overview()
	inner := eventXML(p.clock.now(), "unauthorized", "AuthorizerAppid", customerID)
	all := spoiltPushes(p, inner)
	add := func(name, message string) {
		q, b := sealedPush(p.clock.now(), testPushKey, portalID, message)
		all[name] = [2]string{q, b}
	}
	add("of another platform", strings.Replace(inner, portalID, "wxdeadbeef01234567", 1))
	add("of no platform", "<xml><InfoType>unauthorized</InfoType></xml>")
	add("without a time", "<xml><AppId>"+portalID+"</AppId><InfoType>unauthorized</InfoType><AuthorizerAppid>"+customerID+"</AuthorizerAppid></xml>")
	add("a person's message", p.wechat.TextMessage(customerID, "aqiang", "unauthorized"))
	likeness := ""
	for name, request := range all {
		res := p.call(http.MethodPost, eventsPath, request[0], request[1])
		if res.StatusCode != http.StatusBadRequest {
			t.Fatalf("%s: answered %d %s", name, res.StatusCode, res.body)
		}
		if got := res.likeness(t); likeness == "" {
			likeness = got
		} else if got != likeness {
			t.Errorf("%s is told\n%s\nothers\n%s", name, got, likeness)
		}
	}
	after := p.overview()
	if a, _ := p.authorizer(customerID); a.Status != component.StatusAuthorized || !after.Ticket.CreatedAt.Equal(*before.Ticket.CreatedAt) {
		t.Errorf("something changed: %+v, %+v", a, after)
	}
	log := p.log.String()
	for _, secret := range []string{testPushToken, testPushKey, "ticket@@@", "queryauthcode@@@"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %s", secret)
		}
	}
	p.told(eventsPath, inner).accepted(t, "the same by WeChat")
	if a, _ := p.authorizer(customerID); a.Status != component.StatusUnauthorized {
		t.Errorf("the genuine push makes it %+v", a)
	}
}

func TestEventMethods(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	query, body := sealedPush(p.clock.now(), testPushKey, portalID, eventXML(p.clock.now(), "x"))
	for _, path := range []string{eventsPath, messagesPath + customerID} {
		for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodOptions, http.MethodDelete, http.MethodPatch} {
			if res := p.call(method, path, query, body); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, POST" {
				t.Errorf("%s %s answered %d, Allow %q", method, path, res.StatusCode, res.Header.Get("Allow"))
			}
		}
		good := signedQuery(p.clock.now(), "1")
		if res := p.call(http.MethodGet, path, good+"&echostr=4711", ""); res.StatusCode != 200 || res.body != "4711" {
			t.Errorf("%s: the look at the URL is answered %d %s", path, res.StatusCode, res.body)
		}
		bad := strings.Replace(good, "nonce=1", "nonce=2", 1)
		if res := p.call(http.MethodGet, path, bad+"&echostr=4711", ""); res.likeness(t) != p.call(http.MethodPost, path, bad, body).likeness(t) {
			t.Errorf("%s: answered %d %s", path, res.StatusCode, res.body)
		}
	}
	for _, path := range []string{"", "messages", "messages/", "messages/a/b", "messages/a%2fb", "messages/" + strings.Repeat("w", 65), "events/", "event", "messages/$APPID$"} {
		if res := p.call(http.MethodPost, "/.wxgate/component/"+path, query, body); res.StatusCode != http.StatusNotFound {
			t.Errorf("%q answered %d", path, res.StatusCode)
		}
	}
	// Without a platform there is none of it.
	w := newWorld(t, 1, nil)
	for _, name := range []string{"events", "authorize", "callback", "messages/" + customerID} {
		if res := w.browser(iPhone).open("/.wxgate/component/" + name); res.StatusCode != http.StatusNotFound {
			t.Errorf("without a platform, %s answered %d", name, res.StatusCode)
		}
	}
}

// Success is said of nothing that is not in the store.
func TestEventsNeedTheStore(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	made := p.clock.now().Add(time.Minute).Truncate(time.Second)
	ticket := eventXML(made, "component_verify_ticket", "ComponentVerifyTicket", "ticket@@@next")
	pushes := map[string]string{
		eventsPath: ticket, messagesPath + customerID: p.wechat.TextMessage(customerID, "aqiang", "x"),
		messagesPath + "wx570bc396a51b8ff8": releaseMessage("text", "<Content>QUERY_AUTH_CODE:queryauthcode@@@1</Content>"),
	}
	p.store.down.Store(true)
	for path, message := range pushes {
		if res := p.told(path, message); res.StatusCode != http.StatusServiceUnavailable || res.jsonError(t).Error != "store_unavailable" {
			t.Errorf("%s: answered %d %s", path, res.StatusCode, res.body)
		}
	}
	p.store.down.Store(false)
	for path, message := range pushes {
		if res := p.told(path, message); res.StatusCode != 200 {
			t.Errorf("%s, again: answered %d %s", path, res.StatusCode, res.body)
		}
	}
	if at := p.overview().Ticket.CreatedAt; !at.Equal(made) {
		t.Errorf("the ticket is of %v, want %v", at, made)
	}
	if n := strings.Count(p.log.String(), "ticket@@@next"); n != 0 {
		t.Error("the log shows the ticket")
	}
}

// There is no plain mode, not even where no key was configured.
func TestNoPlainEvents(t *testing.T) {
	t.Parallel()
	settings := usualPortal
	settings.keys = nil
	p := newPortalAs(t, 1, settings)
	plain := map[string]string{
		eventsPath:                strings.Replace(eventXML(p.clock.now(), "component_verify_ticket", "ComponentVerifyTicket", "ticket@@@plain"), "</xml>", "<MsgType>event</MsgType></xml>", 1),
		messagesPath + releaseID:  releaseMessage("text", "<Content>TESTCOMPONENT_MSG_TYPE_TEXT</Content><MsgId>1</MsgId>"),
		messagesPath + customerID: messageTo(customerGh, "text", "<Content>x</Content><MsgId>1</MsgId>"),
	}
	for path, message := range plain {
		res := p.call(http.MethodPost, path, signedQuery(p.clock.now(), "4711"), message)
		if res.refusal(t); !strings.Contains(p.log.String(), "it is not encrypted") {
			t.Errorf("%s: answered %d %s", path, res.StatusCode, res.body)
		}
	}
	if p.overview().Ticket.CreatedAt != nil {
		t.Error("the ticket was taken")
	}
}

func TestSlowEvent(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.replica(0).platform.readLimit = 50 * time.Millisecond
	for _, path := range []string{eventsPath, messagesPath + customerID} {
		answer := p.talk(crlf("POST " + path + "?" + signedQuery(p.clock.now(), "1") + " HTTP/1.1\nHost: " + p.addr() + "\nContent-Length: 100\n\n<xml>"))
		if statusOf(answer) != http.StatusBadRequest || !strings.Contains(answer, "Connection: close") {
			t.Errorf("answered %s", answer)
		}
	}
	if n := strings.Count(p.log.String(), "too long, too slow or cut off"); n != 2 {
		t.Errorf("the log says why %d times", n)
	}
}
