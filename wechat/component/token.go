package component

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"wxgate/wechat"
)

const (
	// earlyWindow is how long before its end a token is renewed: the platform's
	// after 110 of its 120 minutes, as WeChat asks. Up to maxJitter earlier, so
	// that replicas do not come at once.
	earlyWindow = 10 * time.Minute
	maxJitter   = 2 * time.Minute
	// lastMoment is when a token is not handed out any more.
	lastMoment = 30 * time.Second
	// mintLease is how long one replica may take to mint: a call of at most 10
	// seconds, and the write.
	mintLease = 20 * time.Second
	// seenLife is how long a token is handed out without looking into the store.
	// One that was replaced works for five more minutes.
	seenLife = time.Minute
	// refusalLife is how long a refusal is passed on without asking again, awayLife
	// how long it is that WeChat does not answer.
	refusalLife = 10 * time.Second
	awayLife    = time.Second
	// voidPause lies between two tokens that are minted because WeChat called the one
	// before void. It keeps two who void each other's tokens, a developer's machine
	// with the production's ticket say, from doing so with every request.
	voidPause = time.Minute
	// earlyPause is how long nobody tries again to renew a token that works still;
	// shorter than mintLease.
	earlyPause = 15 * time.Second
	// leasePoll is how often one looks whether another replica is done.
	leasePoll = 100 * time.Millisecond
	// defaultLife is what WeChat documents for both kinds of tokens.
	defaultLife = 2 * time.Hour
)

