package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Settle finishes a merge, a split or an erasure that was decided: of a merged user, the survivor takes over and the record is
// emptied but for its pointer and what is remembered about Yunxin; of an erased one, nothing in the index leads to it any more and
// the tombstone forgets its accounts; of one that was split off, the former user lets its account go. Whoever makes the decision
// calls it right after; [QueueSettle] has the ids for which that may not have happened. Settling what is settled does nothing.
//
// It does not take the id off the queue: the caller may have more to tidy up.
func (d *Directory) Settle(ctx context.Context, id string) error {
	return again(func() error {
		s, found, err := d.load(ctx, id)
		if err != nil || !found {
			return err
		}
		if s.user.kept.Split != nil {
			if err := d.settleSplit(ctx, s); err != nil {
				return err
			}
		}
		switch s.user.Status {
		case StatusMerged:
			return d.settleMerge(ctx, s)
		case StatusErased:
			return d.settleErasure(ctx, s)
		}
		return nil
	})
}

func (d *Directory) settleMerge(ctx context.Context, s stored) error {
	root, err := d.follow(ctx, s)
	if err != nil {
		return err
	}
	if err := d.letPart(ctx, s.user); err != nil {
		return err
	}
	for _, key := range s.user.indexKeys() {
		if root.user.Status == StatusErased {
			err = d.release(ctx, key, root.user.ID)
		} else {
			_, err = d.lookup(ctx, key, d.now()) // points it to the survivor
		}
		if err != nil {
			return err
		}
	}
	return d.empty(ctx, s.user.ID, StatusMerged)
}

func (d *Directory) settleErasure(ctx context.Context, s stored) error {
	if err := d.letPart(ctx, s.user); err != nil {
		return err
	}
	for _, key := range s.user.indexKeys() {
		if err := d.release(ctx, key, s.user.ID); err != nil {
			return err
		}
	}
	return d.empty(ctx, s.user.ID, StatusErased)
}

// letPart points the index to those who have what was split off, before the record forgets them.
func (d *Directory) letPart(ctx context.Context, u *User) error {
	for _, key := range slices.Sorted(maps.Keys(u.kept.Parting)) {
		if _, err := d.lookup(ctx, key, d.now()); err != nil {
			return err
		}
	}
	return nil
}

// settleSplit points the index to whom the account was given, and then lets the former user forget it.
func (d *Directory) settleSplit(ctx context.Context, s stored) error {
	off := s.user.kept.Split
	key := accountKey(off.AppID, off.OpenID)
	former, found, err := d.reach(ctx, off.From)
	if err != nil {
		return err
	}
	e, err := d.lookup(ctx, key, d.now())
	if err != nil {
		return err
	}
	if found && former.user.kept.Parting[key] == s.user.ID {
		if err := d.letPart(ctx, former.user); err != nil { // the unionids that go with it
			return err
		}
		if _, err := d.modifyRecord(ctx, former, func(u *User) error {
			switch {
			case u.Status == StatusMerged:
				return errAgain
			case u.kept.Parting[key] != s.user.ID:
				return ErrNoChange
			}
			maps.DeleteFunc(u.kept.Parting, func(_, to string) bool { return to == s.user.ID })
			return nil
		}); err != nil {
			return err
		}
	} else if e.owned() && found && e.owner.user.ID == former.user.ID && former.user.ID != s.user.ID { // else it took over the former one
		return nil // not decided, or undone by a merge
	}
	if s.user.Status == StatusMerged || s.user.Status == StatusErased {
		return nil
	}
	_, err = d.modify(ctx, s, func(u *User) error { u.kept.Split = nil; return nil })
	if errors.Is(err, ErrErased) {
		return errAgain
	}
	return err
}

// indexKeys are the entries that lead to the user, as far as its record knows.
func (u *User) indexKeys() []string {
	var keys []string
	for _, a := range u.Accounts {
		keys = append(keys, accountKey(a.AppID, a.OpenID))
	}
	for platform, unionID := range u.Unionids {
		keys = append(keys, unionKey(platform, unionID))
	}
	slices.Sort(keys) // the same order every time
	return append(keys, u.kept.Former...)
}

// empty removes from the record of a merged or erased user what it no longer needs. What is remembered about Yunxin stays: the
// account there still has to be withdrawn.
func (d *Directory) empty(ctx context.Context, id, status string) error {
	s, found, err := d.load(ctx, id)
	if err != nil || !found {
		return err
	}
	_, err = d.modifyRecord(ctx, s, func(u *User) error {
		if u.Status != status {
			return errAgain
		}
		m, outbox := u.kept.Merge, u.kept.Outbox
		u.Yunxin.Name, u.Yunxin.Avatar = "", ""
		u.Accounts, u.Unionids, u.kept = nil, nil, kept{Merge: m}
		if status == StatusErased {
			u.kept.Outbox = outbox
			return nil
		}
		u.Profile, u.Aliases, u.History = nil, nil, nil
		m.Evidence, m.Notice = Event{}, Notice{} // the survivor's history has them
		return nil
	})
	return err
}

// noteAgain schedules the events of a record anew, in case the queue gave up on them while the record belonged to nobody.
func (d *Directory) noteAgain(ctx context.Context, u *User) error {
	if !d.announce {
		return nil
	}
	for _, n := range u.kept.Outbox {
		if err := d.note(ctx, n, u.ID); err != nil {
			return fmt.Errorf("identity: %w", err)
		}
	}
	return nil
}
