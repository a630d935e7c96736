package component

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// roster lists all accounts that were ever heard of, in order. The store could find
// them by their keys, but would go through all keys that there are, of sessions too.
type roster struct {
	AppIDs []string `json:"appids"`
}

// enlist comes before the first record of an account is written, so that none is
// ever missing. One that is listed and has no record was never acknowledged.
func (p *Platform) enlist(ctx context.Context, appid string) error {
	_, err := modify(ctx, p, p.key("roster"), 0, func(r *roster, _ bool) error {
		i, listed := slices.BinarySearch(r.AppIDs, appid)
		if listed {
			return errNoChange
		}
		r.AppIDs = slices.Insert(r.AppIDs, i, appid)
		return nil
	})
	return err
}

// accounts calls fn for every account, until it returns an error. A record that
// cannot be read, because a later version wrote it, must not hide the others.
func (p *Platform) accounts(ctx context.Context, fn func(key string, r tokenRecord) error) error {
	list, _, err := load[roster](ctx, p, p.key("roster"))
	if err != nil {
		return err
	}
	for _, appid := range list.AppIDs {
		key := p.accountKey(appid)
		r, _, err := load[tokenRecord](ctx, p, key)
		switch {
		case errors.Is(err, errRecord):
			p.log.Error("the record of an account cannot be read", "appid", appid, "error", err)
			continue
		case err != nil:
			return fmt.Errorf("component: reading all accounts: %w", err)
		case r.Account == nil:
			continue
		}
		if err := fn(key, r); err != nil {
			return err
		}
	}
	return nil
}
