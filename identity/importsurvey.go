package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// survey reads whom the line is about and what is missing, and refuses what would take something away from somebody.
func (i *importing) survey(ctx context.Context) error {
	in := i.in
	i.id, i.have, i.claims, i.adopt, i.accid, i.aliases = in.ID, stored{}, nil, false, entry{}, nil
	if in.ID != "" {
		s, found, err := i.d.reach(ctx, in.ID)
		if err != nil {
			return err
		}
		if found {
			i.have, i.id = s, s.user.ID
			if err := i.d.letPart(ctx, s.user); err != nil {
				return err
			}
		}
	}
	if i.have.user != nil && i.have.user.Status != in.Status {
		switch {
		case i.have.user.Status == StatusErased:
			return i.tooLate(ctx)
		case in.Status == StatusErased:
			return refuse("the user is alive here; erase it if that is what is meant")
		}
	}
	if in.Status != StatusErased {
		if err := i.surveyIndex(ctx); err != nil {
			return err
		}
		if err := i.surveyAccid(ctx); err != nil {
			return err
		}
	}
	if i.id == "" {
		if i.id = i.d.newID(); !ValidID(i.id) {
			return errors.New("identity: the configured NewID made an invalid id")
		}
	}
	return i.surveyAliases(ctx)
}

// tooLate refuses a line about a user that was erased since. If that happened while the line was being imported, now or in a run that
// died, index entries lead to the tombstone that it does not know of.
func (i *importing) tooLate(ctx context.Context) error {
	var keys []string
	for _, a := range i.in.Accounts {
		keys = append(keys, accountKey(a.AppID, a.OpenID))
	}
	for platform, unionID := range i.in.Unionids {
		keys = append(keys, unionKey(platform, unionID))
	}
	for _, f := range i.in.Former {
		keys = append(keys, unionKey(f.Platform, f.UnionID))
	}
	for _, key := range keys {
		if err := i.d.release(ctx, key, i.id); err != nil {
			return err
		}
	}
	return refuse("the user was erased here since")
}

// surveyIndex begins with the accounts: a line without id is about whoever has one of them.
func (i *importing) surveyIndex(ctx context.Context) error {
	var accounts []entry
	for n, a := range i.in.Accounts {
		if err := i.look(ctx, accountKey(a.AppID, a.OpenID), fmt.Sprintf("accounts[%d]", n), &accounts); err != nil {
			return err
		}
	}
	for _, platform := range slices.Sorted(maps.Keys(i.in.Unionids)) {
		unionID := i.in.Unionids[platform]
		if i.have.user != nil {
			if other := i.have.user.Unionids[platform]; other != "" && other != unionID {
				continue // what WeChat said to this store is newer
			}
		}
		if err := i.look(ctx, unionKey(platform, unionID), "the unionid", &i.claims); err != nil {
			return err
		}
	}
	for n, f := range i.in.Former {
		if err := i.look(ctx, unionKey(f.Platform, f.UnionID), fmt.Sprintf("former[%d]", n), &i.claims); err != nil {
			return err
		}
	}
	i.claims = append(i.claims, accounts...)
	return nil
}

// look reads one index entry and puts it on the list if it is free.
func (i *importing) look(ctx context.Context, key, what string, free *[]entry) error {
	e, mine, err := i.d.leadsTo(ctx, key, i.id)
	switch {
	case err != nil || mine:
		return err
	case !e.owned():
		*free = append(*free, e)
	case i.id == "":
		i.have, i.id = e.owner, e.owner.user.ID
	default:
		return refuse("%s belongs to user %s", what, e.owner.user.ID)
	}
	return nil
}

// surveyAccid looks whether the accid is, or may become, this user's. One that equals the user id needs no entry: nobody else's can
// be equal to it, because no accid that looks like a user id is taken from a line but the user's own.
func (i *importing) surveyAccid(ctx context.Context) error {
	accid := i.in.Yunxin.Accid
	if accid == "" || i.have.user != nil && i.have.user.Yunxin.Accid != "" {
		return nil
	}
	switch {
	case accid == i.id:
		i.adopt = true
		return nil
	case accid == i.in.ID:
		return nil // merged since; the survivor has an account of its own
	case ValidID(accid):
		return refuse("yunxin.accid looks like the id of a user, and is not this user's")
	}
	i.adopt, i.accid.key = true, accidKey(accid)
	value, found, err := i.d.store.Get(ctx, i.accid.key)
	if err != nil {
		return fmt.Errorf("identity: reading an index entry: %w", err)
	}
	if !found {
		return nil
	}
	i.accid.value = string(value)
	owner := strings.TrimRight(i.accid.value, "+")
	if !ValidID(owner) {
		return fmt.Errorf("%w: an index entry does not hold a user id", ErrRecord)
	}
	if owner == i.id {
		return nil
	}
	s, found, err := i.d.reach(ctx, owner)
	switch {
	case err != nil:
		return err
	case found && s.user.ID == i.id:
		return nil
	case found && s.user.Status == StatusErased:
		return refuse("yunxin.accid belonged to user %s, who was erased here since", owner)
	case i.id == "" && !found:
		i.id = owner // a run of this line died before it could make the record
		return nil
	case i.id == "" && i.in.begun(s.user):
		i.have, i.id = s, s.user.ID // or before the index led to the record
		return nil
	}
	return refuse("yunxin.accid belongs to user %s", owner)
}

// begun says that the record of a user whom the index does not know yet was made of this line.
func (in *line) begun(u *User) bool {
	return slices.ContainsFunc(in.Accounts, func(a Account) bool { return u.Account(a.AppID, a.OpenID) != nil }) ||
		len(in.Accounts) == 0 && maps.Equal(in.Unionids, u.Unionids)
}

func (i *importing) surveyAliases(ctx context.Context) error {
	for _, alias := range i.in.Aliases {
		s, found, err := i.d.load(ctx, alias)
		if err != nil {
			return err
		}
		if !found {
			i.aliases = append(i.aliases, alias)
			continue
		}
		root, err := i.d.follow(ctx, s)
		switch {
		case err != nil:
			return err
		case root.user.ID == i.id:
		case root.user.Status == StatusErased:
			return refuse("alias %s was erased here since", alias)
		case s.user.Status == StatusMerged:
			return refuse("alias %s is user %s here", alias, root.user.ID)
		default:
			return refuse("alias %s is a user of its own here; merge the two if they are one", alias)
		}
	}
	return nil
}

// accidKey is the index entry of an accid that an import brought. It holds the user's id, and a plus for each time that an import came to
// rely on it after it had been there already: whoever wrote it before can then no longer take it back.
func accidKey(accid string) string { return "y:" + accid }
