package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wxgate/identity"
	"wxgate/session"
)

const (
	// hookLease is when another replica may look at an entry that this one
	// took; no visit begins after half of it.
	hookLease = 20 * time.Second
	// hookClaim is how long one post and the note of what came of it may take,
	// with room for clocks that disagree; hookMemory is how long it is known
	// that an event was acknowledged.
	hookClaim, hookMemory = 30 * time.Second, 10 * time.Minute
	// hookNote bounds taking note of what came of a post, which a stop does not
	// interrupt.
	hookNote = 5 * time.Second

	hookBatch    = 32
	hookParallel = 8

	// hookPauseMin and hookPauseMax bound the pause between two rounds while the
	// app takes nothing, hookWaitMin and hookWaitMax that between two attempts of
	// one event.
	hookPauseMin, hookPauseMax = time.Second, time.Minute
	hookWaitMin, hookWaitMax   = time.Second, 5 * time.Minute
	hookWarnEvery              = time.Minute
)

// hooks posts events to the app, each at least once and those of a user, or of
// an account that authorized the third-party platform, in their order. Any replica
// may send any event; all that is known about it is in the store.
//
// Order: the events of an owner are a list in its record, which grows at its end
// and loses only what was acknowledged or taken back. Only its first one is ever
// sent, so an event is not sent before all earlier ones were acknowledged. A
// claim on the event lets one replica at a time send it, and outlives the
// acknowledgement, so that one who read the list before that does not send it
// once more after the next. What remains is a repetition: a replica died between
// the answer and the note of it, or lost its claim while the app took longer to
// answer than we wait.
//
// Nothing is lost: the queue's entry is there before the event is. Whichever
// entry of an owner comes up, all events of that owner are sent, and an entry goes
// only when its event was acknowledged or was not there for [hookUnwritten].
type hooks struct {
	s      *Server
	client *http.Client
	// boxes are all that hold events.
	boxes []*outbox
	// failing says that the app took nothing lately: then one event is tried
	// after the other, and the first may be enough to know.
	failing bool
	// warned is the time of the last warning, told whether it said that.
	warned time.Time
	told   bool
}

func newHooks(s *Server) *hooks {
	h := &hooks{s: s, client: newHookClient(), boxes: []*outbox{userOutbox(s.cfg.Users)}}
	if s.cfg.Component != nil {
		h.boxes = append(h.boxes, authorizerOutbox(s.cfg.Component))
	}
	return h
}

// run delivers what is due until ctx ends.
func (h *hooks) run(ctx context.Context) {
	if h.s.cfg.HookURL == "" {
		return
	}
	pause := hookPauseMin
	for {
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		pause = h.step(ctx, pause)
	}
}

// step makes one round and says how long to wait until the next. While the app
// takes nothing the pause grows; one that refuses single events is no reason to
// keep it waiting for the others.
func (h *hooks) step(ctx context.Context, pause time.Duration) time.Duration {
	r, err := h.round(ctx)
	if ctx.Err() != nil {
		return pause
	}
	if r.delivered > 0 {
		if h.told {
			h.s.log.Info("the app takes events again")
		}
		h.failing, h.told = false, false
	}
	if r.failure != nil && r.delivered == 0 {
		h.failing = true
		pause = min(2*max(pause, hookPauseMin), hookPauseMax)
		if r.warn(ctx, "the app takes no events at the moment; they are kept", slog.String("next_try", pause.String())) {
			h.told = true
		}
		return pause
	}
	if r.failure != nil {
		r.warn(ctx, "the app does not take an event; it is tried again, those of others go on", slog.Int("failed", r.failed))
	}
	if err != nil {
		// The store's, whose watch has said so.
		h.s.log.Debug("due events cannot be read", "error", err)
	}
	if r.full && r.delivered > 0 {
		return 0
	}
	return hookPauseMin
}

// hookRound is what came of one batch of due entries.
type hookRound struct {
	h     *hooks
	began time.Time
	full  bool // more may be due

	mu        sync.Mutex
	over      bool // all others would meet the same
	delivered int
	failed    int
	failure   *hookFailure // the last one, and whose it was
	event     hookEvent
}

