package identity

import (
	"context"
	"errors"
	"slices"
)

// Resolution is the answer to a login.
type Resolution struct {
	User    *User // belongs to the caller; may be blocked, which is the caller's business
	Created bool  // this login completed a new user
	Linked  bool  // this login added the account to an existing user
	// Merged is the id of a user that this login showed to be User, too, and that is no more.
	Merged string
	// Conflict says that the account and the unionid belong to two different users, and that the account's had another unionid
	// before: a rebinding is no evidence that two users are one person. User is the account's; nothing was changed about either.
	Conflict bool
}

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
// First logins of one account are told one id, however many arrive at one moment, with and without a unionid, and whichever of them
// die: the account's entry decides, and a user that has the unionid but was never anybody's answer is merged into the account's. An
// account that comes silently while another account of the person comes with the unionid is merged later: nothing tells that
// they are one until the unionid comes for both.
//
// Round trips to the store, when nobody competes:
//
//	returning, nothing new           2 reads
//	returning, an hour later         2 reads, 1 write
//	returning, unionid just learned  2 reads, 2 writes
//	first login without unionid      1 read,  2 writes
//	first login with unionid         1 read,  3 writes
//	new account of a known unionid   2 reads, 2 writes
//	conflict                         3 reads
//	merge of two users               13 reads, 4 writes
//
// Errors: [ErrLogin], [ErrRecord], [ErrContended], or what the store says. After an error nothing can be said about what was written;
// calling again with the same login is always safe.
func (d *Directory) Resolve(ctx context.Context, login Login) (Resolution, error) {
	l, err := d.check(login)
	if err != nil {
		return Resolution{}, err
	}
	var r Resolution
	merged := ""
	err = again(func() (err error) {
		r, err = d.attempt(ctx, l, &merged)
		return err
	})
	r.tellMerged(merged)
	return r, err
}

// tellMerged does not tell of a merge that lost to its opposite, decided at the same moment.
func (r *Resolution) tellMerged(id string) {
	if r.User != nil && r.User.ID != id {
		r.Merged = id
	}
}

// Learn is [Directory.Resolve] for what WeChat tells without a login, such as the unionid of a follower: it makes no user and says
// whether there is one.
func (d *Directory) Learn(ctx context.Context, login Login) (r Resolution, known bool, err error) {
	l, err := d.check(login)
	if err != nil {
		return r, false, err
	}
	l.told = true
	merged := ""
	err = again(func() error {
		account, union, err := d.looks(ctx, l)
		if known = account.owned(); err != nil || !known {
			return err
		}
		r, err = d.known(ctx, l, account, union, &merged)
		return err
	})
	r.tellMerged(merged)
	return r, known, err
}

// straighten brings a record up to what the index says of a unionid, after a login wrote the entry and then found its account to
// be somebody else's, or its user erased.
func (d *Directory) straighten(ctx context.Context, l Login) error {
	return again(func() error {
		e, err := d.lookup(ctx, unionKey(l.Platform, l.UnionID), l.At)
		switch {
		case err != nil || e.value == "":
			return err
		case !e.owned():
			return d.expire(ctx, e.key, e.value, e.gone)
		}
		_, err = d.modify(ctx, e.owner, func(u *User) error {
			switch {
			case slices.Contains(u.indexKeys(), e.key):
				return ErrNoChange
			case u.Unionids[l.Platform] == "":
				u.Unionids[l.Platform] = l.UnionID
			default:
				u.keepFormer(e.key)
			}
			return nil
		})
		if errors.Is(err, ErrErased) {
			return errAgain
		}
		return err
	})
}

// attempt is one pass through the decision. Every path either finishes or returns errAgain after somebody else made progress.
func (d *Directory) attempt(ctx context.Context, l Login, merged *string) (Resolution, error) {
	account, owner, err := d.looks(ctx, l)
	if err != nil {
		return Resolution{}, err
	}
	if account.owned() {
		return d.known(ctx, l, account, owner, merged)
	}
	var union entry
	if l.UnionID != "" {
		if union, err = d.leads(ctx, unionKey(l.Platform, l.UnionID), owner, l.At); err != nil {
			return Resolution{}, err
		}
		if union.owned() {
			return d.join(ctx, l, account, union)
		}
	}
	return d.create(ctx, l, account, union)
}

