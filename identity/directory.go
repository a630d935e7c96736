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
	// Create stores only if the key is absent.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)
	// Replace stores only if the present value equals old.
	Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (replaced bool, err error)
	Delete(ctx context.Context, key string) error
}

var (
	// ErrNotFound is returned by [Directory.Update] for an id that has no record.
	ErrNotFound = errors.New("identity: no such user")
	// ErrNoChange is returned by a change function that wants nothing written.
	ErrNoChange = errors.New("identity: no change")
	// ErrContended says that other writers kept changing the same entries until the attempts ran out. Trying again is safe.
	ErrContended = errors.New("identity: too many competing writers")
)

// maxAttempts bounds every compare-and-swap loop. A lost attempt means that somebody else succeeded, so this many others must have
// written the very same user in the meantime.
const maxAttempts = 100

// DirectoryConfig configures a [Directory].
type DirectoryConfig struct {
	Store Store            // required
	NewID func() string    // default [NewID]; must return what [ValidID] accepts, and never the same twice
	Now   func() time.Time // default time.Now
}

// Directory keeps users. It holds no state of its own: any number of directories may work on one store at the same time.
type Directory struct {
	store Store
	newID func() string
	now   func() time.Time
}

// NewDirectory returns a directory on the store.
func NewDirectory(c DirectoryConfig) *Directory {
	d := &Directory{store: c.Store, newID: c.NewID, now: c.Now}
	if d.newID == nil {
		d.newID = NewID
	}
	if d.now == nil {
		d.now = time.Now
	}
	return d
}

// User returns the user with this id, tombstones of erased users included. A string that cannot be an id is simply not found and
// costs no question to the store. The result belongs to the caller. One read.
func (d *Directory) User(ctx context.Context, id string) (*User, bool, error) {
	if !ValidID(id) {
		return nil, false, nil
	}
	s, found, err := d.load(ctx, id)
	if err != nil || !found {
		return nil, false, err
	}
	return s.user, true, nil
}

// Update changes a user. The function may be called several times, each time with a fresh copy of the present record, and its last
// result is stored only if nobody changed the record in between; it must do nothing but change the user it is given. If it
// returns [ErrNoChange], nothing is written and the present user is returned; any other error of it is returned as it is.
// Errors: [ErrNotFound], [ErrContended], [ErrRecord], or what the store says. One read and one write when nobody competes.
func (d *Directory) Update(ctx context.Context, id string, change func(*User) error) (*User, error) {
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
	return d.modify(ctx, s, change)
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

// modify is the loop of Update, beginning with a record that was read already.
func (d *Directory) modify(ctx context.Context, s stored, change func(*User) error) (*User, error) {
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

func userKey(id string) string { return "u:" + id }

// The parts of an index key are escaped so that a slash inside one of them cannot make two different pairs the same key.

func accountKey(appID, openID string) string {
	return "a:" + url.PathEscape(appID) + "/" + url.PathEscape(openID)
}

func unionKey(platform, unionID string) string {
	return "n:" + url.PathEscape(platform) + "/" + url.PathEscape(unionID)
}
