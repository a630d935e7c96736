package identity

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// User returns the user with this id, tombstones of erased users included; for one that was merged into another it is that other
// one. A string that cannot be an id is simply not found and costs no question to the store. The result belongs to the caller. One
// read, one more for each merge on the way.
func (d *Directory) User(ctx context.Context, id string) (u *User, found bool, err error) {
	err = again(func() error {
		var s stored
		s, found, err = d.reach(ctx, id)
		u = view(s.user)
		return err
	})
	return u, found, err
}

// Record returns what is stored under this id and nothing else: for a user that was merged away its own remains, with
// [StatusMerged]. It serves those who tidy up after a change.
func (d *Directory) Record(ctx context.Context, id string) (*User, bool, error) {
	if !ValidID(id) {
		return nil, false, nil
	}
	s, found, err := d.load(ctx, id)
	return s.user, found, err
}

// Current returns the user of a session: the one that the session's login found or, if that was merged or its account was split
// off since, whoever the account belongs to now. The result may be a tombstone. One read while nothing of that happened.
func (d *Directory) Current(ctx context.Context, id, appID, openID string) (u *User, found bool, err error) {
	err = again(func() error {
		var s stored
		if s, found, err = d.reach(ctx, id); err != nil || !found {
			return err
		}
		u = view(s.user)
		if u.Status == StatusErased || u.Account(appID, openID) != nil {
			return nil
		}
		e, err := d.lookup(ctx, accountKey(appID, openID), d.now())
		u, found = e.owner.user, e.owned()
		return err
	})
	return u, found, err
}

// Find returns the user of an account.
func (d *Directory) Find(ctx context.Context, appID, openID string) (*User, bool, error) {
	return d.find(ctx, accountKey(appID, openID))
}

// FindUnionID returns the user of a unionid.
func (d *Directory) FindUnionID(ctx context.Context, platform, unionID string) (*User, bool, error) {
	return d.find(ctx, unionKey(platform, unionID))
}

func (d *Directory) find(ctx context.Context, key string) (u *User, found bool, err error) {
	err = again(func() error {
		e, err := d.lookup(ctx, key, d.now())
		u, found = e.owner.user, e.owned()
		return err
	})
	return u, found, err
}

// Update changes a user, or whom it was merged into. The function may be called several times, each time with a fresh copy of the
// present record, and its last result is stored only if nobody changed the record in between; it must do nothing but change
// the user it is given. If it returns [ErrNoChange], nothing is written and the present user is returned; any other error of it
// is returned as it is. Errors: [ErrNotFound], [ErrErased], [ErrContended], [ErrRecord], or what the store says. One read and one
// write when nobody competes.
func (d *Directory) Update(ctx context.Context, id string, change func(*User) error) (u *User, err error) {
	err = again(func() error {
		s, found, err := d.reach(ctx, id)
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		u, err = d.modify(ctx, s, change)
		return err
	})
	return u, err
}

// UpdateRecord is [Directory.Update] for what [Directory.Record] returns: the record itself, merged or erased as it may be.
func (d *Directory) UpdateRecord(ctx context.Context, id string, change func(*User) error) (*User, error) {
	if !ValidID(id) {
		return nil, ErrNotFound
	}
	s, found, err := d.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	return d.modifyRecord(ctx, s, change)
}

// view hides what a tombstone still holds until the index is free of it.
func view(u *User) *User {
	if u == nil || u.Status != StatusErased {
		return u
	}
	v := &User{ID: u.ID, Status: u.Status, CreatedAt: u.CreatedAt, Aliases: u.Aliases, History: u.History, kept: u.kept}
	normalize(v)
	return v
}

// reach reads the record of an id and follows merges to the user that the id stands for.
func (d *Directory) reach(ctx context.Context, id string) (stored, bool, error) {
	if !ValidID(id) {
		return stored{}, false, nil
	}
	s, found, err := d.load(ctx, id)
	if err != nil || !found {
		return s, false, err
	}
	s, err = d.follow(ctx, s)
	return s, err == nil, err
}