// access is a token in the store, and who is about to replace it.
type access struct {
	Token      []byte    `json:"token,omitempty"` // sealed
	MintedAt   time.Time `json:"minted_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	Void       bool      `json:"void,omitempty"`  // WeChat called it so before its end
	Forced     time.Time `json:"forced,omitzero"` // when one was last minted for that reason
	Lease      string    `json:"lease,omitempty"` // of the replica that mints
	LeaseUntil time.Time `json:"lease_until,omitzero"`
}

// access is a fresh token as it rests under a key. WeChat may not have said how long
// it lives.
func (p *Platform) access(key, token string, at time.Time, life time.Duration) access {
	if life <= 0 {
		life = defaultLife
	}
	return access{Token: p.seal(token, key), MintedAt: at, ExpiresAt: at.Add(life)}
}

// tokenRecord has the platform's own token or, with the rest of what is known of
// it, that of an account.
type tokenRecord struct {
	Access  access   `json:"access"`
	Account *account `json:"account,omitempty"`
}

// minted is the answer to a call for a token.
type minted struct {
	token   string
	life    time.Duration
	refresh string // "" where there is none
}

// tokenSource is one token that all replicas share.
type tokenSource struct {
	p     *Platform
	key   string
	appid string // of the account; "" for the platform's own
	// check says why there can be no token; nil if nothing ever speaks against one.
	check func(tokenRecord) error
	// mint asks WeChat. r is what is stored; it is not to be changed.
	mint func(ctx context.Context, r tokenRecord) (minted, error)
}

// get returns the token, minting it if need be. However many ask, one flight of
// this process looks, and one replica mints.
func (s tokenSource) get(ctx context.Context) (string, error) {
	if seen, ok := s.seen(); ok {
		if seen.refusal != nil {
			return "", seen.refusal
		}
		if seen.token != "" {
			return seen.token, nil
		}
	}
	return share(ctx, s.p, s.key, "component token", besideLimit, s.obtain)
}

// obtain looks into the store, and mints unless another replica does.
func (s tokenSource) obtain(ctx context.Context) (string, error) {
	void, since := s.voided(), s.change()
	for {
		r, raw, err := load[tokenRecord](ctx, s.p, s.key)
		if err != nil {
			return "", err
		}
		if s.check != nil {
			if err := s.check(r); err != nil {
				return "", err
			}
		}
		now := s.p.now()
		token := s.p.open(r.Access.Token, s.key)
		usable := token != "" && !r.Access.Void && token != void && now.Before(r.Access.ExpiresAt.Add(-lastMoment))
		free := !held(r.Access.LeaseUntil, now, mintLease)
		early := s.early(r.Access)
		switch {
		case usable && (now.Before(early) || !free):
			s.see(r.Access, token, early)
			return token, nil
		case !usable && !free:
			select {
			case <-ctx.Done():
				return "", &wechat.UnavailableError{API: "component token", Err: errors.New("another replica is minting it still")}
			case <-time.After(leasePoll):
			}
			continue
		case token != "" && token == void && now.Sub(r.Access.Forced).Abs() < voidPause:
			return "", s.refuse(ErrVoidAtOnce, since)
		}
		leased := r
		leased.Access.Lease, leased.Access.LeaseUntil = randomName(), now.Add(mintLease)
		leased.Access.Void = r.Access.Void || token != "" && token == void
		won, err := swap(ctx, s.p, s.key, raw, leased, 0)
		if err != nil {
			return "", err
		}
		if !won {
			continue
		}
		if !usable {
			return s.renew(ctx, leased, false, since)
		}
		// The old one works still: nobody has to wait.
		s.see(r.Access, token, early)
		s.p.beside(ctx, func(ctx context.Context) {
			if _, err := s.renew(ctx, leased, true, since); err != nil {
				s.p.log.Warn("a token could not be renewed early; it is tried again", "appid", cmp.Or(s.appid, s.p.app.ID), "error", err)
			}
		})
		return token, nil
	}
}

// held reports that a lease of this length is held. Clocks of replicas differ, so
// that one just taken may seem to end a little late; one that ends much later was
// taken by a clock that was wrong.
func held(until, now time.Time, length time.Duration) bool {
	left := until.Sub(now)
	return left > 0 && left <= 2*length
}

// early is when a token is to be renewed. A life much shorter than WeChat's two
// hours gets a window in proportion.
func (s tokenSource) early(a access) time.Time {
	life := a.ExpiresAt.Sub(a.MintedAt)
	return a.ExpiresAt.Add(-min(earlyWindow+s.p.jitter, life/6))
}

// renew mints and stores, for whoever has the lease. If it fails early, the lease
// stays for a while, so that not every call tries again.
func (s tokenSource) renew(ctx context.Context, leased tokenRecord, early bool, since int) (string, error) {
	began := s.p.now()
	m, failure := s.mint(ctx, leased)
	if failure == nil && m.token == "" {
		failure = errors.New("component: WeChat answered without a token")
	}
	// What was minted is kept whatever became of who asked for it.
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	lost := false
	after, err := modify(write, s.p, s.key, 0, func(r *tokenRecord, found bool) error {
		// Who was too slow lost the lease: the other's token is the newer one.
		if lost = !found || r.Access.Lease != leased.Access.Lease; lost {
			return errNoChange
		}
		r.Access.Lease, r.Access.LeaseUntil = "", time.Time{}
		if failure != nil {
			if early {
				r.Access.LeaseUntil = s.p.now().Add(earlyPause)
			}
			return nil
		}
		forced := r.Access.Forced
		if leased.Access.Void {
			forced = began
		}
		r.Access = s.p.access(s.key, m.token, began, m.life)
		r.Access.Forced = forced
		if r.Account != nil {
			r.Account.Failure = ""
			if m.refresh != "" {
				r.Account.Refresh = s.p.seal(m.refresh, s.key)
			}
		}
		return nil
	})
	switch {
	case failure != nil && early:
		return "", failure
	case failure != nil:
		return "", s.refuse(failure, since)
	case err != nil:
		return "", fmt.Errorf("component: a token was minted and could not be stored: %w", err)
	case lost:
		s.forget()
		return s.obtain(ctx)
	}
	s.see(after.Access, m.token, s.early(after.Access))
	return m.token, nil
}

// storeLimit bounds a write that must not be lost because somebody went away.
const storeLimit = 5 * time.Second

// with makes a call that needs the token, and if the token turns out void, once
// more with the next one.
func (s tokenSource) with(ctx context.Context, call func(token string) error) error {
	return wechat.WithToken(func() (string, error) { return s.get(ctx) }, s.drop, call)
}
