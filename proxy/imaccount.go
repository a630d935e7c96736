package proxy

import (
	"context"
	"errors"
	"fmt"

	"wxgate/identity"
	"wxgate/yunxin"
)

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

// imStep is one thing to be done at Yunxin. After each the record is looked at
// again, because it may have changed meanwhile.
type imStep int

const (
	imNothing  imStep = iota
	imEnsure          // make the account, or set its token
	imProfile         // bring name and picture up to date
	imWithdraw        // replace the token and cut off whoever uses the former one
	imBlock
	imUnblock
	imErase // make the account nobody's: no name, no picture, no way in
)

// todo compares what is remembered of the account with what the user's state
// asks for.
func (a *imAccounts) todo(u *identity.User) imStep {
	y := u.Yunxin
	exists := y.State == identity.YunxinReady || y.State == identity.YunxinBlocked
	behind := y.TokenEpoch != y.Epoch
	switch {
	case u.Status == identity.StatusErased && exists:
		return imErase
	case u.Status == identity.StatusMerged && exists && behind:
		return imWithdraw
	case u.Status == identity.StatusErased, u.Status == identity.StatusMerged:
		return imNothing
	case u.Status == identity.StatusBlocked || u.Withdrawn():
		if y.State == identity.YunxinReady {
			return imBlock
		}
		return imNothing
	case y.State == identity.YunxinBlocked || y.Blocking:
		return imUnblock
	case !exists:
		return imEnsure
	case behind:
		return imWithdraw
	case !a.cfg.Dynamic && y.TokenKey != yunxin.TokenKey(a.cfg.Secrets[0]):
		return imEnsure
	}
	if w := a.wanted(u); y.Name != w.Name || y.Avatar != w.Avatar {
		return imProfile
	}
	return imNothing
}

// imSteps bounds one attempt: more than any sequence of decisions needs that is
// not made faster than Yunxin answers.
const imSteps = 8

