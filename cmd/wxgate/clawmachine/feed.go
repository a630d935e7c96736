package clawmachine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	feedKept      = 20               // events a newcomer is shown
	feedBuffer    = 16               // events a reader may lag behind before it is cut off
	feedHeartbeat = 15 * time.Second // proxies cut streams that stay silent
	feedWrite     = 10 * time.Second // a reader that takes nothing for so long is gone
)

// event is one line of the live ticker.
type event struct {
	ID     int64     `json:"id"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"` // started, won, missed, cheered
	Name   string    `json:"name"`
	Avatar string    `json:"avatar,omitempty"`
	Prize  string    `json:"prize,omitempty"` // won
	For    string    `json:"for,omitempty"`   // cheered: whom
}

// feed hands events to everybody who listens and keeps the last few.
type feed struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	id      int64
	kept    []event
	readers map[chan event]bool
}

// newFeed starts event ids at the time in milliseconds: a browser that
// reconnects after a restart with an old Last-Event-ID then misses nothing.
func newFeed(now func() time.Time) *feed {
	return &feed{now: now, id: now().UnixMilli(), readers: make(map[chan event]bool)}
}

func (f *feed) publish(e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id++
	e.ID, e.Time = f.id, f.now()
	f.kept = append(f.kept, e)
	f.kept = f.kept[max(0, len(f.kept)-feedKept):]
	for c := range f.readers {
		select {
		case c <- e:
		default:
			// Too slow. It comes back with Last-Event-ID and is told what it missed.
			delete(f.readers, c)
			close(c)
		}
	}
}

// subscribe returns the kept events after the one numbered last, and a channel of
// those that follow. The channel is closed if its reader lags behind.
func (f *feed) subscribe(last int64) (missed []event, next chan event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.kept {
		if e.ID > last {
			missed = append(missed, e)
		}
	}
	next = make(chan event, feedBuffer)
	f.readers[next] = true
	return missed, next
}

func (f *feed) unsubscribe(c chan event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, c)
}

// serveEvents is the live ticker as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (a *App) serveEvents(w http.ResponseWriter, r *http.Request) {
	done, ok := a.stream()
	if !ok {
		writeError(w, http.StatusServiceUnavailable, "closing", "the machine is being switched off")
		return
	}
	defer done()
	last, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64) // none or junk: all that is kept
	missed, next := a.feed.subscribe(last)
	defer a.feed.unsubscribe(next)

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the stream back
	out := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		out.SetWriteDeadline(time.Now().Add(feedWrite))
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	line := func(e event) bool {
		b, err := json.Marshal(e)
		return err == nil && send("id: %d\ndata: %s\n\n", e.ID, b)
	}

	if !send("retry: 2000\n\n") {
		return
	}
	for _, e := range missed {
		if !line(e) {
			return
		}
	}
	heartbeat := time.NewTicker(feedHeartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case e, open := <-next:
			if !open || !line(e) {
				return
			}
		case <-heartbeat.C:
			if !send(": still here\n\n") {
				return
			}
		case <-r.Context().Done():
			return
		case <-a.closing:
			return
		}
	}
}
