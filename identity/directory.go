package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Store is what the directory asks of the database. Each operation is atomic for its key; nothing is assumed across keys.
// Absence is a boolean, err only means that the store could not answer. A lifetime of 0 means for ever; users have no other.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// GetMany reads several keys in one round trip, in their order; nil stands for an absent one. There need be no moment at which
	// all of it was true.
	GetMany(ctx context.Context, keys ...string) (values [][]byte, err error)
	// Create stores only if the key is absent.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)
	// Replace stores only if the present value equals old.
	Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (replaced bool, err error)
	Delete(ctx context.Context, key string) error
}

var (
	// ErrNotFound is returned by [Directory.Update] for an id that has no record.
	ErrNotFound = errors.New("identity: no such user")
	// ErrErased says that the user is a tombstone, which nothing may be written to.
	ErrErased = errors.New("identity: the user was erased")
	// ErrNoChange is returned by a change function that wants nothing written.
	ErrNoChange = errors.New("identity: no change")
	// ErrContended says that other writers kept changing the same entries until the attempts ran out. Trying again is safe.
	ErrContended = errors.New("identity: too many competing writers")
)

// Queue takes note of work before the change that makes it necessary is written, so that not even a killed process forgets it.
// Scheduling an id again moves it.
type Queue interface {
	Schedule(ctx context.Context, queue, id string, at time.Time) error
	Done(ctx context.Context, queue, id string) error
}

// maxAttempts bounds every compare-and-swap loop. A lost attempt means that somebody else succeeded, so this many others must have
// written the very same user in the meantime.
const maxAttempts = 100

// DirectoryConfig configures a [Directory].
type DirectoryConfig struct {
	Store Store // required
	Queue Queue // nil: nobody finishes what a killed process began, but the next login or look-up of that user
	// Announce keeps events for the app, see [Notice]. It needs the queue.
	Announce bool
	NewID    func() string    // default [NewID]; must return what [ValidID] accepts, and never the same twice
	Now      func() time.Time // default time.Now
}

// Directory keeps users. It holds no state of its own: any number of directories may work on one store at the same time.
type Directory struct {
	store    Store
	queue    Queue
	announce bool
	newID    func() string
	now      func() time.Time
}

// NewDirectory returns a directory on the store.
func NewDirectory(c DirectoryConfig) *Directory {
	d := &Directory{store: c.Store, queue: c.Queue, announce: c.Announce && c.Queue != nil, newID: c.NewID, now: c.Now}
	if d.newID == nil {
		d.newID = NewID
	}
	if d.now == nil {
		d.now = time.Now
	}
	return d
}

// stored is a user together with the bytes it was read from, which a later Replace compares.
type stored struct {
	user *User
	raw  []byte
}

func (d *Directory) load(ctx context.Context, id string) (stored, bool, error) {
	raw, found, err := d.store.Get(ctx, userKey(id))
	if err != nil {
		return stored{}, false, fmt.Errorf("identity: reading user %s: %w", id, err)
	}
	if !found {
		return stored{}, false, nil
	}
	u, err := decodeUser(id, raw)
	if err != nil {
		return stored{}, false, err
	}
	return stored{u, raw}, true, nil
}

// modify changes a living user, beginning with a record that was read already. If the user was merged away in the meantime the
// answer is errAgain, if it was erased [ErrErased].
func (d *Directory) modify(ctx context.Context, s stored, change func(*User) error) (*User, error) {
	return d.modifyRecord(ctx, s, func(u *User) error {
		switch u.Status {
		case StatusMerged:
			return errAgain
		case StatusErased:
			return ErrErased
		}
		return change(u)
	})
}

// modifyRecord is the compare-and-swap loop under every change.
func (d *Directory) modifyRecord(ctx context.Context, s stored, change func(*User) error) (*User, error) {
	id := s.user.ID
	for range maxAttempts {
		err := change(s.user)
		if errors.Is(err, ErrNoChange) {
			// Decoded anew, because the function may have touched its copy before it decided.
			return decodeUser(id, s.raw)
		}
		if err != nil {
			return nil, err
		}
		s.user.ID = id
		raw, err := encodeUser(s.user)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(raw, s.raw) {
			return s.user, nil
		}
		replaced, err := d.store.Replace(ctx, userKey(id), s.raw, raw, 0)
		if err != nil {
			return nil, fmt.Errorf("identity: writing user %s: %w", id, err)
		}
		if replaced {
			return s.user, nil
		}
		var found bool
		if s, found, err = d.load(ctx, id); err != nil {
			return nil, err
		}
		if !found {
			return nil, ErrNotFound
		}
	}
	return nil, fmt.Errorf("%w: user %s", ErrContended, id)
}

// replace writes one record if it is still what was read.
func (d *Directory) replace(ctx context.Context, s stored, u *User) error {
	raw, err := encodeUser(u)
	if err != nil {
		return err
	}
	replaced, err := d.store.Replace(ctx, userKey(u.ID), s.raw, raw, 0)
	if err != nil {
		return fmt.Errorf("identity: writing user %s: %w", u.ID, err)
	}
	if !replaced {
		return errAgain
	}
	return nil
}

// again repeats what lost a step to somebody else.
func again(do func() error) error {
	for range maxAttempts {
		if err := do(); !errors.Is(err, errAgain) {
			return err
		}
	}
	return ErrContended
}

func userKey(id string) string { return "u:" + id }

// The parts of an index key are escaped so that a slash inside one of them cannot make two different pairs the same key.

func accountKey(appID, openID string) string {
	return "a:" + url.PathEscape(appID) + "/" + url.PathEscape(openID)
}

func unionKey(platform, unionID string) string {
	return "n:" + url.PathEscape(platform) + "/" + url.PathEscape(unionID)
}
