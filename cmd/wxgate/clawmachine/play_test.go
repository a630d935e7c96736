package clawmachine

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
)

// arcade is an app on a real listener whose machine moves when the test says so.
type arcade struct {
	*App
	t      *testing.T
	server *httptest.Server
	keys   *authority
	now    *clock
	ticks  chan time.Time
	ticked int
}

func newArcade(t *testing.T) *arcade {
	t.Helper()
	a := &arcade{t: t, ticks: make(chan time.Time)}
	a.App, a.keys, a.now = newApp(t, func(c *Config) {
		c.ticker = func() (<-chan time.Time, func()) { return a.ticks, func() {} }
	})
	a.server = httptest.NewServer(a.App)
	t.Cleanup(a.server.Close)
	t.Cleanup(func() { a.App.Close() }) // before the server's Close, which waits for streams
	return a
}

// tick moves a machine in play by one tick and returns what a guest then sees.
func (a *arcade) tick(g *guest) frame {
	a.t.Helper()
	select {
	case a.ticks <- time.Time{}:
	case <-a.t.Context().Done():
		a.t.Fatal("nobody takes the ticks")
	}
	a.ticked++
	return g.until(func(f frame) bool { return f.Tick == a.ticked })
}

func (a *arcade) assertion(id, name string) string {
	return a.keys.first().sign(a.t, claimsFor(a.now.Now(), id, jwt.MapClaims{"name": name, "snapshot": id == "visitor"}))
}

func (a *arcade) request(method, path, id, body string) *http.Response {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.server.URL+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if id != "" {
		req.Header.Set(assertionHeader, a.assertion(id, ""))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { res.Body.Close() })
	return res
}

// guest is a page that plays.
type guest struct {
	t     *testing.T
	conn  *websocket.Conn
	hello hello
}

