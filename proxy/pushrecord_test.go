package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// requestsAt are the records of requests to a path, oldest first.
func (w *world) requestsAt(path string) (all []map[string]any) {
	w.t.Helper()
	for line := range strings.SplitSeq(w.log.String(), "\n") {
		var record map[string]any
		if strings.Contains(line, `"msg":"request"`) && json.Unmarshal([]byte(line), &record) == nil && record["path"] == path {
			all = append(all, record)
		}
	}
	return all
}

// lastEvent is the event in the newest record of a path, "-" if it has none. There
// must be want records.
func (w *world) lastEvent(path string, want int) string {
	w.t.Helper()
	var all []map[string]any
	eventually(w.t, "the request is recorded", func() bool { all = w.requestsAt(path); return len(all) >= want })
	if len(all) != want {
		w.t.Fatalf("%d records of %s, want %d", len(all), path, want)
	}
	event, named := all[want-1]["event"].(string)
	if !named {
		return "-"
	}
	return event
}

// The record of a push says which it was, in WeChat's own words, and nothing else
// of it; that of anything that is not WeChat's says nothing.
func TestComponentPushRecords(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	n := 0
	for kind, want := range map[string]string{
		"component_verify_ticket": "component_verify_ticket", "notify_3rd_wxa_auth": "notify_3rd_wxa_auth", "a type that ]]&gt; nobody knows": "?", "": "-",
	} {
		p.told(eventsPath, eventXML(p.clock.now(), kind, "ComponentVerifyTicket", p.wechat.IssueTicket(portalID), "AuthorizerAppid", customerID)).accepted(t, kind)
		if n++; p.lastEvent(eventsPath, n) != want {
			t.Errorf("%q is recorded as %q, want %q", kind, p.lastEvent(eventsPath, n), want)
		}
	}
	query, body := sealedPush(p.clock.now(), testPushKey, portalID, eventXML(p.clock.now(), "component_verify_ticket"))
	if res := p.call(http.MethodPost, eventsPath, strings.Replace(query, "msg_signature=", "msg_signature=0", 1), body); res.StatusCode != http.StatusBadRequest {
		t.Fatalf("a wrong signature: %d", res.StatusCode)
	}
	if got := p.lastEvent(eventsPath, n+1); got != "-" {
		t.Errorf("what is not signed is recorded as %q", got)
	}

	p.ticket()
	p.authorize(customerID)
	path := messagesPath + customerID
	if _, err := p.wechat.PushTextOnBehalf(t.Context(), portalID, customerID, "xiaomei", "a private word"); err != nil {
		t.Fatal(err)
	}
	if got := p.lastEvent(path, 1); got != "text" {
		t.Errorf("a message is recorded as %q", got)
	}
	if _, err := p.wechat.PushEventOnBehalf(t.Context(), portalID, customerID, "xiaomei", "subscribe"); err != nil {
		t.Fatal(err)
	}
	if got := p.lastEvent(path, 2); got != "subscribe" {
		t.Errorf("an event is recorded as %q", got)
	}
	if log := p.log.String(); strings.Contains(log, "ticket@@@") || strings.Contains(log, "a private word") || strings.Contains(log, `"event":""`) {
		t.Error("the log says too much, or says nothing")
	}
}

func TestPushRecords(t *testing.T) {
	t.Parallel()
	w := newPushWorld(t, 1, wechattest.PushSafe, nil)
	if got := w.lastEvent("/.wxgate/messages", 1); got != "-" { // WeChat's look at the URL
		t.Errorf("a look is recorded as %q", got)
	}
	w.push("xiaomei", "subscribe")
	if got := w.lastEvent("/.wxgate/messages", 2); got != "subscribe" {
		t.Errorf("an event is recorded as %q", got)
	}
}
