package identity

import (
	"context"
	"fmt"
)

// entry is an index entry as it was read: absent (id empty), pointing to a user (owned), or pointing to a tombstone, which is free to
// be taken over, because an erased person who comes back is a new user.
type entry struct {
	key   string
	id    string
	owner stored // without user if the entry is free
}

func (e entry) owned() bool { return e.owner.user != nil }

// lookup reads an index entry and the user it points to: one read if absent, else two.
//
// An entry without a record means that the store lost data, since records are written first. The record is begun anew under the same
// id, because the app may have kept things under it; everything else in it comes back with the logins that follow.
func (d *Directory) lookup(ctx context.Context, key string, l Login) (entry, error) {
	e := entry{key: key}
	value, found, err := d.store.Get(ctx, key)
	if err != nil {
		return e, fmt.Errorf("identity: reading an index entry: %w", err)
	}
	if !found {
		return e, nil
	}
	e.id = string(value)
	if !ValidID(e.id) {
		return e, fmt.Errorf("%w: an index entry does not hold a user id", ErrRecord)
	}
	s, found, err := d.load(ctx, e.id)
	if err != nil {
		return e, err
	}
	if !found {
		u := &User{ID: e.id, Status: StatusActive, CreatedAt: l.At}
		u.AddEvent(Event{Time: l.At, Type: EventRecovered})
		raw, err := encodeUser(u)
		if err != nil {
			return e, err
		}
		if _, err := d.store.Create(ctx, userKey(e.id), raw, 0); err != nil {
			return e, fmt.Errorf("identity: writing user %s: %w", e.id, err)
		}
		return e, errAgain // created, or somebody else did
	}
	if s.user.Status != StatusErased {
		e.owner = s
	}
	return e, nil
}

// claim points an entry to a user, unless it has changed since it was read.
func (d *Directory) claim(ctx context.Context, e entry, id string) (won bool, err error) {
	if e.id == "" {
		won, err = d.store.Create(ctx, e.key, []byte(id), 0)
	} else {
		won, err = d.store.Replace(ctx, e.key, []byte(e.id), []byte(id), 0)
	}
	if err != nil {
		return false, fmt.Errorf("identity: writing an index entry: %w", err)
	}
	return won, nil
}