func (a *arcade) enter(id, name string) *guest {
	a.t.Helper()
	conn, _, err := websocket.Dial(a.t.Context(), a.server.URL+"/play", &websocket.DialOptions{
		HTTPHeader: http.Header{assertionHeader: {a.assertion(id, name)}},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { conn.CloseNow() })
	g := &guest{t: a.t, conn: conn}
	g.read(&g.hello)
	if g.hello.Type != "hello" {
		a.t.Fatalf("first message is %+v", g.hello)
	}
	return g
}

func (g *guest) read(v any) {
	g.t.Helper()
	_, b, err := g.conn.Read(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) say(command string) {
	g.t.Helper()
	if err := g.conn.Write(g.t.Context(), websocket.MessageText, []byte(command)); err != nil {
		g.t.Fatal(err)
	}
}

// until reads frames until one fits.
func (g *guest) until(fits func(frame) bool) frame {
	g.t.Helper()
	for {
		var f frame
		g.read(&f)
		if fits(f) {
			return f
		}
	}
}

func inPhase(p phase) func(frame) bool { return func(f frame) bool { return f.Phase == p } }

func TestRoundOverWebSocket(t *testing.T) {
	a := newArcade(t)
	alice := a.enter(aliceID, "小美")
	if !alice.hello.Plays {
		t.Error("a player may not play")
	}
	f := alice.until(inPhase(phaseIdle))
	target := f.Toys[0]

	alice.say(`{"type":"start"}`)
	f = alice.until(inPhase(phaseAim))
	if f.Player == nil || f.Player.Num != alice.hello.Num || f.Player.Name != "小美" || f.Left != 25 {
		t.Fatalf("after start: player %+v, %v s left", f.Player, f.Left)
	}

	// Steer as a page does: hold a direction, look, let go.
	direction := func(have, want float64) int {
		switch {
		case want-have > aimSpeed/2:
			return 1
		case have-want > aimSpeed/2:
			return -1
		}
		return 0
	}
	for {
		x, y := direction(f.Claw.X, target.X), direction(f.Claw.Y, target.Y)
		b, _ := json.Marshal(command{Type: "move", X: x, Y: y})
		alice.say(string(b))
		alice.say(`{"type":"leave"}`) // changes nothing here, but is answered: the move has arrived
		alice.read(&f)
		if x == 0 && y == 0 {
			break
		}
		f = a.tick(alice)
	}
	alice.say(`{"type":"drop"}`)
	f = alice.until(inPhase(phaseDrop))
	seen := map[phase]bool{}
	for f.Last == nil {
		seen[f.Phase] = true
		f = a.tick(alice)
	}
	for _, p := range []phase{phaseDrop, phaseClose, phaseLift, phaseCarry, phaseOpen} {
		if !seen[p] {
			t.Errorf("phase %s was not shown", p)
		}
	}
	want := roundJSON{Round: 1, Player: alice.hello.Num, Name: "小美", Won: true, Kind: target.Kind}
	if *f.Last != want {
		t.Errorf("round ended as %+v, want %+v", *f.Last, want)
	}
	if f.Phase != phaseIdle || f.Player != nil {
		t.Errorf("after the round: phase %s, player %+v", f.Phase, f.Player)
	}

	got := decodeBody[shelf](t, get(t, a.App, "/api/shelf", a.assertion(aliceID, "")))
	if got.Rounds != 1 || len(got.Prizes) != 1 || got.Prizes[0].Kind != target.Kind || !got.Prizes[0].Time.Equal(a.now.Now()) {
		t.Errorf("shelf %+v", got)
	}
	if got := decodeBody[shelf](t, get(t, a.App, "/api/shelf", a.assertion(bobID, ""))); got.Rounds != 0 || len(got.Prizes) != 0 {
		t.Errorf("somebody else's shelf %+v", got)
	}
}

func TestQueue(t *testing.T) {
	a := newArcade(t)
	alice := a.enter(aliceID, "小美")
	bob := a.enter(bobID, "阿强")
	alice.say(`{"type":"start"}`)
	bob.until(inPhase(phaseAim))

	// Out of turn: bob can neither steer nor drop, and lines up once.
	bob.say(`{"type":"drop"}`)
	bob.say(`{"type":"move","x":1}`)
	bob.say(`{"type":"start"}`)
	bob.say(`{"type":"start"}`)
	f := bob.until(func(f frame) bool { return len(f.Queue) > 0 })
	if len(f.Queue) != 1 || f.Queue[0].Num != bob.hello.Num || f.Queue[0].Name != "阿强" || f.Phase != phaseAim || f.Watching != 2 {
		t.Fatalf("queue %+v, phase %s, %d watching", f.Queue, f.Phase, f.Watching)
	}
	if got := decodeBody[struct{ Machines []summary }](t, get(t, a.App, "/api/machines", "")).Machines; len(got) != 1 ||
		got[0] != (summary{ID: 1, Name: "一号机", Status: "playing", Toys: fullMachine, Queue: 1, Watching: 2, Rounds: 1}) {
		t.Errorf("machines %+v", got)
	}

	// The same person on a second page has the same place.
	phone := a.enter(bobID, "阿强")
	if phone.hello.Num != bob.hello.Num {
		t.Errorf("one person has numbers %d and %d", bob.hello.Num, phone.hello.Num)
	}
	phone.say(`{"type":"leave"}`)
	bob.until(func(f frame) bool { return len(f.Queue) == 0 })
	phone.say(`{"type":"start"}`)
	bob.until(func(f frame) bool { return len(f.Queue) == 1 })

	alice.say(`{"type":"drop"}`)
	f = alice.until(inPhase(phaseDrop))
	for f.Last == nil {
		f = a.tick(alice)
	}
	if f.Last.Player != alice.hello.Num || f.Player == nil || f.Player.Num != bob.hello.Num || f.Phase != phaseAim || len(f.Queue) != 0 {
		t.Errorf("after alice's round: last %+v, player %+v, phase %s", f.Last, f.Player, f.Phase)
	}
}

func TestLeavingMidRound(t *testing.T) {
	a := newArcade(t)
	alice, bob := a.enter(aliceID, "小美"), a.enter(bobID, "阿强")
	alice.say(`{"type":"start"}`)
	bob.until(inPhase(phaseAim))
	alice.conn.CloseNow()
	f := bob.until(inPhase(phaseDrop))
	if f.Watching != 1 {
		t.Errorf("%d watching after alice left", f.Watching)
	}
	for f.Last == nil {
		f = a.tick(bob)
	}
	if f.Last.Name != "小美" || f.Player != nil || f.Phase != phaseIdle {
		t.Errorf("last %+v, player %+v, phase %s", f.Last, f.Player, f.Phase)
	}
	// The machine's goroutine is gone, so the next round starts another.
	bob.say(`{"type":"start"}`)
	bob.until(inPhase(phaseAim))
	a.tick(bob)
}

func TestVisitorWatches(t *testing.T) {
	a := newArcade(t)
	visitor := a.enter("visitor", "")
	if visitor.hello.Plays {
		t.Error("a visitor may play")
	}
	visitor.say(`{"type":"start"}`)
	alice := a.enter(aliceID, "小美")
	alice.say(`{"type":"start"}`)
	f := visitor.until(inPhase(phaseAim))
	if f.Player == nil || f.Player.Name != "小美" || len(f.Queue) != 0 {
		t.Errorf("player %+v, queue %+v", f.Player, f.Queue)
	}
}

func TestBadCommandsEndTheConnection(t *testing.T) {
	for _, test := range []struct {
		name string
		kind websocket.MessageType
		body string
		want websocket.StatusCode
	}{
		{"not JSON", websocket.MessageText, "jump", websocket.StatusUnsupportedData},
		{"binary", websocket.MessageBinary, `{"type":"start"}`, websocket.StatusUnsupportedData},
		{"too long", websocket.MessageText, strings.Repeat(" ", playMessage+1), websocket.StatusMessageTooBig},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newArcade(t)
			g := a.enter(aliceID, "小美")
			if err := g.conn.Write(t.Context(), test.kind, []byte(test.body)); err != nil {
				t.Fatal(err)
			}
			for {
				if _, _, err := g.conn.Read(t.Context()); err != nil {
					if got := websocket.CloseStatus(err); got != test.want {
						t.Errorf("closed with %v (%v), want %v", got, err, test.want)
					}
					return
				}
			}
		})
	}
}

