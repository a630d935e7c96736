package identity

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// Read is what somebody else read from the store a moment ago, by key; nil stands for an absent value. What a directory is about to
// ask can so be asked in one round trip with something else.
type Read map[string][]byte

// RecordKey is where the record of the user with this id is kept, or empty for a string that cannot be an id.
func RecordKey(id string) string {
	if !ValidID(id) {
		return ""
	}
	return userKey(id)
}

// Having returns d for one operation of one goroutine that takes these values for its first look at their keys. Whatever it decides by
// them is written only if it is still true, as with everything that was read.
func (d *Directory) Having(r Read) *Directory {
	if len(r) == 0 {
		return d
	}
	ahead := *d
	ahead.store = &prefetched{d.store, maps.Clone(r)}
	return &ahead
}

// prefetched is a store of which something was read before. Each value serves once, and not after a write of one's own.
type prefetched struct {
	Store
	read Read
}

func (p *prefetched) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	value, have := p.take(key)
	if !have {
		return p.Store.Get(ctx, key)
	}
	return value, value != nil, ctx.Err()
}

func (p *prefetched) GetMany(ctx context.Context, keys ...string) (values [][]byte, err error) {
	values = make([][]byte, len(keys))
	var missing []string
	for i, key := range keys {
		var have bool
		if values[i], have = p.take(key); !have {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return values, ctx.Err()
	}
	rest, err := p.Store.GetMany(ctx, missing...)
	if err != nil {
		return nil, err
	}
	for i, key := range missing {
		values[slices.Index(keys, key)] = rest[i]
	}
	return values, nil
}

func (p *prefetched) take(key string) (value []byte, have bool) {
	value, have = p.read[key]
	delete(p.read, key)
	return value, have
}

func (p *prefetched) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	delete(p.read, key)
	return p.Store.Create(ctx, key, value, ttl)
}

func (p *prefetched) Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	delete(p.read, key)
	return p.Store.Replace(ctx, key, old, new, ttl)
}

func (p *prefetched) Delete(ctx context.Context, key string) error {
	delete(p.read, key)
	return p.Store.Delete(ctx, key)
}

// Along returns d for one operation of one goroutine that reads one more key with each user's record, in the same round trip, and puts
// what it finds into the given map. key makes the key from the user's id.
func (d *Directory) Along(key func(userID string) string, into Read) *Directory {
	with := *d
	with.store = &along{d.store, key, into}
	return &with
}

// along is a store that is asked for something else at the same time.
type along struct {
	Store
	key  func(userID string) string
	into Read
}

func (a *along) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	id, isUser := strings.CutPrefix(key, userKey(""))
	if !isUser {
		return a.Store.Get(ctx, key)
	}
	other := a.key(id)
	values, err := a.Store.GetMany(ctx, key, other)
	if err != nil {
		return nil, false, err
	}
	a.into[other] = values[1]
	return values[0], values[0] != nil, nil
}
