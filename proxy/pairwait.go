package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"wxgate/session"
)

// The states that a waiting PC hears of. A session cannot be given here: the
// headers of a stream are gone when the phone confirms. The page then asks for
// pair/{token} itself.
const (
	waitWaiting   = "waiting"
	waitConfirmed = "confirmed"
	waitRefused   = "refused"
	waitExpired   = "expired"
)

// wait tells the PC what the phone decided: as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html) until there
// is a decision or the time is up, or at once and once as JSON. Only the browser
// that began the login is told.
func (p *pairing) wait(v *visit, text string) {
	pair, ok := p.s.cfg.Sessions.OpenPair(text)
	if _, mine := p.asked(v, p.s.cfg.Sessions.Logins(v.r.Header), pair); !ok || !mine {
		p.s.fail(v, notFound, nil)
		return
	}
	if !strings.Contains(v.r.Header.Get("Accept"), "text/event-stream") {
		state, err := p.state(v.r.Context(), answerName(v, text), pair)
		if err != nil {
			p.s.fail(v, storeUnavailable, err)
			return
		}
		p.s.writeJSON(v, http.StatusOK, struct {
			State string `json:"state"`
		}{state})
		return
	}
	leave, ok := p.enter(pair.Binding)
	if !ok {
		p.s.fail(v, rateLimited, errors.New("too many streams wait for phones"))
		return
	}
	defer leave()
	p.stream(v, text, pair)
}

// enter takes one of the places for streams. They are few for one login, or a
// single page could hold all of them.
func (p *pairing) enter(binding string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting >= maxWaiting || p.perPair[binding] >= maxPerPair {
		return nil, false
	}
	p.waiting++
	p.perPair[binding]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting--
		if p.perPair[binding]--; p.perPair[binding] == 0 {
			delete(p.perPair, binding)
		}
	}, true
}

// state is one look at the store. An answer counts even if it came in the last
// second.
func (p *pairing) state(ctx context.Context, name string, pair session.Pair) (string, error) {
	if !p.s.now().Before(pair.Started.Add(2 * session.PairLife)) {
		return waitExpired, nil // no answer lives as long, so nothing has to be asked
	}
	a, answered, err := p.s.cfg.Sessions.PairAnswered(ctx, name)
	switch {
	case err != nil:
		return "", err
	case answered && a.Word == session.PairConfirmed:
		return waitConfirmed, nil
	case answered:
		return waitRefused, nil
	case pair.Expired(p.s.now()):
		return waitExpired, nil
	}
	return waitWaiting, nil
}

// writeLimit is how long a waiting browser may take to accept a few bytes.
const writeLimit = 10 * time.Second

// stream sends the state whenever it changes, and a comment now and then so that
// nothing on the way thinks the connection is dead. It ends with the decision,
// with the token's life, with the browser's patience, or with the process; in
// the last case the browser asks the next replica by itself.
func (p *pairing) stream(v *visit, text string, pair session.Pair) {
	ctx, cancel := context.WithCancel(v.r.Context())
	defer cancel()
	defer p.s.streams.join("", &waiting{cancel})()
	h := v.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	control := http.NewResponseController(v)
	send := func(text string) bool {
		control.SetWriteDeadline(time.Now().Add(writeLimit)) // fails where there is no connection to limit
		_, err := v.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	const beat = 15 // ticks
	last := ""
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	for n := 1; ; n++ {
		// Without an answer of the store the PC waits on.
		if state, err := p.state(ctx, answerName(v, text), pair); err == nil && state != last {
			if !send("retry: 1000\ndata: " + state + "\n\n") {
				return
			}
			last = state
		} else if (n%beat == 0 || last == "") && !send(": waiting\n\n") {
			return
		}
		if last != "" && last != waitWaiting || p.s.now().After(pair.Started.Add(2*session.PairLife)) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// waiting is a stream that a shutdown ends.
type waiting struct{ cancel context.CancelFunc }

func (w *waiting) end()          { w.cancel() }
func (w *waiting) endless() bool { return true }
