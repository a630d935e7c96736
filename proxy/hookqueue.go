package proxy

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"wxgate/identity"
)

const (
	// hookUnwritten is how long an entry waits for its event to be written.
	hookUnwritten = 2 * time.Minute
	// hookForeign is when an entry of another version is looked at again.
	hookForeign = 10 * time.Minute
)

// hookEntry is an entry of the queue.
type hookEntry struct {
	key   string
	owner hookOwner
	event string
	since time.Time // when its event was found missing; zero if it was not
}

// hookMissing begins the key of an entry whose event was missing, followed by
// the Unix time of that and the first key.
const hookMissing = "missing/"

func (h *hooks) parse(key string) (e hookEntry, ok bool) {
	first := key
	if rest, missing := strings.CutPrefix(key, hookMissing); missing {
		var unix string
		unix, first, _ = strings.Cut(rest, "/")
		seconds, err := strconv.ParseInt(unix, 10, 64)
		if err != nil {
			return e, false
		}
		e.since = time.Unix(seconds, 0)
	}
	e.key = key
	for _, box := range h.boxes {
		if id, event, ok := box.parse(first); ok {
			e.owner, e.event = hookOwner{box, id}, event
			return e, true
		}
	}
	return e, false
}

// hookWait is how long something of that age waits for its next attempt: as
// long again, within bounds, and an eighth more or less, so that what failed
// together does not come back together.
func hookWait(age time.Duration) time.Duration {
	d := min(max(age, hookWaitMin), hookWaitMax)
	return d - d/8 + rand.N(d/4)
}

// delivered forgets an event that was acknowledged, and returns the entries
// that are left.
func (h *hooks) delivered(ctx context.Context, owner hookOwner, done hookEvent, held []hookEntry) (left []hookEntry, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookNote)
	defer cancel()
	if err := owner.box.delivered(ctx, owner.id, done.id); err != nil {
		return nil, err
	}
	keys := []string{done.key}
	for _, e := range held {
		switch {
		case e.event != done.id:
			left = append(left, e)
		case !slices.Contains(keys, e.key):
			keys = append(keys, e.key)
		}
	}
	for _, key := range keys {
		if err := h.s.cfg.Queue.Done(ctx, identity.QueueNotices, key); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// postpone moves all entries of an owner to one time, so that they cost one
// attempt. An event whose entry was given up too early gets one again.
func (h *hooks) postpone(ctx context.Context, held []hookEntry, list []hookEvent, at time.Time) error {
	var keys []string
	for _, e := range held {
		keys = append(keys, e.key)
	}
	for _, event := range list {
		if !slices.ContainsFunc(held, func(e hookEntry) bool { return e.event == event.id }) {
			keys = append(keys, event.key)
		}
	}
	for _, key := range keys {
		if err := h.s.cfg.Queue.Schedule(ctx, identity.QueueNotices, key, at); err != nil {
			return err
		}
	}
	return nil
}

// unwritten keeps entries whose event is not in the record for a while. Such
// an event may be on its way into it, may belong to a first login that
// competes with another one, may have been acknowledged already, or will never
// be written because its writer died.
//
// The entry is replaced by one that says since when. The event's own time
// would not do: an event that tells of a merge is announced once more when the
// merge is finished, however long after it was decided.
func (h *hooks) unwritten(ctx context.Context, held []hookEntry) error {
	now := h.s.now()
	for _, e := range held {
		key := e.key
		if e.since.IsZero() {
			e.since, key = now, hookMissing+strconv.FormatInt(now.Unix(), 10)+"/"+e.key
		}
		if age := now.Sub(e.since); age < hookUnwritten {
			if err := h.s.cfg.Queue.Schedule(ctx, identity.QueueNotices, key, now.Add(hookWait(age))); err != nil {
				return err
			}
			if key == e.key {
				continue
			}
		}
		if err := h.s.cfg.Queue.Done(ctx, identity.QueueNotices, e.key); err != nil {
			return err
		}
	}
	return nil
}