func (h *hooks) round(ctx context.Context) (*hookRound, error) {
	r := &hookRound{h: h, began: h.s.now()}
	keys, err := h.s.cfg.Queue.TakeDue(ctx, identity.QueueNotices, r.began, hookLease, hookBatch)
	if err != nil {
		return r, err
	}
	r.full = len(keys) == hookBatch
	var owners []hookOwner
	entries := map[hookOwner][]hookEntry{}
	for _, key := range keys {
		e, ok := h.parse(key)
		if !ok {
			// Another version's.
			if err := h.s.cfg.Queue.Schedule(ctx, identity.QueueNotices, key, r.began.Add(hookForeign)); err != nil {
				return r, err
			}
			continue
		}
		if entries[e.owner] == nil {
			owners = append(owners, e.owner)
		}
		entries[e.owner] = append(entries[e.owner], e)
	}
	var visits errgroup.Group
	visits.SetLimit(hookParallel)
	if h.failing {
		visits.SetLimit(1)
	}
	for _, owner := range owners {
		visits.Go(func() error { return r.visit(ctx, owner, entries[owner]) })
	}
	return r, visits.Wait()
}

// goesOn reports whether another event may be begun.
func (r *hookRound) goesOn(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.over && ctx.Err() == nil
}

func (r *hookRound) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delivered++
}

func (r *hookRound) refused(e hookEvent, f *hookFailure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	r.failure, r.event = f, e
	r.over = r.over || f.down
}

// warn logs the last failure, at most once a minute.
func (r *hookRound) warn(ctx context.Context, what string, more slog.Attr) bool {
	now := r.h.s.now()
	if now.Sub(r.h.warned) < hookWarnEvery {
		return false
	}
	r.h.warned = now
	r.h.s.log.LogAttrs(ctx, slog.LevelWarn, what, slog.String("type", r.event.kind), r.event.about,
		slog.String("event", r.event.id), slog.Int("status", r.failure.status), slog.String("error", r.failure.Error()), more)
	return true
}

// visit sends the events of an owner until there is none, one is not taken, or
// another replica is at it.
func (r *hookRound) visit(ctx context.Context, owner hookOwner, held []hookEntry) error {
	switch {
	case r.h.s.now().Sub(r.began) > hookLease/2:
		return nil
	case !r.goesOn(ctx):
		// Due before what has just failed, or that could keep it waiting again.
		return r.h.postpone(ctx, held, nil, r.began)
	}
	for r.goesOn(ctx) {
		list, err := owner.box.events(ctx, owner.id)
		switch {
		case errors.Is(err, identity.ErrRecord):
			r.h.s.log.Error("the events in a record cannot be read", owner.box.whose, owner.id, "error", err)
			return r.h.postpone(ctx, held, nil, r.h.s.now().Add(hookWaitMax))
		case err != nil:
			return err
		case len(list) == 0:
			return r.h.unwritten(ctx, held)
		}
		task, err := r.h.s.cfg.Sessions.Claim(ctx, "event "+list[0].id, hookClaim, hookMemory)
		switch {
		case err != nil:
			return err
		case task.Mine:
			if sent, err := r.send(ctx, task, list, held); !sent {
				return err
			}
		case !task.Done:
			return nil
		}
		if held, err = r.h.delivered(ctx, owner, list[0], held); err != nil {
			return err
		}
	}
	return nil
}

// send posts the first event of a list. If it is not taken, all of the list
// wait.
func (r *hookRound) send(ctx context.Context, task *session.Task, list []hookEvent, held []hookEntry) (sent bool, err error) {
	e := list[0]
	failure := r.h.post(ctx, e.body)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookNote)
	defer cancel()
	if failure == nil {
		r.succeeded()
		// If this is not noted, the record still is about to say it.
		_ = task.Finish(ctx, nil)
		return true, nil
	}
	r.refused(e, failure)
	now := r.h.s.now()
	// Before the claim ends, or another replica could be done with what is
	// scheduled here.
	err = r.h.postpone(ctx, held, list, now.Add(hookWait(now.Sub(e.time))))
	return false, errors.Join(err, task.Release(ctx))
}
