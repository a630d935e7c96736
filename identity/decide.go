package identity

import (
	"context"
	"errors"
)

// Block keeps a user out until [Directory.Unblock]. Its sessions stay, or the person could not be told why they are refused; its
// login token for Yunxin is withdrawn. Blocking a blocked user changes nothing. Errors as of [Directory.Update].
func (d *Directory) Block(ctx context.Context, id string) (*User, error) {
	if u, found, err := d.User(ctx, id); err != nil || found && u.Status == StatusBlocked {
		return u, err // nothing to tell
	}
	notice, err := d.newNotice(ctx, NoticeBlocked, id, d.now())
	if err != nil {
		return nil, err
	}
	return d.Update(ctx, id, func(u *User) error {
		if u.Status == StatusBlocked {
			return ErrNoChange
		}
		u.Status = StatusBlocked
		u.Yunxin.Epoch++
		u.AddEvent(Event{Time: d.now(), Type: EventBlocked})
		u.post(notice.about(u))
		return nil
	})
}

// Unblock lets a user in again. Errors as of [Directory.Update].
func (d *Directory) Unblock(ctx context.Context, id string) (*User, error) {
	return d.Update(ctx, id, func(u *User) error {
		if u.Status != StatusBlocked {
			return ErrNoChange
		}
		u.Status = StatusActive
		u.AddEvent(Event{Time: d.now(), Type: EventUnblocked})
		return nil
	})
}

// EndSessions makes every session of a user invalid, those of logins that are under way included, and withdraws the login token
// for Yunxin. Errors as of [Directory.Update].
func (d *Directory) EndSessions(ctx context.Context, id string) (*User, error) {
	return d.Update(ctx, id, func(u *User) error {
		u.endSessions()
		return nil
	})
}

// Revocation is what WeChat pushed about a person's own decision.
type Revocation struct {
	AppID, OpenID string
	Reason        string // WeChat's name of the event
}

// Revoke notes that the person took the consent back, or closed the account at WeChat: sessions end, the profile goes, and the
// account at Yunxin is to be blocked until the person logs in again. An account that nobody has is not found.
func (d *Directory) Revoke(ctx context.Context, r Revocation) (u *User, found bool, err error) {
	at := d.now()
	var notice Notice
	return d.ofAccount(ctx, r.AppID, r.OpenID, func(u *User) (err error) {
		notice, err = d.newNotice(ctx, NoticeRevoked, u.ID, at)
		notice.Reason, notice.Account = r.Reason, &NoticeFrom{AppID: r.AppID, OpenID: r.OpenID}
		return err
	}, func(u *User) error {
		if a := u.Account(r.AppID, r.OpenID); a != nil {
			notice.Account.Channel = a.Channel
		}
		u.endSessions()
		u.Profile, u.kept.Withdrawn = nil, true
		u.AddEvent(Event{Time: at, Type: EventRevoked, AppID: r.AppID, OpenID: r.OpenID})
		u.post(notice)
		return nil
	})
}

// ClearProfile forgets name and avatar until the person consents again. An account that nobody has is not found.
func (d *Directory) ClearProfile(ctx context.Context, appID, openID string) (u *User, found bool, err error) {
	return d.ofAccount(ctx, appID, openID, func(*User) error { return nil }, func(u *User) error {
		if u.Profile == nil {
			return ErrNoChange
		}
		u.Profile = nil
		return nil
	})
}

// ofAccount changes the user of an account, after something was prepared for it. If the account becomes somebody else's in
// between, it is that user's turn.
func (d *Directory) ofAccount(ctx context.Context, appID, openID string, prepare, change func(*User) error) (u *User, found bool, err error) {
	err = again(func() error {
		e, err := d.lookup(ctx, accountKey(appID, openID), d.now())
		if found = e.owned(); err != nil || !found {
			return err
		}
		if err := prepare(e.owner.user); err != nil {
			return err
		}
		listed := e.owner.user.Account(appID, openID) != nil
		u, err = d.modify(ctx, e.owner, func(u *User) error {
			if listed && u.Account(appID, openID) == nil {
				return errAgain
			}
			return change(u)
		})
		if errors.Is(err, ErrErased) {
			return errAgain
		}
		return err
	})
	return u, found && err == nil, err
}

// Erase turns a user into a tombstone, which the app is told of. The result is what it was, for those who have to forget more;
// the tombstone's record itself lists the accounts until [Directory.Settle] has freed the index. What the app was not told yet loses
// its openids. Erasing an erased user changes nothing. Errors as of [Directory.Update], but ErrErased.
func (d *Directory) Erase(ctx context.Context, id string) (was *User, err error) {
	err = again(func() error {
		s, found, err := d.reach(ctx, id)
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		if s.user.Status == StatusErased {
			was = s.user
			return nil
		}
		if err := d.settleLater(ctx, s.user.ID); err != nil {
			return err
		}
		notice, err := d.newNotice(ctx, NoticeErased, s.user.ID, d.now())
		if err != nil {
			return err
		}
		if was, err = decodeUser(s.user.ID, s.raw); err != nil {
			return err
		}
		u := s.user
		u.Status, u.Profile, u.History = StatusErased, nil, nil
		u.endSessions()
		u.AddEvent(Event{Time: d.now(), Type: EventErased})
		for i := range u.kept.Outbox {
			u.kept.Outbox[i].Account = nil
		}
		u.post(notice)
		return d.replace(ctx, s, u)
	})
	return was, err
}

// about names the user that a change was made to: it may be another one than the caller's id, after a merge.
func (n Notice) about(u *User) Notice {
	if n.ID != "" {
		n.User = u.ID
	}
	return n
}
