package identity

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// entry is an index entry as it was read: absent (value empty), leading to a user (owned), or to a tombstone, which is free to
// be taken over, because an erased person who comes back is a new user.
type entry struct {
	key   string
	value string // the user id that is stored
	gone  string // the tombstone that it leads to
	owner stored // whom it leads to, by way of merges; without user if the entry is free
}

func (e entry) owned() bool { return e.owner.user != nil }

// lookup reads an index entry and the user it leads to: one read if absent, else two, and a third if the record does not say the same. An entry of a user that was merged
// away is pointed to the survivor. An entry without a record means that the store lost data, since records are written first.
func (d *Directory) lookup(ctx context.Context, key string, at time.Time) (entry, error) {
	value, _, err := d.store.Get(ctx, key)
	if err != nil {
		return entry{key: key}, fmt.Errorf("identity: reading an index entry: %w", err)
	}
	return d.leads(ctx, key, value, at)
}

// looks reads the entries that a login is about in one round trip: the account's, with its user, and the mere value of the unionid's.
func (d *Directory) looks(ctx context.Context, l Login) (account entry, union []byte, err error) {
	keys := l.Keys()
	values, err := d.store.GetMany(ctx, keys...)
	if err != nil {
		return account, nil, fmt.Errorf("identity: reading index entries: %w", err)
	}
	if len(keys) > 1 {
		union = values[1]
	}
	account, err = d.leads(ctx, keys[0], values[0], l.At)
	return account, union, err
}

// leads is lookup where the entry was read already; nil is an absent one.
func (d *Directory) leads(ctx context.Context, key string, value []byte, at time.Time) (entry, error) {
	e := entry{key: key}
	if value == nil {
		return e, nil
	}
	e.value = string(value)
	if !ValidID(e.value) {
		return e, fmt.Errorf("%w: an index entry does not hold a user id", ErrRecord)
	}
	s, found, err := d.load(ctx, e.value)
	if err != nil {
		return e, err
	}
	if !found {
		return e, d.revive(ctx, e.value, at)
	}
	if s, err = d.follow(ctx, s); err != nil {
		return e, err
	}
	if to := s.user.kept.Parting[key]; to != "" {
		if _, err := d.claim(ctx, e, to); err != nil {
			return e, err
		}
		return e, errAgain
	}
	if s.user.ID == e.value && !slices.Contains(s.user.indexKeys(), key) {
		// A login died before it wrote the record; or the entry has changed since it was read.
		value, _, err := d.store.Get(ctx, key)
		if err != nil {
			return e, fmt.Errorf("identity: reading an index entry: %w", err)
		}
		if string(value) != e.value {
			return e, errAgain
		}
	}
	if s.user.Status == StatusErased {
		e.gone = s.user.ID
		return e, nil
	}
	if s.user.ID != e.value {
		won, err := d.claim(ctx, e, s.user.ID)
		if err != nil {
			return e, err
		}
		if !won {
			return e, errAgain
		}
		e.value = s.user.ID
	}
	e.owner = s
	return e, nil
}

// claim points an entry to a user, unless it has changed since it was read.
func (d *Directory) claim(ctx context.Context, e entry, id string) (won bool, err error) {
	if e.value == "" {
		won, err = d.store.Create(ctx, e.key, []byte(id), 0)
	} else {
		won, err = d.store.Replace(ctx, e.key, []byte(e.value), []byte(id), 0)
	}
	if err != nil {
		return false, fmt.Errorf("identity: writing an index entry: %w", err)
	}
	return won, nil
}

// release gives up an entry that leads to the tombstone with this id. It is not deleted but given a short life: a person who
// comes back at this moment takes it over, and a deletion could not tell.
func (d *Directory) release(ctx context.Context, key, tombstone string) error {
	value, found, err := d.store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("identity: reading an index entry: %w", err)
	}
	if !found {
		return nil
	}
	if id := string(value); id != tombstone {
		s, found, err := d.reach(ctx, id)
		if err != nil {
			return err
		}
		if !found || s.user.ID != tombstone {
			return nil // somebody else's by now
		}
	}
	return d.expire(ctx, key, string(value), tombstone)
}

// expire gives an entry a short life. It leads straight to the tombstone then, so that nobody can point it there any more for whom
// the user was still alive.
func (d *Directory) expire(ctx context.Context, key, value, tombstone string) error {
	replaced, err := d.store.Replace(ctx, key, []byte(value), []byte(tombstone), time.Second)
	if err != nil {
		return fmt.Errorf("identity: writing an index entry: %w", err)
	}
	if !replaced {
		return errAgain
	}
	return nil
}