// known serves a login whose account has a user. owner is what the unionid's entry holds.
func (d *Directory) known(ctx context.Context, l Login, account entry, owner []byte, merged *string) (Resolution, error) {
	takeUnionid, claimed, conflict := false, false, false
	user := account.owner.user
	if l.UnionID != "" && user.Unionids[l.Platform] != l.UnionID {
		union, err := d.leads(ctx, unionKey(l.Platform, l.UnionID), owner, l.At)
		if err != nil {
			return Resolution{}, err
		}
		switch {
		case union.owned() && union.owner.user.ID == user.ID:
			takeUnionid = true // a former login wrote the entry and died before the record
		case !union.owned():
			won, err := d.claim(ctx, union, user.ID)
			if err != nil {
				return Resolution{}, err
			}
			if !won {
				return Resolution{}, errAgain
			}
			takeUnionid, claimed = true, true
		case apart(user, union.owner.user):
		case user.Unionids[l.Platform] != "":
			conflict = true
		default:
			evidence := Event{Time: l.At, Channel: l.Channel, AppID: l.AppID, OpenID: l.OpenID, Platform: l.Platform, UnionID: l.UnionID}
			into, from := union.owner, account.owner
			if union.owner.user.untold(l) {
				into, from = from, into
			}
			if err := d.unite(ctx, into, from, evidence); err != nil {
				return Resolution{}, err
			}
			*merged = from.user.ID
			return Resolution{}, errAgain
		}
	}
	user, linked, err := d.bring(ctx, l, account, takeUnionid)
	if claimed && errors.Is(err, errAgain) {
		if err := d.straighten(ctx, l); err != nil {
			return Resolution{}, err
		}
	}
	return Resolution{User: user, Linked: linked, Conflict: conflict}, err
}

// bring writes into the record of an account's user what the login brought.
func (d *Directory) bring(ctx context.Context, l Login, account entry, takeUnionid bool) (user *User, linked bool, err error) {
	if account.owner.user.Account(l.AppID, l.OpenID) != nil {
		user, err = d.touch(ctx, l, account.owner, takeUnionid)
		return user, false, err
	}
	// A former login wrote the entry and died before the record.
	user, err = d.link(ctx, l, account.owner, takeUnionid)
	return user, true, err
}

// join gives a new account to the user of its unionid.
func (d *Directory) join(ctx context.Context, l Login, account, union entry) (Resolution, error) {
	// A record that already lists the account is that of a first login which died, or is about to lose, before the account's entry.
	completes := union.owner.user.Account(l.AppID, l.OpenID) != nil
	won, err := d.claim(ctx, account, union.owner.user.ID)
	if err != nil {
		return Resolution{}, err
	}
	if !won {
		return Resolution{}, errAgain
	}
	if completes {
		if err := d.noteAgain(ctx, union.owner.user); err != nil {
			return Resolution{}, err
		}
		user, err := d.touch(ctx, l, union.owner, true)
		return Resolution{User: user, Created: true}, err
	}
	user, err := d.link(ctx, l, union.owner, true)
	return Resolution{User: user, Linked: true}, err
}

// touch writes into the record what the login brought, if anything is worth a write.
func (d *Directory) touch(ctx context.Context, l Login, s stored, takeUnionid bool) (*User, error) {
	user, err := d.modify(ctx, s, func(u *User) error {
		changed, linked := l.apply(u, takeUnionid)
		switch {
		case linked:
			return errAgain // the account was split off in between
		case !changed:
			return ErrNoChange
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrErased) {
		return nil, errAgain // since the look-up, which knows what to do
	}
	return user, err
}

// link gives a record an account that it lacks. The index must have said so after the record was read, and the record is written
// only if it did not change since: otherwise an account that an operator splits off at this moment could come back to it.
func (d *Directory) link(ctx context.Context, l Login, s stored, takeUnionid bool) (*User, error) {
	notice, err := d.newNotice(ctx, NoticeLinked, s.user.ID, l.At)
	if err != nil {
		return nil, err
	}
	notice.Account = &NoticeFrom{l.Channel, l.AppID, l.OpenID}
	u, err := decodeUser(s.user.ID, s.raw)
	if err != nil {
		return nil, err
	}
	l.apply(u, takeUnionid)
	u.post(notice)
	return u, d.replace(ctx, s, u)
}
