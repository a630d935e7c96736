package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func (w *world) logout(cookie string) {
	w.t.Helper()
	if status, got := w.ask("POST /.wxgate/logout", "Cookie: "+cookie+"\n"); status/100 == 4 || status/100 == 5 {
		w.t.Fatal(got)
	}
}

func TestSocketsEndWithTheirSession(t *testing.T) {
	for name, finish := range map[string]func(*world, string){
		"logout":            func(w *world, cookie string) { w.logout(cookie) },
		"logout elsewhere":  func(w *world, cookie string) { w.logoutElsewhere(cookie, 3*time.Second) },
		"session runs out":  func(w *world, _ string) { w.watchAfter(721 * time.Hour) },
		"five seconds, Run": func(w *world, cookie string) { w.logoutElsewhere(cookie, 0); w.run(3 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			w, app := newSocketWorld(t, 1, rules("public /pub/"))
			mine, other := w.sessionCookie(), w.sessionCookie()
			a, b := w.mustSocket("/", mine), w.mustSocket("/", mine)
			stranger, anonymous := w.mustSocket("/", other), w.mustSocket("/pub/", "")
			finish(w, mine)
			for _, c := range []*websocket.Conn{a, b} {
				if code := w.closing(c); code != websocket.StatusGoingAway {
					t.Errorf("ended with %d", code)
				}
				<-app.ended
			}
			w.exchange(anonymous, "still here")
			if name != "session runs out" {
				w.exchange(stranger, "still here")
			}
		})
	}
}

// logoutElsewhere ends a session on a replica that knows nothing of its
// streams, and lets the one that does look after a while.
func (w *world) logoutElsewhere(cookie string, later time.Duration) {
	w.t.Helper()
	key, ok := w.replicas[0].cfg.Sessions.Key(strings.TrimPrefix(cookie, "wxgate="))
	if !ok {
		w.t.Fatal("no key")
	}
	if err := w.replicas[0].cfg.Sessions.End(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
	if later > 0 {
		w.watchAfter(later)
	}
}

func (w *world) watchAfter(d time.Duration) {
	w.clock.advance(d)
	for _, g := range w.replicas {
		g.watchStreams(w.t.Context())
	}
}

// run keeps the replicas' background work going until the test ends.
func (w *world) run(later time.Duration) {
	w.clock.advance(later)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, len(w.replicas))
	for _, g := range w.replicas {
		go func() {
			g.Run(ctx)
			done <- struct{}{}
		}()
	}
	w.t.Cleanup(func() {
		cancel()
		for range w.replicas {
			<-done
		}
	})
}

// An outage of the store is not the end of anybody's session.
func TestSocketsSurviveAnOutage(t *testing.T) {
	w, _ := newSocketWorld(t, 1)
	c := w.mustSocket("/", w.sessionCookie())
	w.store.down.Store(true)
	w.watchAfter(3 * time.Second)
	w.exchange(c, "still here")
}

func TestDrainClosesWhatIsEndless(t *testing.T) {
	release := make(chan struct{})
	sockets := &socketApp{ended: make(chan error, 8)}
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events", "/download":
			if r.URL.Path == "/events" {
				rw.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			}
			io.WriteString(rw, "data: 1\n\n")
			http.NewResponseController(rw).Flush()
			select {
			case <-release:
				io.WriteString(rw, "the rest")
			case <-r.Context().Done():
			}
		default:
			sockets.ServeHTTP(rw, r)
		}
	}, rules("public /"))
	socket := w.mustSocket("/", "")
	events, download := w.stream("/events", ""), w.stream("/download", "")
	w.replicas[0].CloseStreams()
	if code := w.closing(socket); code != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %d", code)
	}
	if rest, err := io.ReadAll(events); err == nil {
		t.Errorf("the events ended as if complete: %q", rest)
	}
	close(release)
	if rest, err := io.ReadAll(download); err != nil || string(rest) != "the rest" {
		t.Errorf("the download: %q %v", rest, err)
	}
}

