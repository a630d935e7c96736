package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Lister walks through everything whose key begins with prefix, in any order. It stops at the first error of fn and returns it. fn
// may use the store, and may keep the value.
type Lister interface {
	List(ctx context.Context, prefix string, fn func(key string, value []byte) error) error
}

// exportWorkers look into the index at once: one alone would spend its time waiting for the network.
const exportWorkers = 32

// line is a user as exports have it: the JSON of [User] and, where there is something to say, what else a store that takes this
// one's place must know.
type line struct {
	User
	Apart     []string       `json:"apart,omitempty"`     // users that a unionid must not put together with this one
	Former    []unionid      `json:"former,omitempty"`    // replaced unionids that still lead here
	Epochs    map[string]int `json:"epochs,omitempty"`    // without them, sessions that were ended could come back to life
	Withdrawn bool           `json:"withdrawn,omitempty"` // the person took the consent back and has not logged in since
}

type unionid struct {
	Platform string `json:"platform"`
	UnionID  string `json:"unionid"`
}

// Export hands every user to fn as one line of JSON, newline included, in no order and never two at once; fn must not keep the
// bytes. A user that was erased is a line without personal data. One that was merged into another has no line of its own: the
// survivor's aliases name it. Events that the app has not acknowledged are not exported.
//
// A line tells one state of its user, and of the accounts and unionids only those that the index gives to this user. Logins may go
// on meanwhile: a user that changes is exported as it was or as it is, one that comes into being perhaps not at all. Where one was
// merged away just before its turn, or a killed process left that half done, the survivor may have been told without it, and gets a
// second, newer line at the end; [Directory.Import] makes one user of the two.
//
// An entry that cannot be used keeps nobody else from being exported: the error at the end, which Is [ErrRecord], says how many
// users are missing, and why the first one is. Every other error, that of fn included, ends the export.
//
// In memory are at most a few hundred records, and less than a hundred bytes for each merged user whose own record has come by but
// not yet the survivor's, or the reverse. Store operations: the listing, and one read for each account and unionid.
func (d *Directory) Export(ctx context.Context, list Lister, fn func(line []byte) error) error {
	e := &export{d: d, fn: fn, told: map[idBytes]struct{}{}, untold: map[idBytes]struct{}{}}
	if err := e.all(ctx, list); err != nil {
		return err
	}
	for len(e.untold) > 0 { // telling a survivor may show that it was merged, too
		for id := range e.untold {
			delete(e.untold, id)
			if err := e.survive(e.survivor(ctx, string(id[:]))); err != nil {
				return err
			}
		}
	}
	if e.damaged > 0 {
		return fmt.Errorf("%w (users missing in the export for reasons like this: %d)", e.damage, e.damaged)
	}
	return nil
}

type idBytes [idLen]byte

type export struct {
	d  *Directory
	fn func(line []byte) error

	mu      sync.Mutex
	told    map[idBytes]struct{} // named as merged by some line, while their own records have not come by
	untold  map[idBytes]struct{} // the reverse
	damaged int
	damage  error
}

