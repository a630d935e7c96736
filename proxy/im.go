package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"wxgate/identity"
	"wxgate/yunxin"
)

// Queue keeps, in the store, whose IM account is still to be made, so that a
// restart forgets nobody.
type Queue interface {
	Schedule(ctx context.Context, queue, id string, at time.Time) error
	TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, max int) ([]string, error)
	Done(ctx context.Context, queue, id string) error
	QueueLen(ctx context.Context, queue string) (int, error)
}

const (
	imQueue = "yunxin"
	// imLimit bounds one attempt, both servers of Yunxin tried.
	imLimit = 12 * time.Second
	// imFirstRetry is when the queue takes over from the attempt that the
	// login itself began; imLease when another replica may.
	imFirstRetry = 20 * time.Second
	imLease      = time.Minute
	imBatch      = 50
	// imPauseMin and imPauseMax bound the back-off while Yunxin is down.
	imPauseMin, imPauseMax = time.Second, time.Minute
	// imPatience is how long a page's question waits for an account that is
	// being made.
	imPatience = 2 * time.Second
	// imParallel attempts run at once beside logins; the queue has the rest.
	imParallel = 16
)

// imAccounts makes sure that users have an account at Yunxin, and that it is as
// it should be: off the login's way unless it is required, and again until it is
// done. What should be is always read from the user's record, never remembered
// with the task, so any replica can go on at any point.
type imAccounts struct {
	s       *Server
	cfg     *Yunxin
	flights singleflight.Group
	running atomic.Int32
}

func newIMAccounts(s *Server) *imAccounts { return &imAccounts{s: s, cfg: s.cfg.Yunxin} }

// afterLogin is called with every login. It notes what is to be done before
// the login counts as done, so that not even a killed process forgets it.
func (a *imAccounts) afterLogin(ctx context.Context, u *identity.User) error {
	if a.cfg == nil || a.todo(u) == imNothing {
		return nil
	}
	beside := a.running.Add(1) <= imParallel
	due := a.s.now()
	if beside {
		due = due.Add(imFirstRetry)
	}
	if err := a.s.cfg.Queue.Schedule(ctx, imQueue, u.ID, due); err != nil {
		a.running.Add(-1)
		return err
	}
	if a.cfg.Required && u.Yunxin.State != identity.YunxinReady {
		defer a.running.Add(-1)
		_, err := a.ensure(ctx, u.ID)
		return err
	}
	if !beside {
		a.running.Add(-1)
		return nil
	}
	a.s.background.Go(func() {
		defer a.running.Add(-1)
		if _, err := a.ensure(context.WithoutCancel(ctx), u.ID); err != nil {
			a.s.log.Warn("the IM account is not there yet; it is tried again", "user", u.ID, "error", err)
		}
	})
	return nil
}

// before is called before something is decided about a user that its account
// at Yunxin has to follow.
func (a *imAccounts) before(ctx context.Context, userID string) error {
	if a.cfg == nil {
		return nil
	}
	return a.s.cfg.Queue.Schedule(ctx, imQueue, userID, a.s.now().Add(imFirstRetry))
}

// after is called when it was decided. A failure is the queue's to repair.
func (a *imAccounts) after(ctx context.Context, userID string) {
	if a.cfg == nil {
		return
	}
	if _, err := a.ensure(ctx, userID); err != nil && !errors.Is(err, errNotActive) {
		a.s.log.Warn("the account at Yunxin does not follow yet; it is tried again", "user", userID, "error", err)
	}
}

// ensure makes the account, or brings it up to date, and notes so. Parallel
// calls for one user share one attempt.
func (a *imAccounts) ensure(ctx context.Context, userID string) (*identity.User, error) {
	flight := a.flights.DoChan(userID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), imLimit)
		defer cancel()
		return a.attempt(ctx, userID)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case f := <-flight:
		if f.Err != nil {
			return nil, f.Err
		}
		return f.Val.(*identity.User), nil
	}
}

// byYunxin reports that a failure is Yunxin's and not the store's.
func byYunxin(err error) bool {
	var api *yunxin.APIError
	return errors.As(err, &api) || errors.Is(err, yunxin.ErrMismatch) || yunxinDown(err)
}

// yunxinDown reports a failure that every other account would meet as well.
func yunxinDown(err error) bool {
	var api *yunxin.APIError
	if errors.As(err, &api) {
		return api.Kind() == yunxin.KindAuth || api.Kind() == yunxin.KindRate || api.Kind() == yunxin.KindRetry
	}
	var unavailable *yunxin.UnavailableError
	return errors.As(err, &unavailable) || errors.Is(err, context.DeadlineExceeded)
}

// run retries what is due until ctx ends. While Yunxin is down all of a batch
// would fail alike, so the first failure ends the round and the pause grows.
func (a *imAccounts) run(ctx context.Context) {
	if a.cfg == nil {
		return
	}
	pause := imPauseMin
	for {
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		switch err := a.round(ctx); {
		case err == nil || ctx.Err() != nil:
		case byYunxin(err):
			pause = min(pause*2, imPauseMax)
			a.s.log.Error("IM accounts cannot be made at the moment", "error", err, "next_try", pause.String())
			continue
		default:
			// The store's, whose watch has said so; no reason to keep Yunxin waiting afterwards.
			a.s.log.Debug("due IM accounts cannot be read", "error", err)
		}
		pause = imPauseMin
	}
}

// imGiveTime is when a user is tried again whose account alone cannot be made.
const imGiveTime = 10 * time.Minute

func (a *imAccounts) round(ctx context.Context) error {
	ids, err := a.s.cfg.Queue.TakeDue(ctx, imQueue, a.s.now(), imLease, imBatch)
	if err != nil {
		return err
	}
	for i, id := range ids {
		_, err := a.ensure(ctx, id)
		if err == nil || errors.Is(err, errNotActive) {
			continue
		}
		if !yunxinDown(err) {
			// One account must not keep all behind it waiting.
			a.s.log.Error("an IM account cannot be made", "user", id, "error", err)
			if err := a.s.cfg.Queue.Schedule(ctx, imQueue, id, a.s.now().Add(imGiveTime)); err != nil {
				return err
			}
			continue
		}
		// The rest of the batch is due again at once, for this or another
		// replica.
		for _, id := range ids[i:] {
			if back := a.s.cfg.Queue.Schedule(ctx, imQueue, id, a.s.now()); back != nil {
				return errors.Join(err, back)
			}
		}
		return err
	}
	return nil
}
