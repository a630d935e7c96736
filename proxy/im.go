package proxy

import (
	"context"
	"errors"
	"net/http"
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

// imAccounts makes sure that users have an account at Yunxin: once each, off
// the login's way unless it is required, and again until it is there.
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
	if a.cfg == nil || a.current(u) {
		return nil
	}
	beside := a.running.Add(1) <= imParallel
	due := a.s.now()
	if beside {
		due = due.Add(imFirstRetry)
	}
	if err := a.cfg.Queue.Schedule(ctx, imQueue, u.ID, due); err != nil {
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
	go func() {
		defer a.running.Add(-1)
		if _, err := a.ensure(context.WithoutCancel(ctx), u.ID); err != nil {
			a.s.log.Warn("the IM account is not there yet; it is tried again", "user", u.ID, "error", err)
		}
	}()
	return nil
}

// wanted is the account as it should be. A user keeps the accid that an import
// brought; everybody else's is the user id.
func (a *imAccounts) wanted(u *identity.User) yunxin.Account {
	w := yunxin.Account{Accid: u.Yunxin.Accid, Name: a.s.displayName(u)}
	if w.Accid == "" {
		w.Accid = u.ID
	}
	if u.Profile != nil {
		w.Avatar = u.Profile.Avatar
	}
	w.FallbackName = identity.DefaultName(a.s.cfg.DefaultName, u.ID)
	if !a.cfg.Dynamic {
		w.Token = yunxin.StaticToken(a.cfg.Secrets[0], w.Accid, u.Yunxin.Epoch)
	}
	return w
}

// current reports that nothing is to be done: the account is there, with the
// name, the picture and the token that it should have.
func (a *imAccounts) current(u *identity.User) bool {
	w := a.wanted(u)
	return u.Yunxin.State == identity.YunxinBlocked || u.Yunxin.State == identity.YunxinReady &&
		u.Yunxin.Name == w.Name && u.Yunxin.Avatar == w.Avatar && (a.cfg.Dynamic || u.Yunxin.TokenKey == yunxin.TokenKey(a.cfg.Secrets[0]))
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

func (a *imAccounts) attempt(ctx context.Context, userID string) (*identity.User, error) {
	u, found, err := a.s.cfg.Users.User(ctx, userID)
	if err != nil {
		return nil, err
	}
	if !found || u.Status != identity.StatusActive {
		if err := a.cfg.Queue.Done(ctx, imQueue, userID); err != nil {
			return nil, err
		}
		return nil, errNotActive
	}
	if !a.current(u) {
		w := a.wanted(u)
		accid := w.Accid
		if u.Yunxin.State != identity.YunxinReady || !a.cfg.Dynamic && u.Yunxin.TokenKey != yunxin.TokenKey(a.cfg.Secrets[0]) {
			if accid, err = a.cfg.Client.Ensure(ctx, w); err != nil {
				return nil, err
			}
		}
		if u.Yunxin.State == identity.YunxinReady && (u.Yunxin.Name != w.Name || u.Yunxin.Avatar != w.Avatar) {
			// A name that Yunxin does not like must not take the account
			// away: it keeps the former one.
			if err := a.cfg.Client.UpdateProfile(ctx, accid, w.Name, w.Avatar); err != nil && !refusedForGood(err) {
				return nil, err
			}
		}
		if u, err = a.note(ctx, userID, accid, w); err != nil {
			return nil, err
		}
	}
	return u, a.cfg.Queue.Done(ctx, imQueue, userID)
}

func (a *imAccounts) note(ctx context.Context, userID, accid string, w yunxin.Account) (*identity.User, error) {
	return a.s.cfg.Users.Update(ctx, userID, func(u *identity.User) error {
		u.Yunxin.Accid, u.Yunxin.State = accid, identity.YunxinReady
		u.Yunxin.Name, u.Yunxin.Avatar = w.Name, w.Avatar
		if !a.cfg.Dynamic {
			u.Yunxin.TokenKey = yunxin.TokenKey(a.cfg.Secrets[0])
		}
		return nil
	})
}

// refusedForGood reports that asking again with the same words is useless.
func refusedForGood(err error) bool {
	var api *yunxin.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.Kind() == yunxin.KindRefused || api.Kind() == yunxin.KindBadRequest
}

// errNotActive says that a user is blocked or gone and gets no account.
var errNotActive = errors.New("the user is not active")

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
	ids, err := a.cfg.Queue.TakeDue(ctx, imQueue, a.s.now(), imLease, imBatch)
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
			if err := a.cfg.Queue.Schedule(ctx, imQueue, id, a.s.now().Add(imGiveTime)); err != nil {
				return err
			}
			continue
		}
		// The rest of the batch is due again at once, for this or another
		// replica.
		for _, id := range ids[i:] {
			if back := a.cfg.Queue.Schedule(ctx, imQueue, id, a.s.now()); back != nil {
				return errors.Join(err, back)
			}
		}
		return err
	}
	return nil
}

// tokenFor is the user's login token for Yunxin, "" while there is none. It
// goes to the user's own page and to routes marked +token, nowhere else.
func (a *imAccounts) tokenFor(u *identity.User) string {
	if a.cfg == nil || u.Yunxin.State != identity.YunxinReady {
		return ""
	}
	if a.cfg.Dynamic {
		token, _ := a.cfg.Client.DynamicToken(u.Yunxin.Accid, a.cfg.TokenTTL)
		return token
	}
	// The token that is set at Yunxin is the one of the secret that was the
	// newest at the user's last login.
	for _, secret := range a.cfg.Secrets {
		if yunxin.TokenKey(secret) == u.Yunxin.TokenKey {
			return yunxin.StaticToken(secret, u.Yunxin.Accid, u.Yunxin.Epoch)
		}
	}
	return ""
}

// displayName is the profile's name, or the default one.
func (s *Server) displayName(u *identity.User) string {
	if u.Profile != nil && u.Profile.Name != "" {
		return yunxin.CleanName(u.Profile.Name)
	}
	return identity.DefaultName(s.cfg.DefaultName, u.ID)
}

// yunxinAnswer is what the page's NIM SDK needs.
type yunxinAnswer struct {
	AppKey    string     `json:"appKey"`
	Account   string     `json:"account"`
	Token     string     `json:"token"`
	AuthType  int        `json:"authType"` // 0 static, 1 dynamic
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	Nick      string     `json:"nick"`
	Avatar    string     `json:"avatar"`
}

// yunxin hands the caller's own account to the caller's own page. No parameter
// of the request has a say in whose account that is.
func (s *Server) yunxin(v *visit) {
	if s.im.cfg == nil {
		s.fail(v, notFound, nil)
		return
	}
	l := s.caller(v)
	if l == nil {
		return
	}
	if l.snapshot {
		s.fail(v, snapshotVisitor, nil)
		return
	}
	u, err := s.imReady(v.r.Context(), l)
	if err != nil {
		s.fail(v, accountProblem(err), err)
		return
	}
	a := yunxinAnswer{AppKey: s.im.cfg.Client.AppKey(), Account: u.Yunxin.Accid, Nick: s.displayName(u)}
	if u.Profile != nil {
		a.Avatar = u.Profile.Avatar
	}
	if s.im.cfg.Dynamic {
		token, expires := s.im.cfg.Client.DynamicToken(u.Yunxin.Accid, s.im.cfg.TokenTTL)
		expires = expires.UTC().Truncate(time.Second)
		a.Token, a.AuthType, a.ExpiresAt = token, 1, &expires
	} else {
		a.Token = s.im.tokenFor(u)
	}
	s.writeJSON(v, http.StatusOK, a)
}
