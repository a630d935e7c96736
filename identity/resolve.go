package identity

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Resolution is the answer to a login.
type Resolution struct {
	User    *User // belongs to the caller; may be blocked, which is the caller's business
	Created bool  // this login completed a new user
	Linked  bool  // this login added the account to an existing user
	// Conflict says that the account and the unionid belong to two different users. User is the account's. Nothing was changed
	// about either user's unionid.
	Conflict bool
}

// leftoverAge is how long an unfinished first login is recognised as one, see leftover.
const leftoverAge = 10 * time.Minute

// errAgain sends a login back to the start, because somebody else won a step.
var errAgain = errors.New("identity: lost a step to a competing login")

// Resolve finds the user of a login, or makes one.
//
// A new user is made in this order: the record; then, if there is a unionid, its index entry; then the account's. Each entry is
// written with Create, so exactly one of several competitors gets it, and all others begin again and join the winner. The unionid
// comes before the account, because an account's entry is what other logins see as finished: the other way round, two
// accounts of one person that arrive together for the first time would both be finished before one of them loses the unionid,
// and somebody could already hold a session of the losing user. Where an existing user gains an account or a unionid, the index entry
// is written first and the record second; the next login repairs a record that lacks what the index says.
//
// So a program that dies between any two steps leaves either a record that nothing points to, or a step that the next login
// of that person takes.
//
// Store operations, when nobody competes:
//
//	returning, nothing new           2 reads
//	returning, an hour later         2 reads, 1 write
//	returning, unionid just learned  3 reads, 2 writes
//	first login without unionid      1 read,  2 writes
//	first login with unionid         2 reads, 3 writes
//	new account of a known unionid   3 reads, 2 writes
//	conflict                         4 reads
//
// Errors: [ErrLogin], [ErrRecord], [ErrContended], or what the store says. After an error nothing can be said about what was written;
// calling again with the same login is always safe.
func (d *Directory) Resolve(ctx context.Context, login Login) (Resolution, error) {
	l, err := d.check(login)
	if err != nil {
		return Resolution{}, err
	}
	for range maxAttempts {
		r, err := d.attempt(ctx, l)
		if errors.Is(err, errAgain) {
			continue
		}
		return r, err
	}
	return Resolution{}, ErrContended
}

// attempt is one pass through the decision. Every path either finishes or returns errAgain after somebody else made progress.
func (d *Directory) attempt(ctx context.Context, l Login) (Resolution, error) {
	account, err := d.lookup(ctx, accountKey(l.AppID, l.OpenID), l)
	if err != nil {
		return Resolution{}, err
	}
	if account.owned() {
		return d.known(ctx, l, account)
	}
	var union entry
	if l.UnionID != "" {
		if union, err = d.lookup(ctx, unionKey(l.Platform, l.UnionID), l); err != nil {
			return Resolution{}, err
		}
		if union.owned() {
			return d.join(ctx, l, account, union)
		}
	}
	return d.create(ctx, l, account, union)
}

// known serves a login whose account has a user.
func (d *Directory) known(ctx context.Context, l Login, account entry) (Resolution, error) {
	takeUnionid, conflict := false, false
	if l.UnionID != "" && account.owner.user.Unionids[l.Platform] != l.UnionID {
		union, err := d.lookup(ctx, unionKey(l.Platform, l.UnionID), l)
		if err != nil {
			return Resolution{}, err
		}
		switch {
		case union.id == account.id:
			takeUnionid = true // a former login wrote the entry and died before the record
		case !union.owned():
			won, err := d.claim(ctx, union, account.id)
			if err != nil {
				return Resolution{}, err
			}
			if !won {
				return Resolution{}, errAgain
			}
			takeUnionid = true
		case leftover(union.owner.user, l):
			return Resolution{}, d.abandon(ctx, l, union)
		default:
			conflict = true
		}
	}
	user, linked, err := d.touch(ctx, l, account.owner, takeUnionid)
	return Resolution{User: user, Linked: linked, Conflict: conflict}, err
}

// join gives a new account to the user of its unionid.
func (d *Directory) join(ctx context.Context, l Login, account, union entry) (Resolution, error) {
	// A record that already lists the account is that of a first login which died, or is about to lose, before the account's entry.
	completes := union.owner.user.Account(l.AppID, l.OpenID) != nil
	won, err := d.claim(ctx, account, union.id)
	if err != nil {
		return Resolution{}, err
	}
	if !won {
		return Resolution{}, errAgain
	}
	user, linked, err := d.touch(ctx, l, union.owner, true)
	return Resolution{User: user, Linked: linked, Created: completes}, err
}

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

// leftover recognises the record of a first login that got the unionid's entry but not the account's: the account that logs in now
// belongs to somebody else already. Nobody was ever told this user's id, because that happens only after the account's entry. The
// conditions are narrow on purpose, since a user wrongly taken for a leftover would lose its id: nothing but its creation ever
// happened to it, and that a moment ago. Anything else is a conflict.
func leftover(u *User, l Login) bool {
	return u.Status == StatusActive &&
		len(u.Accounts) == 1 && u.Account(l.AppID, l.OpenID) != nil &&
		len(u.History) == 1 && u.History[0].Type == EventCreated &&
		len(u.Aliases) == 0 && u.Yunxin == Yunxin{State: YunxinNone} &&
		l.At.Sub(u.CreatedAt).Abs() < leftoverAge
}

// abandon turns a leftover into a tombstone, which frees its unionid for the account's user. Compare-and-swap of the record, not
// deletion: another account may be joining the leftover at this moment, and then exactly one of the two writes happens.
func (d *Directory) abandon(ctx context.Context, l Login, union entry) error {
	u := union.owner.user
	tombstone := &User{ID: u.ID, Status: StatusErased, CreatedAt: u.CreatedAt}
	tombstone.AddEvent(Event{Time: l.At, Type: EventAbandoned})
	raw, err := encodeUser(tombstone)
	if err != nil {
		return err
	}
	if _, err := d.store.Replace(ctx, userKey(u.ID), union.owner.raw, raw, 0); err != nil {
		return fmt.Errorf("identity: writing user %s: %w", u.ID, err)
	}
	return errAgain
}

// touch writes into the record what the login brought, if anything is worth a write.
func (d *Directory) touch(ctx context.Context, l Login, s stored, takeUnionid bool) (user *User, linked bool, err error) {
	user, err = d.modify(ctx, s, func(u *User) error {
		if u.Status == StatusErased {
			return errAgain
		}
		var changed bool
		changed, linked = l.apply(u, takeUnionid)
		if !changed {
			return ErrNoChange
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		err = errAgain // lost between two reads; lookup knows what to do
	}
	return user, linked, err
}
