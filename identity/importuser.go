package identity

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// result is what became of a line, the strongest last.
type result int

const (
	unchanged result = iota
	updated
	created
)

// importing brings one line into the store. The order of writes is that of [Directory.Resolve]: for a new user the record, the
// unionids, the accounts, and last the aliases; for a user that is there the index first and then the record. In front of it all is
// the accid, so that no record ever shows one that somebody else has. So a program that dies between any two steps leaves what the
// next run of the same line completes. Nothing is written before everything that the line asks for was found to be free or the
// user's own; what is lost to a login in that moment is taken off the record again.
type importing struct {
	d      *Directory
	in     *line
	now    time.Time
	result result

	// What survey found, anew in every attempt.
	id      string
	have    stored   // without user if it is new
	claims  []entry  // index entries that are free, in the order to take them
	adopt   bool     // the line's accid is to be this user's
	accid   entry    // then its entry, to be taken first; without key if it needs none
	aliases []string // that have no record
}

// importUser brings one line into the store. Errors: refused, [ErrRecord], [ErrContended], or what the store says.
func (d *Directory) importUser(ctx context.Context, in *line) (result, error) {
	i := &importing{d: d, in: in, now: d.now().UTC().Truncate(time.Second)}
	err := again(func() error {
		err := i.survey(ctx)
		switch {
		case err != nil:
			return err
		case in.Status == StatusErased:
			return i.bury(ctx)
		case i.have.user == nil:
			return i.create(ctx)
		}
		return i.update(ctx)
	})
	return i.result, err
}

// create makes a new user.
func (i *importing) create(ctx context.Context) error {
	u := i.fresh()
	raw, err := encodeUser(u)
	if err != nil {
		return err
	}
	if err := i.noteBehind(ctx, u); err != nil {
		return err
	}
	if err := i.takeAccid(ctx); err != nil {
		return err
	}
	fresh, err := i.d.store.Create(ctx, userKey(i.id), raw, 0)
	if err != nil {
		return fmt.Errorf("identity: writing a new user: %w", err)
	}
	if !fresh {
		return errAgain
	}
	i.result = created
	for n, e := range i.claims {
		won, err := i.claim(ctx, e)
		switch {
		case err != nil:
			return err
		case won:
		case n == 0 && i.in.ID == "":
			return i.undo(ctx, e.key)
		default:
			return i.takeOff(ctx, func(u *User) {
				for _, e := range i.claims[n:] {
					u.drop(e.key)
				}
				u.Aliases = slices.DeleteFunc(u.Aliases, func(id string) bool { return slices.Contains(i.aliases, id) })
			})
		}
	}
	return i.point(ctx)
}

// update brings a user that is there up to date. The record is written only if it did not change since the survey: otherwise an account
// that an operator splits off at this moment could come back to it.
func (i *importing) update(ctx context.Context) error {
	u, err := decodeUser(i.id, i.have.raw)
	if err != nil {
		return err
	}
	i.bring(u)
	raw, err := encodeUser(u)
	if err != nil {
		return err
	}
	block := i.blocks(i.have.user)
	same := bytes.Equal(raw, i.have.raw)
	if same && !block && i.accid.key == "" && len(i.claims)+len(i.aliases) == 0 {
		return nil
	}
	i.result = max(i.result, updated)
	if block {
		u.Status = StatusBlocked
	}
	if err := i.noteBehind(ctx, u); err != nil {
		return err
	}
	if block {
		_, err := i.d.Block(ctx, i.id)
		return since(err) // and then the rest
	}
	if err := i.takeAccid(ctx); err != nil {
		return err
	}
	for _, e := range i.claims {
		if won, err := i.claim(ctx, e); err != nil || !won {
			return since(err)
		}
	}
	if !same {
		if err := i.d.replace(ctx, i.have, u); err != nil {
			return err
		}
	}
	return i.point(ctx)
}

// since sends the line back to the survey, where nothing worse has happened than that somebody was quicker.
func since(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrErased) {
		return errAgain
	}
	return err
}