// In the middle of a frame a close frame would be taken for its content.
func TestNoCloseFrameInsideAFrame(t *testing.T) {
	app := newRawApp(t, func(_ rawRequest, c net.Conn) {
		io.WriteString(c, crlf("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n")+"\x81\x03all\x82\x0ahalf")
		io.Copy(io.Discard, c)
	})
	w := newWorld(t, 1, nil, upstreamAt(app.url), rules("public /"))
	c := w.dial()
	io.WriteString(c, crlf("GET /ws HTTP/1.1\nHost: "+w.addr()+"\nConnection: Upgrade\nUpgrade: websocket\n\n"))
	br := bufio.NewReader(c)
	if _, err := readLines(br); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 11)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "\x81\x03all\x82\x0ahalf" {
		t.Fatalf("%q %v", got, err)
	}
	w.replicas[0].CloseStreams()
	if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}

// stream opens an answer without a length and reads its first event.
func (w *world) stream(path, cookie string) *bufio.Reader {
	w.t.Helper()
	r, _ := http.NewRequestWithContext(w.t.Context(), "GET", w.front.URL+path, nil)
	r.Header.Set("Cookie", cookie)
	res, err := direct.Do(r)
	if err != nil || res.StatusCode != 200 {
		w.t.Fatal(res, err)
	}
	w.t.Cleanup(func() { res.Body.Close() })
	br := bufio.NewReader(res.Body)
	if first, err := br.ReadString('\n'); err != nil || first != "data: 1\n" {
		w.t.Fatal(first, err)
	}
	br.ReadString('\n')
	return br
}

func TestEventsArriveOneByOneAndEndWithTheSession(t *testing.T) {
	next := make(chan string)
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/events" {
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(rw, "data: 1\n\n")
		for http.NewResponseController(rw).Flush() == nil {
			select {
			case event := <-next:
				io.WriteString(rw, event)
			case <-r.Context().Done():
				next <- "ended"
				return
			}
		}
	})
	cookie := w.sessionCookie()
	events := w.stream("/events", cookie)
	for _, event := range []string{"data: 2\n", "data: 3\n", ": keep-alive\n"} {
		next <- event
		if got, err := events.ReadString('\n'); got != event {
			t.Fatalf("%q %v", got, err)
		}
	}
	w.logout(cookie)
	if rest, err := io.ReadAll(events); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream went on: %q %v", rest, err)
	}
	if <-next != "ended" {
		t.Error("the app was not told")
	}
}

// After everything has ended nothing is left running.
func TestNothingLeaksBehindStreams(t *testing.T) {
	w, app := newSocketWorld(t, 1)
	cookie := w.sessionCookie()
	w.mustSocket("/", cookie).CloseNow()
	<-app.ended
	eventually(t, "the first one is gone", func() bool { return len(w.replicas[0].streams.keys()) == 0 })
	direct.CloseIdleConnections()
	before := runtime.NumGoroutine()
	var open []*websocket.Conn
	for range 20 {
		open = append(open, w.mustSocket("/", cookie))
	}
	for i, c := range open {
		if i%2 == 0 {
			c.CloseNow()
		}
	}
	w.logout(cookie)
	for range open {
		<-app.ended
	}
	for _, c := range open {
		c.CloseNow()
	}
	eventually(t, "all goroutines end", func() bool {
		direct.CloseIdleConnections()
		return runtime.NumGoroutine() <= before+2
	})
	if n := len(w.replicas[0].streams.keys()); n != 0 {
		t.Errorf("%d sessions with streams are left", n)
	}
}

// The list of a session's streams, against a set.
func TestSeats(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 1))
	s := newStreams(NewMetrics("test", "go"))
	type occupied struct {
		key   string
		leave func()
	}
	present, gone := map[*waiting]occupied{}, []func(){}
	for range 3000 {
		if key := strconv.Itoa(rnd.IntN(5)); len(present) < 3 || len(present) < 20 && rnd.IntN(2) == 0 {
			w := &waiting{}
			present[w] = occupied{key, s.join(key, w)}
		} else {
			for w, o := range present { // any
				o.leave()
				delete(present, w)
				gone = append(gone, o.leave)
				break
			}
			gone[rnd.IntN(len(gone))]() // once more does not matter
		}
		want := map[string]map[stream]bool{}
		for w, o := range present {
			if want[o.key] == nil {
				want[o.key] = map[stream]bool{}
			}
			want[o.key][w] = true
		}
		got := map[string]map[stream]bool{}
		for _, key := range s.keys() {
			got[key] = map[stream]bool{}
			for p := s.by[key]; p != nil; p = p.next {
				got[key][p.stream] = true
			}
		}
		if !maps.EqualFunc(got, want, maps.Equal) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
