package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// split says, in the record of a user that was split off, what is not finished yet.
type split struct {
	From   string `json:"from"`
	AppID  string `json:"appid"`
	OpenID string `json:"openid"`
}

// Split takes an account away from a user and gives it a new one; sessions of that account follow it, see [Directory.Current].
// A unionid that WeChat told for this account alone goes with it, or the person's next account would join the former user; profile
// and the account at Yunxin stay, with another login token. The two stay apart, whatever unionid WeChat reports for
// the account, until an operator merges them. A blocked user's account is not unblocked by it.
//
// One write decides: the one that takes the account off the former user's record and notes there who has it now. The new user's
// record was written before; the index follows, see [Directory.Settle].
//
// Errors: [ErrNotFound], [ErrErased], [ErrNoAccount], [ErrOnlyAccount], [ErrContended], [ErrRecord], or what the store says.
func (d *Directory) Split(ctx context.Context, id, appID, openID string) (former, fresh *User, err error) {
	newID := ""
	if err = again(func() error {
		newID, err = d.splitOnce(ctx, id, appID, openID)
		return err
	}); err != nil {
		return nil, nil, err
	}
	if err := d.Settle(ctx, newID); err != nil {
		return nil, nil, err
	}
	if former, _, err = d.User(ctx, id); err != nil {
		return nil, nil, err
	}
	fresh, _, err = d.User(ctx, newID)
	return former, fresh, err
}

func (d *Directory) splitOnce(ctx context.Context, id, appID, openID string) (newID string, err error) {
	s, err := d.living(ctx, id)
	if err != nil {
		return "", err
	}
	account := s.user.Account(appID, openID)
	if account == nil {
		return "", ErrNoAccount
	}
	if len(s.user.Accounts) == 1 {
		return "", ErrOnlyAccount
	}
	key, now := accountKey(appID, openID), d.now()
	e, err := d.lookup(ctx, key, now)
	if err != nil {
		return "", err
	}
	if !e.owned() || e.owner.user.ID != s.user.ID {
		return "", ErrNoAccount // listed only; the next login of whoever has it puts that right
	}
	former, err := decodeUser(s.user.ID, s.raw)
	if err != nil {
		return "", err
	}
	u := &User{ID: d.newID(), Status: former.Status, CreatedAt: now.UTC().Truncate(time.Second), Accounts: []Account{*account}, Unionids: map[string]string{}}
	event := Event{Time: now, Type: EventSplit, Channel: account.Channel, AppID: appID, OpenID: openID}
	event.From = former.ID
	u.AddEvent(event)
	u.kept.Apart = []string{former.ID}
	u.kept.Split = &split{former.ID, appID, openID}
	u.takeEpochs(former)
	for platform, unionID := range former.Unionids {
		if former.onlyFrom(*account, platform, unionID) {
			u.Unionids[platform] = unionID
			delete(former.Unionids, platform)
			former.part(unionKey(platform, unionID), u.ID)
		}
	}
	former.kept.Former = slices.DeleteFunc(former.kept.Former, func(key string) bool {
		f, err := parseUnionKey(key)
		if err != nil || !former.onlyFrom(*account, f.Platform, f.UnionID) {
			return false
		}
		u.keepFormer(key)
		former.part(key, u.ID)
		return true
	})
	notice, err := d.newNotice(ctx, NoticeCreated, u.ID, now)
	if err != nil {
		return "", err
	}
	notice.From, notice.Account = former.ID, &NoticeFrom{account.Channel, appID, openID}
	u.post(notice)
	if err := d.settleLater(ctx, u.ID); err != nil {
		return "", err
	}
	raw, err := encodeUser(u)
	if err != nil {
		return "", err
	}
	if created, err := d.store.Create(ctx, userKey(u.ID), raw, 0); err != nil {
		return "", fmt.Errorf("identity: writing a new user: %w", err)
	} else if !created {
		return "", errAgain
	}
	former.Accounts = slices.DeleteFunc(former.Accounts, func(a Account) bool { return a.AppID == appID && a.OpenID == openID })
	// The new user's record names the account, and loses it with an erasure, which does not come here.
	for i := range former.History {
		if e := &former.History[i]; e.AppID == appID && e.OpenID == openID {
			e.OpenID = ""
			if u.Unionids[e.Platform] == e.UnionID {
				e.UnionID = ""
			}
		}
	}
	event.From, event.OpenID = u.ID, ""
	former.AddEvent(event)
	former.part(key, u.ID)
	former.Yunxin.Epoch++ // whoever has the account may know the token
	switch err := d.replace(ctx, s, former); {
	case err == nil:
		return u.ID, nil
	case !errors.Is(err, errAgain):
		return "", err // it may have been decided
	}
	// A store client that repeats a Replace whose answer got lost reports failure although it was decided.
	decided := false
	if err := again(func() error {
		s, found, err := d.reach(ctx, former.ID)
		decided = found && s.user.kept.Parting[key] == u.ID
		return err
	}); err != nil {
		return "", err
	}
	if decided {
		return u.ID, nil
	}
	return "", d.discard(ctx, key, u.ID)
}

// onlyFrom says that WeChat told a unionid for this account, and for none of the others that u has.
func (u *User) onlyFrom(a Account, platform, unionID string) bool {
	told := false
	for _, e := range u.History {
		switch {
		case e.Platform != platform || e.UnionID != unionID:
		case e.AppID == a.AppID && e.OpenID == a.OpenID:
			told = true
		case u.Account(e.AppID, e.OpenID) != nil:
			return false
		}
	}
	return told
}