// bury makes a tombstone, or gives one that is there its aliases.
func (i *importing) bury(ctx context.Context) error {
	names := func(u *User) {
		for _, alias := range i.in.Aliases {
			if alias != u.ID && !slices.Contains(u.Aliases, alias) {
				u.Aliases = append(u.Aliases, alias)
			}
		}
	}
	if i.have.user != nil {
		listed := len(i.have.user.Aliases)
		u, err := i.d.modifyRecord(ctx, i.have, func(u *User) error { names(u); return nil })
		if err != nil {
			return since(err)
		}
		if len(u.Aliases) > listed || len(i.aliases) > 0 {
			i.result = max(i.result, updated)
		}
		return i.point(ctx)
	}
	u := &User{ID: i.id, Status: StatusErased, CreatedAt: cmp.Or(i.in.CreatedAt, i.now), History: i.in.History}
	if len(u.History) == 0 {
		u.AddEvent(Event{Time: i.now, Type: EventErased})
	}
	names(u)
	raw, err := encodeUser(u)
	if err != nil {
		return err
	}
	fresh, err := i.d.store.Create(ctx, userKey(i.id), raw, 0)
	if err != nil {
		return fmt.Errorf("identity: writing a tombstone: %w", err)
	}
	if !fresh {
		return errAgain
	}
	i.result = created
	return i.point(ctx)
}

// noteBehind takes note, before the record says so, that the account at Yunxin has to follow.
func (i *importing) noteBehind(ctx context.Context, u *User) error {
	if !u.yunxinBehind() {
		return nil
	}
	return i.d.settleLater(ctx, i.id)
}

// takeAccid makes the accid this user's, before the record says so.
func (i *importing) takeAccid(ctx context.Context) error {
	if i.accid.key == "" {
		return nil
	}
	var won bool
	var err error
	if e := i.accid; e.value == "" {
		i.accid.value = i.id
		won, err = i.d.store.Create(ctx, e.key, []byte(i.id), 0)
	} else {
		i.accid.value += "+"
		won, err = i.d.store.Replace(ctx, e.key, []byte(e.value), []byte(i.accid.value), 0)
	}
	if err != nil {
		return fmt.Errorf("identity: writing an index entry: %w", err)
	}
	if !won {
		return errAgain
	}
	return nil
}

// claim takes an index entry. Not won means that somebody else has it.
func (i *importing) claim(ctx context.Context, e entry) (won bool, err error) {
	if won, err = i.d.claim(ctx, e, i.id); err == nil && !won {
		// Perhaps by a former attempt whose answer got lost, or by another line about the same user.
		_, won, err = i.d.leadsTo(ctx, e.key, i.id)
	}
	return won, err
}

// undo gives up a user that the line did not name and that lost the first entry it tried to get: whoever won is the user. Without an
// accid nothing can lead to the record, else it stays, as nobody's, because another line with the same accid may have found it.
func (i *importing) undo(ctx context.Context, lost string) error {
	i.result = unchanged
	if i.accid.key == "" {
		return i.d.discard(ctx, lost, i.id)
	}
	if err := i.takeOff(ctx, func(u *User) { u.Yunxin = Yunxin{} }); !errors.Is(err, errAgain) {
		return err
	}
	value := []byte(i.accid.value)
	if _, err := i.d.store.Replace(ctx, i.accid.key, value, value, time.Second); err != nil {
		return fmt.Errorf("identity: writing an index entry: %w", err)
	}
	return errAgain
}

// takeOff corrects a record that says more than it got.
func (i *importing) takeOff(ctx context.Context, change func(u *User)) error {
	_, err := i.d.UpdateRecord(ctx, i.id, func(u *User) error { change(u); return nil })
	return since(err)
}

// point lets the aliases lead to the user. They come last, because a pointer to a record that is not there yet would be taken for a
// lost record.
func (i *importing) point(ctx context.Context) error {
	for _, alias := range i.aliases {
		a := &User{ID: alias, Status: StatusMerged, CreatedAt: i.now}
		a.kept.Merge = &merge{Into: i.id, Was: StatusActive}
		raw, err := encodeUser(a)
		if err != nil {
			return err
		}
		fresh, err := i.d.store.Create(ctx, userKey(alias), raw, 0)
		if err != nil {
			return fmt.Errorf("identity: writing an alias: %w", err)
		}
		if fresh {
			continue
		}
		// Somebody made a user of this id in the meantime, or a lost answer was ours.
		s, found, err := i.d.reach(ctx, alias)
		if err != nil || found && s.user.ID == i.id {
			return cmp.Or(err, errAgain)
		}
		return i.takeOff(ctx, func(u *User) {
			u.Aliases = slices.DeleteFunc(u.Aliases, func(id string) bool { return id == alias })
		})
	}
	return nil
}