// follow goes from a record to the user that it stands for. It finishes on the way what a killed process left: a merge whose
// survivor has not taken over yet, and a ring of merges that were decided at the same moment in opposite directions.
func (d *Directory) follow(ctx context.Context, s stored) (stored, error) {
	var path []stored
	for s.user.Status == StatusMerged {
		into := s.user.kept.Merge.Into
		if i := slices.IndexFunc(path, func(p stored) bool { return p.user.ID == into }); i >= 0 {
			return stored{}, d.openRing(ctx, append(path[i:], s))
		}
		path = append(path, s)
		next, found, err := d.load(ctx, into)
		if err != nil {
			return stored{}, err
		}
		if !found {
			return stored{}, d.revive(ctx, into, d.now())
		}
		s = next
	}
	// The nearest first: it may have taken over the farther ones before it was merged itself, and their records may be older
	// than what was decided about them since.
	taken := func(p stored) bool { return slices.Contains(s.user.Aliases, p.user.ID) }
	if missing := slices.DeleteFunc(slices.Clone(path), taken); len(missing) > 0 {
		for i, p := range slices.Backward(missing) {
			if err := d.absorb(ctx, s, p.user); err != nil || i == 0 {
				return stored{}, cmp.Or(err, errAgain)
			}
			var found bool
			var err error
			if s, found, err = d.load(ctx, s.user.ID); err != nil || !found {
				return stored{}, cmp.Or(err, errAgain)
			}
		}
	}
	if len(path) > 1 {
		return s, d.shorten(ctx, path[:len(path)-1], s.user.ID)
	}
	return s, nil
}

// shorten lets records point straight to the survivor, so that no chain grows.
func (d *Directory) shorten(ctx context.Context, path []stored, root string) error {
	for _, p := range path {
		p.user.kept.Merge.Into = root
		if err := d.replace(ctx, p, p.user); err != nil && !errors.Is(err, errAgain) {
			return err
		}
	}
	return nil
}

// openRing gives a ring of merges its survivor. Every replica must choose the same, and it must be one that no other has taken
// over already, because such a record is out of date. There is at least one, that of the last decision; of several, the smallest id.
//
// The records were read one after the other, so they are read once more: if none has changed, there was a moment at which they were
// a ring, and it is one until somebody opens it.
func (d *Directory) openRing(ctx context.Context, ring []stored) error {
	for _, s := range ring {
		now, found, err := d.load(ctx, s.user.ID)
		if err != nil {
			return err
		}
		if !found || !bytes.Equal(now.raw, s.raw) {
			return errAgain
		}
	}
	taken := func(s stored) bool {
		return slices.ContainsFunc(ring, func(o stored) bool { return slices.Contains(o.user.Aliases, s.user.ID) })
	}
	root := slices.MinFunc(slices.DeleteFunc(slices.Clone(ring), taken), func(a, b stored) int {
		return strings.Compare(a.user.ID, b.user.ID)
	})
	u := root.user
	u.Status, u.kept.Merge = u.kept.Merge.Was, nil
	if err := d.replace(ctx, root, u); err != nil {
		return err
	}
	return errAgain
}

// revive begins a lost record anew under its id, because the app may have kept things under it; everything else in it comes back
// with the logins that follow. It always returns an error, errAgain if all went well.
func (d *Directory) revive(ctx context.Context, id string, at time.Time) error {
	u := &User{ID: id, Status: StatusActive, CreatedAt: at.UTC().Truncate(time.Second)}
	u.AddEvent(Event{Time: at, Type: EventRecovered})
	raw, err := encodeUser(u)
	if err != nil {
		return err
	}
	if _, err := d.store.Create(ctx, userKey(id), raw, 0); err != nil {
		return fmt.Errorf("identity: writing user %s: %w", id, err)
	}
	return errAgain // created, or somebody else did
}
