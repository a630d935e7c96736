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

// Redemption is the exchange of one code while it is under way.
type Redemption struct {
	r    *Redeemer
	key  string
	mine claim
	kept string // the token that the outcome is kept with
}

// Begin starts a session, as Create does, and keeps its token as the outcome of
// the code, in one round trip if nobody competes and read holds the list of the
// user's sessions (ListKey) as it was a moment ago; nil stands for none, as a new
// user has. Else it is read first.
//
// The outcome can be there before the session is: who finds it makes sure of
// that, see await.
func (x *Redemption) Begin(ctx context.Context, s Session, read map[string][]byte) (token string, _ *Session, err error) {
	m := x.r.m
	s.CreatedAt = m.now()
	s.ExpiresAt = s.CreatedAt.Add(m.ttl)
	token, made, err := m.begin(ctx, s, read, func(token string) (Write, error) { return x.write(Outcome{Token: token}) })
	if err == nil {
		x.kept = token
		return token, made, nil
	}
	// The outcome alone may be what could not be kept, and a login is not lost
	// for that.
	return m.begin(ctx, s, nil, nil)
}

func (x *Redemption) write(out Outcome) (Write, error) {
	plain, err := json.Marshal(out)
	if err != nil {
		return Write{}, err
	}
	done := x.mine
	done.Outcome = x.r.m.sealer.seal(plain, x.key)
	value, err := json.Marshal(done)
	return Write{Op: "put", Key: x.key, Value: value, TTL: outcomeLife}, err
}

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
func (r *Redeemer) Redeem(ctx context.Context, appID, code, binding string, exchange func(context.Context, *Redemption) Outcome) (_ Outcome, replayed bool, err error) {
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

func (r *Redeemer) redeem(ctx context.Context, key, binding string, exchange func(context.Context, *Redemption) Outcome) (Outcome, bool, error) {
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
	x := &Redemption{r: r, key: key, mine: mine}
	out := exchange(limited, x)
	if x.kept != "" && out == (Outcome{Token: x.kept}) {
		return out, false, nil
	}
	w, err := x.write(out)
	if err != nil {
		return Outcome{}, false, err
	}
	// The outcome stands whether or not it can be kept: without it only a
	// second delivery has to log in again.
	_ = r.m.store.Put(ctx, w.Key, w.Value, w.TTL)
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
			out, err := r.opened(key, c.Outcome)
			if err == nil && out.Token != "" {
				err = r.m.relist(ctx, out.Token)
			}
			return out, err
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
