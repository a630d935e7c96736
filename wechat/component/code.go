package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wxgate/wechat"
)

const (
	// settleLimit bounds the exchange of a code: three calls at the most, of which
	// each takes well under a second; settleLease is when another replica may try.
	settleLimit = 15 * time.Second
	settleLease = 20 * time.Second
	// beginDelay is when the queue takes over what was begun as soon as it was noted.
	beginDelay = 5 * time.Second
	// codeKeep is how long a code is remembered that waits or was exchanged. It
	// comes twice, in a push and with the browser.
	codeKeep = 30 * 24 * time.Hour
	// giveUp is how long after its end a code is still tried: the time that an
	// operator has to repair what WeChat refuses.
	giveUp = 24 * time.Hour
)

// ErrCode says that WeChat did not take an authorization code: it is unknown, used
// or expired, and what it stood for could not be read back either.
var ErrCode = errors.New("component: WeChat does not accept the authorization code")

// errEnded is a code whose authorization the account has taken back already.
var errEnded = fmt.Errorf("%w: the authorization has ended since", ErrCode)

// grantCode is a code that api_query_auth turns into an authorization.
type grantCode struct {
	Code  string
	AppID string    // "" where only WeChat knows whose it is
	At    time.Time // when the authorization began
	Exact bool      // by WeChat's clock
	Until time.Time // the end of the code
}

// codeRecord is such a code in the store, and what became of it.
type codeRecord struct {
	Code    []byte    `json:"code"` // sealed
	AppID   string    `json:"appid,omitempty"`
	At      time.Time `json:"at"`
	Exact   bool      `json:"exact,omitempty"`
	Until   time.Time `json:"until"`
	Lease   time.Time `json:"lease,omitzero"` // until when a replica is at it
	Tried   bool      `json:"tried,omitempty"`
	Done    bool      `json:"done,omitempty"`
	Result  string    `json:"result,omitempty"` // appid
	Failure string    `json:"failure,omitempty"`
}

func codeJob(id string) string { return "code/" + id }

// commit keeps a code and begins to exchange it. Its two deliveries meet here.
func (p *Platform) commit(ctx context.Context, g grantCode) error {
	id, err := p.keepCode(ctx, g)
	if err == nil {
		p.beside(ctx, func(ctx context.Context) { p.settleQuietly(ctx, id) })
	}
	return err
}

func (p *Platform) keepCode(ctx context.Context, g grantCode) (id string, err error) {
	id = hash(g.Code)
	key := p.key("code", id)
	// Before the code is there, so that whoever dies on the way leaves nothing that
	// nobody looks after; and once more below, because somebody may have looked for
	// it too early.
	if err := p.later(ctx, codeJob(id)); err != nil {
		return "", err
	}
	r, err := modify(ctx, p, key, codeKeep, func(r *codeRecord, found bool) error {
		if !found {
			*r = codeRecord{Code: p.seal(g.Code, key), AppID: g.AppID, At: g.At, Exact: g.Exact, Until: g.Until}
			return nil
		}
		if r.AppID == "" {
			r.AppID = g.AppID
		}
		if g.Exact && !r.Exact {
			r.At, r.Exact = g.At, true
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if g.Exact {
		if err := p.await(ctx, id, g, r.Done); err != nil {
			return "", err
		}
	}
	if r.Done {
		if err := p.dateGrant(ctx, id, r); err != nil {
			return "", err
		}
		return id, p.queue.Done(ctx, p.queueName(), codeJob(id))
	}
	return id, p.later(ctx, codeJob(id))
}

// later notes a job that is begun at once, for the case that who begins it dies.
func (p *Platform) later(ctx context.Context, job string) error {
	if err := p.queue.Schedule(ctx, p.queueName(), job, p.now().Add(beginDelay)); err != nil {
		return fmt.Errorf("component: noting what is to be done: %w", err)
	}
	return nil
}

// await makes an account known whose code was pushed, whenever the exchange
// succeeds; but not before there is something to exchange.
func (p *Platform) await(ctx context.Context, id string, g grantCode, done bool) error {
	_, err := p.modifyAccount(ctx, g.AppID, func(r *tokenRecord, found bool) error {
		a := r.Account
		switch {
		case !found:
			a.Status = StatusPending
		case done || a.Grant == id || g.At.Before(a.GrantedAt) || g.At.Before(a.RevokedAt):
			return errNoChange
		case a.Status == StatusUnauthorized:
			a.Status = StatusPending // it is back
		}
		a.Awaits = g.Until
		return nil
	})
	return err
}

// dateGrant gives an authorization that was made by the browser's return WeChat's
// own time, once the push tells it. If the code came to nothing, it is not waited
// for any longer.
func (p *Platform) dateGrant(ctx context.Context, id string, c codeRecord) error {
	if c.Result == "" && c.AppID != "" {
		_, err := p.modifyAccount(ctx, c.AppID, func(r *tokenRecord, found bool) error {
			if !found || r.Account.Status != StatusPending || r.Account.Failure != "" {
				return errNoChange
			}
			r.Account.Failure = noRefreshToken
			return nil
		})
		return err
	}
	if !c.Exact || c.Result == "" {
		return nil
	}
	_, err := p.modifyAccount(ctx, c.Result, func(r *tokenRecord, _ bool) error {
		if r.Account.Grant != id || r.Account.Exact {
			return errNoChange
		}
		r.Account.GrantedAt, r.Account.Exact = c.At, true
		return nil
	})
	return err
}

// settleQuietly is for those whom nobody waits for: the queue tries again.
func (p *Platform) settleQuietly(ctx context.Context, id string) {
	if r, err := p.settle(ctx, id); err != nil && ctx.Err() == nil {
		p.log.Warn("an authorization is not complete yet; it is tried again", "appid", r.AppID, "error", err)
	}
}

// settle brings a code to its end, whoever began. All who ask in this process
// share one attempt.
func (p *Platform) settle(ctx context.Context, id string) (codeRecord, error) {
	return share(ctx, p, codeJob(id), "api_query_auth", settleLimit, func(ctx context.Context) (codeRecord, error) { return p.settleNow(ctx, id) })
}

func (p *Platform) settleNow(ctx context.Context, id string) (codeRecord, error) {
	key := p.key("code", id)
	for {
		r, raw, err := load[codeRecord](ctx, p, key)
		if err != nil {
			return r, err
		}
		if raw == nil || r.Done {
			if err := p.dateGrant(ctx, id, r); err != nil {
				return r, err
			}
			return r, p.queue.Done(ctx, p.queueName(), codeJob(id))
		}
		now := p.now()
		if held(r.Lease, now, settleLease) {
			select {
			case <-ctx.Done():
				return r, &wechat.UnavailableError{API: "api_query_auth", Err: errors.New("another replica is still at it")}
			case <-time.After(leasePoll):
			}
			continue
		}
		leased := r
		leased.Lease, leased.Tried = now.Add(settleLease), true
		won, err := swap(ctx, p, key, raw, leased, codeKeep)
		if err != nil {
			return r, err
		}
		if won {
			return p.exchange(ctx, id, r)
		}
	}
}