// all exports what the listing shows.
func (e *export) all(ctx context.Context, list Lister) error {
	type entry struct {
		id  string
		raw []byte
	}
	entries := make(chan entry)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(entries)
		prefix := userKey("")
		return list.List(ctx, prefix, func(key string, value []byte) error {
			select {
			case entries <- entry{strings.TrimPrefix(key, prefix), value}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for range exportWorkers {
		g.Go(func() error {
			for entry := range entries {
				if err := e.survive(e.user(ctx, entry.id, entry.raw)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// survive counts unusable entries, so that they do not end the export.
func (e *export) survive(err error) error {
	if !errors.Is(err, ErrRecord) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.damaged++; e.damaged == 1 {
		e.damage = err
	}
	return nil
}

// user exports one record.
func (e *export) user(ctx context.Context, id string, raw []byte) error {
	same := false // the record has been read twice with the same result
	for range maxAttempts {
		u, err := decodeUser(id, raw)
		if err != nil {
			return err
		}
		switch u.Status {
		case StatusMerged:
			e.merged(id)
			return nil
		case StatusErased:
			return e.tell(u)
		}
		whole, somebody, err := e.confirm(ctx, u)
		switch {
		case err != nil:
			return err
		case !whole && !same:
			// Whoever moved the index wrote into the record first; so that has changed as well, or never will.
		case !somebody:
			return nil
		default:
			return e.tell(u)
		}
		now, found, err := e.d.store.Get(ctx, userKey(id))
		if err != nil {
			return fmt.Errorf("identity: reading user %s: %w", id, err)
		}
		if !found {
			return nil
		}
		raw, same = now, bytes.Equal(now, raw)
	}
	return fmt.Errorf("%w: user %s", ErrContended, id)
}

// confirm takes off u what the index gives to somebody else or to nobody. whole says that there was nothing of the kind. A user is
// nobody if it listed something and nothing of that is left: then a first login died, or lost, and nobody was ever told this id.
func (e *export) confirm(ctx context.Context, u *User) (whole, somebody bool, err error) {
	listed := len(u.indexKeys())
	drop := func(key string) bool {
		if err != nil {
			return false
		}
		var mine bool
		_, mine, err = e.d.leadsTo(ctx, key, u.ID)
		return !mine
	}
	u.Accounts = slices.DeleteFunc(u.Accounts, func(a Account) bool { return drop(accountKey(a.AppID, a.OpenID)) })
	for platform, unionID := range u.Unionids {
		if drop(unionKey(platform, unionID)) {
			delete(u.Unionids, platform)
		}
	}
	u.kept.Former = slices.DeleteFunc(u.kept.Former, drop)
	left := len(u.indexKeys())
	return left == listed, left > 0 || listed == 0 || len(u.Aliases) > 0, err
}

// leadsTo reads an index entry, and tells whether it leads to this user. The entry's owner is read only if it is another one.
func (d *Directory) leadsTo(ctx context.Context, key, id string) (e entry, yes bool, err error) {
	value, found, err := d.store.Get(ctx, key)
	if err != nil {
		return e, false, fmt.Errorf("identity: reading an index entry: %w", err)
	}
	if !found || string(value) == id && id != "" {
		return entry{key: key, value: string(value)}, found, nil
	}
	err = again(func() error {
		e, err = d.lookup(ctx, key, d.now())
		return err
	})
	return e, e.owned() && e.owner.user.ID == id, err
}

// tell hands a user's line to fn.
func (e *export) tell(u *User) error {
	u = view(u)
	l := line{User: *u}
	if u.Status != StatusErased { // of a tombstone nothing else is to be known
		l.Apart, l.Epochs, l.Withdrawn = u.kept.Apart, u.kept.Epochs, u.kept.Withdrawn
		for _, key := range u.kept.Former {
			former, err := parseUnionKey(key)
			if err != nil {
				return fmt.Errorf("%w: user %s: %w", ErrRecord, u.ID, err)
			}
			l.Former = append(l.Former, former)
		}
	}
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("%w: user %s: %w", ErrRecord, u.ID, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range u.Aliases {
		match(e.untold, e.told, id)
	}
	return e.fn(append(b, '\n'))
}

// merged notes a user that another one's line has to name.
func (e *export) merged(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	match(e.told, e.untold, id)
}

// match takes an id off one list or, where its counterpart has not come by yet, puts it on the other.
func match(waiting, other map[idBytes]struct{}, id string) {
	var b idBytes
	copy(b[:], id)
	if _, ok := waiting[b]; ok {
		delete(waiting, b)
	} else {
		other[b] = struct{}{}
	}
}

// survivor exports once more whom a user was merged into while the export was under way.
func (e *export) survivor(ctx context.Context, id string) error {
	u, found, err := e.d.User(ctx, id)
	if err != nil || !found {
		return err
	}
	raw, err := encodeUser(u)
	if err != nil {
		return err
	}
	return e.user(ctx, u.ID, raw)
}

func parseUnionKey(key string) (unionid, error) {
	platform, id, _ := strings.Cut(strings.TrimPrefix(key, "n:"), "/")
	platform, err := url.PathUnescape(platform)
	if err != nil {
		return unionid{}, err
	}
	id, err = url.PathUnescape(id)
	return unionid{platform, id}, err
}