// attempt takes steps until there is nothing to do, and only then takes the
// user off the queue. It works on the record itself: a user that was merged
// away has an account of its own to be closed.
func (a *imAccounts) attempt(ctx context.Context, userID string) (*identity.User, error) {
	for range imSteps {
		u, found, err := a.s.cfg.Users.Record(ctx, userID)
		if err != nil {
			return nil, err
		}
		step := imNothing
		if found {
			if gone, err := a.s.gone(ctx, u); err != nil {
				return nil, err
			} else if gone {
				u.Status = identity.StatusErased // whoever it was merged into is
			}
			step = a.todo(u)
		}
		if step == imNothing {
			if err := a.s.cfg.Queue.Done(ctx, imQueue, userID); err != nil {
				return nil, err
			}
			if !found || u.Status != identity.StatusActive || u.Yunxin.State != identity.YunxinReady {
				return nil, errNotActive
			}
			return u, nil
		}
		if err := a.take(ctx, step, u); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the account of user %s does not come to rest", userID)
}

// take does one step at Yunxin and notes it in the record. Each may be done
// twice: after a crash nobody knows whether it was.
func (a *imAccounts) take(ctx context.Context, step imStep, u *identity.User) error {
	w := a.wanted(u)
	client := a.cfg.Client
	switch step {
	case imEnsure:
		accid, err := client.Ensure(ctx, w)
		if err != nil {
			return err
		}
		ready := u.Yunxin.State == identity.YunxinReady
		// An imported account was there before, under a name that the app gave
		// it: the profile replaces that, an invented name does not.
		rename := u.Yunxin.Accid != "" && u.Yunxin.Accid != u.ID && u.Profile != nil
		return a.note(ctx, u, func(y *identity.Yunxin) {
			y.Accid, y.State = accid, identity.YunxinReady
			if !ready && !rename {
				y.Name, y.Avatar = w.Name, w.Avatar
			}
			a.noteToken(y, u.Yunxin.Epoch)
		})
	case imProfile:
		// A name that Yunxin does not like must not take the account away:
		// it keeps the former one.
		if err := client.UpdateProfile(ctx, w.Accid, w.Name, w.Avatar); err != nil && !refusedForGood(err) {
			return err
		}
		return a.note(ctx, u, func(y *identity.Yunxin) { y.Name, y.Avatar = w.Name, w.Avatar })
	case imWithdraw:
		if a.adopted(ctx, u) {
			return a.note(ctx, u, func(y *identity.Yunxin) { y.TokenEpoch = u.Yunxin.Epoch })
		}
		if err := unlessUnknown(client.Withdraw(ctx, w.Accid, w.Token)); err != nil {
			return err
		}
		return a.note(ctx, u, func(y *identity.Yunxin) {
			// With v1 the account is open now, even if another replica blocked
			// it meanwhile; then the next look blocks it again.
			y.State = identity.YunxinReady
			a.noteToken(y, u.Yunxin.Epoch)
		})
	case imBlock:
		// A process that dies after the call must leave a trace of it, or the
		// account would stay blocked when the person is let in again.
		if err := a.note(ctx, u, func(y *identity.Yunxin) { y.Blocking = true }); err != nil {
			return err
		}
		// What the person took back must not stay on show there.
		if u.Yunxin.Name != w.Name || u.Yunxin.Avatar != w.Avatar {
			if err := client.UpdateProfile(ctx, w.Accid, w.Name, w.Avatar); err != nil && !refusedForGood(err) && !isBlocked(err) && unlessUnknown(err) != nil {
				return err
			}
		}
		// The token first, so that the former one is dead when the account
		// is opened again.
		if !a.cfg.Dynamic {
			if err := unlessUnknown(client.SetToken(ctx, w.Accid, w.Token)); err != nil && !isBlocked(err) {
				return err
			}
		}
		if err := unlessUnknown(client.Block(ctx, w.Accid)); err != nil {
			return err
		}
		return a.note(ctx, u, func(y *identity.Yunxin) {
			y.State, y.Name, y.Avatar = identity.YunxinBlocked, w.Name, w.Avatar
			a.noteToken(y, u.Yunxin.Epoch)
		})
	case imUnblock:
		if err := unlessUnknown(client.Unblock(ctx, w.Accid)); err != nil {
			return err
		}
		return a.note(ctx, u, func(y *identity.Yunxin) { y.State, y.Blocking = identity.YunxinReady, false })
	case imErase:
		err := a.blank(ctx, w)
		if isBlocked(err) {
			if err = unlessUnknown(client.Unblock(ctx, w.Accid)); err == nil {
				err = a.blank(ctx, w)
			}
		}
		if unlessUnknown(err) != nil {
			return err
		}
		if err := unlessUnknown(client.Block(ctx, w.Accid)); err != nil {
			return err
		}
		return a.note(ctx, u, func(y *identity.Yunxin) { *y = identity.Yunxin{State: identity.YunxinNone} })
	}
	return nil
}

// blank takes name, picture and token off an account.
func (a *imAccounts) blank(ctx context.Context, w yunxin.Account) error {
	err := a.cfg.Client.UpdateProfile(ctx, w.Accid, w.FallbackName, "")
	if refusedForGood(err) {
		// Its filter does not like the operator's default name; the person's
		// must go all the same.
		err = a.cfg.Client.UpdateProfile(ctx, w.Accid, w.Accid, "")
	}
	if err != nil {
		return err
	}
	if a.cfg.Dynamic {
		return nil
	}
	return a.cfg.Client.SetToken(ctx, w.Accid, w.Token)
}

// note writes what was done, unless the record's account is another one by now.
func (a *imAccounts) note(ctx context.Context, u *identity.User, change func(*identity.Yunxin)) error {
	_, err := a.s.cfg.Users.UpdateRecord(ctx, u.ID, func(now *identity.User) error {
		if now.Yunxin.Accid != u.Yunxin.Accid {
			return identity.ErrNoChange
		}
		change(&now.Yunxin)
		return nil
	})
	return err
}

func (a *imAccounts) noteToken(y *identity.Yunxin, epoch int) {
	y.TokenEpoch = epoch
	if !a.cfg.Dynamic {
		y.TokenKey = yunxin.TokenKey(a.cfg.Secrets[0])
	}
}

// adopted reports that the account of a merged user is the survivor's now: then
// it is the survivor's record that keeps its token.
func (a *imAccounts) adopted(ctx context.Context, u *identity.User) bool {
	if u.Status != identity.StatusMerged {
		return false
	}
	survivor, found, err := a.s.cfg.Users.User(ctx, u.ID)
	return err == nil && found && survivor.Yunxin.Accid == u.Yunxin.Accid
}

// unlessUnknown drops the error that Yunxin does not know the account: then
// there is nothing to take away.
func unlessUnknown(err error) error {
	if errors.Is(err, yunxin.ErrUnknownAccount) {
		return nil
	}
	return err
}

// isBlocked reports that Yunxin does not change an account because it is
// blocked: some of its versions may, and a blocked account needs no more.
func isBlocked(err error) bool {
	api, ok := errors.AsType[*yunxin.APIError](err)
	return ok && api.Kind() == yunxin.KindBlocked
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
