package identity

import (
	"context"
	"errors"
	"fmt"
)

// create makes a new user.
func (d *Directory) create(ctx context.Context, l Login, account, union entry) (Resolution, error) {
	id := d.newID()
	if !ValidID(id) {
		return Resolution{}, errors.New("identity: the configured NewID made an invalid id")
	}
	u := &User{ID: id, Status: StatusActive, CreatedAt: l.At}
	u.Accounts = []Account{{l.Channel, l.AppID, l.OpenID, l.At, l.At}}
	u.Profile = l.Profile
	created := Event{Time: l.At, Type: EventCreated, Channel: l.Channel, AppID: l.AppID, OpenID: l.OpenID}
	if l.UnionID != "" {
		u.Unionids = map[string]string{l.Platform: l.UnionID}
		created.Platform, created.UnionID = l.Platform, l.UnionID
	}
	u.AddEvent(created)
	notice, err := d.newNotice(ctx, NoticeCreated, id, l.At)
	if err != nil {
		return Resolution{}, err
	}
	notice.Account = &NoticeFrom{l.Channel, l.AppID, l.OpenID}
	u.post(notice)
	raw, err := encodeUser(u)
	if err != nil {
		return Resolution{}, err
	}
	// Create, not Put: whatever NewID returns, nobody's record is overwritten.
	fresh, err := d.store.Create(ctx, userKey(id), raw, 0)
	if err != nil {
		return Resolution{}, fmt.Errorf("identity: writing a new user: %w", err)
	}
	if !fresh {
		return Resolution{}, errAgain
	}
	first := account
	if l.UnionID != "" {
		first = union
	}
	won, err := d.claim(ctx, first, id)
	if err != nil {
		return Resolution{}, err
	}
	if !won {
		return Resolution{}, d.discard(ctx, first.key, id)
	}
	if l.UnionID != "" {
		if won, err = d.claim(ctx, account, id); err != nil {
			return Resolution{}, err
		}
		if !won {
			return Resolution{}, errAgain
		}
	}
	return Resolution{User: u, Created: true}, nil
}

// discard deletes the record of a user that lost the first entry it tried to get, so that nothing ever pointed to it. It reads the entry
// before: a store client that repeats a Create whose answer got lost reports failure although the entry is ours.
func (d *Directory) discard(ctx context.Context, key, id string) error {
	winner, found, err := d.store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("identity: reading an index entry: %w", err)
	}
	if !found || string(winner) != id {
		if err := d.store.Delete(ctx, userKey(id)); err != nil {
			return fmt.Errorf("identity: deleting an unused user: %w", err)
		}
	}
	return errAgain
}

// untold says that no login was ever answered with u: it has the unionid because a first login of this very account was here, and
// that login died, or lost, before it had the account too. Whoever has the account was told another user, who must remain then. A
// login of another account that joins u at this moment changes the record, and the merge begins again.
func (u *User) untold(l Login) bool {
	return len(u.Accounts) == 1 && u.Account(l.AppID, l.OpenID) != nil && len(u.Aliases) == 0 &&
		u.Accounts[0].FirstSeen.Equal(u.CreatedAt) && u.Accounts[0].LastSeen.Equal(u.CreatedAt) && u.Yunxin.Accid == "" &&
		len(u.History) == 1 && u.History[0].Type == EventCreated
}
