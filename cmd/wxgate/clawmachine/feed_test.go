package clawmachine

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// listener reads a stream of server-sent events.
type listener struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (a *arcade) listen(lastID string) *listener {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), "GET", a.server.URL+"/events", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { res.Body.Close() })
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		a.t.Fatalf("content type %q", got)
	}
	l := &listener{a.t, bufio.NewScanner(res.Body)}
	// The server sends this once it listens for events: none is missed from here on.
	if !l.lines.Scan() || l.lines.Text() != "retry: 2000" {
		a.t.Fatalf("stream begins with %q", l.lines.Text())
	}
	return l
}

func (l *listener) next() event {
	l.t.Helper()
	var id string
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			var e event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				l.t.Fatal(err)
			}
			if strconv.FormatInt(e.ID, 10) != id {
				l.t.Fatalf("event %+v under id %s", e, id)
			}
			return e
		}
	}
	l.t.Fatalf("the stream ended: %v", l.lines.Err())
	return event{}
}

func TestEvents(t *testing.T) {
	a := newArcade(t)
	l := a.listen("")
	alice, bob := a.enter(aliceID, "小美"), a.enter(bobID, "a\nb <b>")
	alice.say(`{"type":"start"}`)
	started := l.next()
	if started.Kind != "started" || started.Name != "小美" || !started.Time.Equal(a.now.Now()) {
		t.Errorf("got %+v", started)
	}
	bob.until(inPhase(phaseAim))
	if got := a.request("POST", "/api/cheer", bobID, "").StatusCode; got != http.StatusNoContent {
		t.Fatalf("cheer: %d", got)
	}
	if e := l.next(); e.Kind != "cheered" || e.Name != "ab <b>" || e.For != "小美" || e.ID != started.ID+1 {
		t.Errorf("got %+v", e)
	}
	alice.say(`{"type":"drop"}`)
	alice.until(inPhase(phaseDrop))
	for a.tick(alice).Last == nil {
	}
	missed := l.next()
	if missed.Kind != "missed" || missed.Prize != "" {
		t.Errorf("dropped over the hole: %+v", missed)
	}

	// A newcomer is told what was; one who comes back, what it missed.
	if e := a.listen("").next(); e != started {
		t.Errorf("a newcomer hears %+v first", e)
	}
	if e := a.listen("not a number").next(); e != started {
		t.Errorf("with a junk id: %+v first", e)
	}
	if e := a.listen(strconv.FormatInt(started.ID+1, 10)).next(); e != missed {
		t.Errorf("one who comes back hears %+v first", e)
	}
}

func TestFeedKeepsFewAndCutsTheSlow(t *testing.T) {
	now := newClock()
	tick := newFeed(now.Now)
	_, slow := tick.subscribe(0)
	for range feedBuffer + 1 {
		tick.publish(event{Kind: "started"})
	}
	n := 0
	for range slow { // ends because the channel is closed
		n++
	}
	if n != feedBuffer {
		t.Errorf("a slow reader got %d events before it was cut off, want %d", n, feedBuffer)
	}
	for range 3 * feedKept {
		tick.publish(event{Kind: "won"})
	}
	missed, next := tick.subscribe(0)
	if len(missed) != feedKept {
		t.Errorf("%d events kept, want %d", len(missed), feedKept)
	}
	tick.unsubscribe(next)
	tick.unsubscribe(slow) // already gone
	tick.publish(event{Kind: "won"})
	if len(next) != 0 {
		t.Error("an event for one who no longer listens")
	}
	if first := newFeed(now.Now); first.id < now.Now().UnixMilli() {
		t.Error("event ids start over after a restart")
	}
}
