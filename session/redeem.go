package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	codePrefix = "c:"
	// outcomeLife is how long a used code's result can be fetched again by
	// the browser it belongs to.
	outcomeLife = 2 * time.Minute
	// redeemLimit is how long the one exchange of a code may take with all
	// that follows from it, whoever still waits for it.
	redeemLimit = 15 * time.Second
	// keepLimit is how long the store may then take to keep the outcome.
	keepLimit = time.Second
	// pollEvery is how often a replica looks whether another one is done.
	pollEvery = 50 * time.Millisecond
)

// Outcome is what became of a code: a session token, or the word of a failure
// that every further delivery shall be told too.
type Outcome struct {
	Token   string `json:"token,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// ErrForeignCode says that the code was brought by another browser before.
var ErrForeignCode = errors.New("session: the code belongs to another browser's login")

// ErrCodeLost says that whoever exchanged the code never told its outcome: the
// process died, or the store lost it. Only a new login helps.
var ErrCodeLost = errors.New("session: the outcome of the code is lost")

// Redeemer makes sure that a code is exchanged once. WeChat delivers a code
// twice (in sequence or at once, to one replica or to two), and the second
// exchange of a code fails.
type Redeemer struct {
	m       *Manager
	flights singleflight.Group
}

// NewRedeemer shares the store, clock and keys of a manager.
func NewRedeemer(m *Manager) *Redeemer { return &Redeemer{m: m} }

// claim is the store's record of a code: who may have it, until when its
// exchange may take, and the sealed outcome.
type claim struct {
	Binding string    `json:"binding"`
	Until   time.Time `json:"until"`
	Outcome []byte    `json:"outcome,omitempty"`
}

// Redeem runs exchange for the first delivery of a code and gives its outcome
// to every further one with the same binding, within two minutes; replayed
// tells these apart. binding names the browser's pending login.
//
// The exchange goes on when the request that began it is gone: its code is
// used up by then, and the browser's second request wants the result. An error
// of Redeem itself is ErrForeignCode, ErrCodeLost, the store's, or ctx's; what
// went wrong in the exchange is in the outcome.
func (r *Redeemer) Redeem(ctx context.Context, appID, code, binding string, exchange func(context.Context) Outcome) (_ Outcome, replayed bool, err error) {
	key := codePrefix + hash(appID, code)
	binding = hash(binding)
	first := false
	flight := r.flights.DoChan(key+binding, func() (any, error) {
		first = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redeemLimit+keepLimit)
		defer cancel()
		out, again, err := r.redeem(ctx, key, binding, exchange)
		return result{out, again}, err
	})
	select {
	case <-ctx.Done():
		return Outcome{}, false, ctx.Err()
	case f := <-flight:
		if f.Err != nil {
			return Outcome{}, false, f.Err
		}
		res := f.Val.(result)
		return res.Outcome, res.replayed || !first, nil
	}
}

type result struct {
	Outcome
	replayed bool
}

func (r *Redeemer) redeem(ctx context.Context, key, binding string, exchange func(context.Context) Outcome) (Outcome, bool, error) {
	mine := claim{Binding: binding, Until: r.m.now().Add(redeemLimit)}
	value, err := json.Marshal(mine)
	if err != nil {
		return Outcome{}, false, err
	}
	created, err := r.m.store.Create(ctx, key, value, outcomeLife)
	if err != nil {
		return Outcome{}, false, err
	}
	if !created {
		out, err := r.await(ctx, key, binding)
		return out, true, err
	}
	limited, cancel := context.WithTimeout(ctx, redeemLimit)
	defer cancel()
	out := exchange(limited)
	plain, err := json.Marshal(out)
	if err != nil {
		return Outcome{}, false, err
	}
	mine.Outcome = r.m.sealer.seal(plain, key)
	if value, err = json.Marshal(mine); err != nil {
		return Outcome{}, false, err
	}
	// The outcome stands whether or not it can be kept: without it only a
	// second delivery has to log in again.
	_ = r.m.store.Put(ctx, key, value, outcomeLife)
	return out, false, nil
}

// await looks for the outcome until the claim's own deadline: beyond it, the
// one who claimed the code is dead.
func (r *Redeemer) await(ctx context.Context, key, binding string) (Outcome, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		value, found, err := r.m.store.Get(ctx, key)
		if err != nil {
			return Outcome{}, err
		}
		if !found {
			return Outcome{}, ErrCodeLost
		}
		var c claim
		if err := json.Unmarshal(value, &c); err != nil {
			return Outcome{}, fmt.Errorf("session: unreadable claim of a code: %w", err)
		}
		switch {
		case c.Binding != binding:
			return Outcome{}, ErrForeignCode
		case c.Outcome != nil:
			return r.opened(key, c.Outcome)
		case !r.m.now().Before(c.Until):
			return Outcome{}, ErrCodeLost
		}
		select {
		case <-ctx.Done():
			return Outcome{}, ErrCodeLost
		case <-tick.C:
		}
	}
}

func (r *Redeemer) opened(key string, sealed []byte) (Outcome, error) {
	plain, ok := r.m.sealer.open(sealed, key)
	if !ok {
		return Outcome{}, ErrCodeLost
	}
	var out Outcome
	if err := json.Unmarshal(plain, &out); err != nil {
		return Outcome{}, fmt.Errorf("session: unreadable outcome of a code: %w", err)
	}
	return out, nil
}
