package identity

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// split says, in the record of a user that was split off, what is not finished yet.
type split struct {
	From   string `json:"from"`
	AppID  string `json:"appid"`
	OpenID string `json:"openid"`
}

// Split takes an account away from a user and gives it a new one; sessions of that account follow it, see [Directory.Current].
// Unionids, profile and the account at Yunxin stay with the former user. The two stay apart, whatever unionid WeChat reports for
// the account, until an operator merges them. A blocked user's account is not unblocked by it.
//
// One write decides: the one that points the account's index entry to the new user, whose record was written before. The
// former user's record follows, see [Directory.Settle].
//
// Errors: [ErrNotFound], [ErrErased], [ErrNoAccount], [ErrOnlyAccount], [ErrContended], [ErrRecord], or what the store says.
func (d *Directory) Split(ctx context.Context, id, appID, openID string) (former, fresh *User, err error) {
	err = again(func() error {
		if former, fresh, err = d.splitOnce(ctx, id, appID, openID); err != nil {
			return err
		}
		if err := d.Settle(ctx, fresh.ID); err != nil {
			return err
		}
		s, err := d.living(ctx, id)
		former = s.user
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	s, err := d.living(ctx, fresh.ID)
	return former, s.user, err
}

func (d *Directory) splitOnce(ctx context.Context, id, appID, openID string) (former, fresh *User, err error) {
	s, err := d.living(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	u := s.user
	account := u.Account(appID, openID)
	if account == nil {
		return nil, nil, ErrNoAccount
	}
	if len(u.Accounts) == 1 {
		return nil, nil, ErrOnlyAccount
	}
	e, err := d.lookup(ctx, accountKey(appID, openID), d.now())
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !e.owned():
		return nil, nil, ErrNoAccount
	case e.owner.user.ID != u.ID && e.owner.user.kept.Split != nil && e.owner.user.kept.Split.From == u.ID:
		return u, e.owner.user, nil // decided already, by an attempt whose answer got lost
	case e.owner.user.ID != u.ID:
		return nil, nil, ErrNoAccount // listed only; the next login of whoever has it puts that right
	}
	now := d.now()
	n := &User{ID: d.newID(), Status: u.Status, CreatedAt: now.UTC().Truncate(time.Second), Accounts: []Account{*account}}
	n.AddEvent(Event{Time: now, Type: EventSplit, Channel: account.Channel, AppID: appID, OpenID: openID, From: u.ID})
	n.kept.Apart = []string{u.ID}
	n.kept.Split = &split{u.ID, appID, openID}
	n.takeEpochs(u)
	notice, err := d.newNotice(ctx, NoticeCreated, n.ID, now)
	if err != nil {
		return nil, nil, err
	}
	notice.From, notice.Account = u.ID, &NoticeFrom{account.Channel, appID, openID}
	n.post(notice)
	if err := d.settleLater(ctx, n.ID); err != nil {
		return nil, nil, err
	}
	raw, err := encodeUser(n)
	if err != nil {
		return nil, nil, err
	}
	if created, err := d.store.Create(ctx, userKey(n.ID), raw, 0); err != nil {
		return nil, nil, fmt.Errorf("identity: writing a new user: %w", err)
	} else if !created {
		return nil, nil, errAgain
	}
	// The former user's history says so before it happens: afterwards a crash could leave the account's way out of it unrecorded.
	if _, err := d.modify(ctx, s, func(o *User) error {
		o.AddEvent(Event{Time: now, Type: EventSplit, Channel: account.Channel, AppID: appID, OpenID: openID, From: n.ID})
		return nil
	}); err != nil {
		return nil, nil, errors.Join(err, d.store.Delete(ctx, userKey(n.ID)))
	}
	won, err := d.claim(ctx, e, n.ID)
	if err != nil {
		return nil, nil, err
	}
	if !won {
		return nil, nil, d.discard(ctx, e.key, n.ID)
	}
	return u, n, nil
}