func TestOtherOriginsMayNotPlay(t *testing.T) {
	a := newArcade(t)
	_, res, err := websocket.Dial(t.Context(), a.server.URL+"/play", &websocket.DialOptions{HTTPHeader: http.Header{
		assertionHeader: {a.assertion(aliceID, "小美")}, "Origin": {"https://evil.example.com"},
	}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("err %v, response %+v", err, res)
	}
	req := httptest.NewRequest("POST", "/api/cheer", nil)
	req.Header.Set(assertionHeader, a.assertion(aliceID, ""))
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, req)
	if w.Code != http.StatusForbidden {
		t.Errorf("a cross-site POST got %d", w.Code)
	}
}

func TestCheer(t *testing.T) {
	a := newArcade(t)
	alice, bob := a.enter(aliceID, "小美"), a.enter(bobID, "阿强")
	expect := func(what, id string, want int) {
		t.Helper()
		if got := a.request("POST", "/api/cheer", id, "").StatusCode; got != want {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
	}
	expect("unknown", "", http.StatusUnauthorized)
	expect("nobody plays", bobID, http.StatusConflict)
	alice.say(`{"type":"start"}`)
	bob.until(inPhase(phaseAim))
	expect("oneself", aliceID, http.StatusConflict)
	expect("the player", bobID, http.StatusNoContent)
	expect("too often", bobID, http.StatusConflict)
	a.now.Add(cheerPause)
	expect("a second later", bobID, http.StatusNoContent)
	expect("somebody who is not here", "carolcccccccccccccccccccccc", http.StatusConflict)
}

// Close returns only when every connection's goroutines have ended, in the middle
// of a round too.
func TestClose(t *testing.T) {
	a := newArcade(t)
	alice := a.enter(aliceID, "小美")
	alice.say(`{"type":"start"}`)
	alice.until(inPhase(phaseAim))
	events := a.request("GET", "/events", "", "")

	ended := make(chan websocket.StatusCode)
	go func() {
		for {
			if _, _, err := alice.conn.Read(context.Background()); err != nil {
				ended <- websocket.CloseStatus(err)
				return
			}
		}
	}()
	a.App.Close()
	if got := <-ended; got != websocket.StatusGoingAway {
		t.Errorf("closed with %v", got)
	}
	if _, err := io.ReadAll(events.Body); err != nil {
		t.Errorf("event stream did not end: %v", err)
	}
	for _, path := range []string{"/play", "/events"} {
		if got := a.request("GET", path, aliceID, "").StatusCode; got != http.StatusServiceUnavailable {
			t.Errorf("%s answered %d after Close", path, got)
		}
	}
	if got := a.request("GET", "/api/machines", "", "").StatusCode; got != http.StatusOK {
		t.Errorf("plain requests answered %d after Close", got)
	}
	a.App.Close() // again does nothing
}
