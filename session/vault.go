package session

import (
	"context"
	"errors"
	"time"
)

// PutSealed keeps a secret in the store, encrypted with the newest key and
// bound to its place. Lifetimes are the store's.
func (m *Manager) PutSealed(ctx context.Context, key string, secret []byte, ttl time.Duration) error {
	return m.store.Put(ctx, key, m.sealer.seal(secret, key), ttl)
}

// PutSealedWith is PutSealed, and reads other keys in the same round trip, in no
// certain order; absent ones are nil.
func (m *Manager) PutSealedWith(ctx context.Context, key string, secret []byte, ttl time.Duration, others ...string) (values [][]byte, err error) {
	w := Write{Op: "put", Key: key, Value: m.sealer.seal(secret, key), TTL: ttl}
	_, values, err = m.store.Batch(ctx, []Write{w}, others...)
	return values, err
}

// GetSealed reads such a secret. One that was sealed with a key that is no
// longer known is an error, and so is one that was moved or changed.
func (m *Manager) GetSealed(ctx context.Context, key string) (secret []byte, found bool, err error) {
	sealed, found, err := m.store.Get(ctx, key)
	if err != nil || !found {
		return nil, false, err
	}
	secret, ok := m.sealer.open(sealed, key)
	if !ok {
		return nil, false, errors.New("session: a sealed record does not open")
	}
	return secret, true, nil
}

// DeleteSealed forgets such a secret.
func (m *Manager) DeleteSealed(ctx context.Context, key string) error {
	return m.store.Delete(ctx, key)
}

// Seal encrypts a secret that another package keeps in a record of its own, with
// the newest key and bound to the place where it rests.
func (m *Manager) Seal(secret []byte, place string) []byte { return m.sealer.seal(secret, place) }

// Open reads what Seal wrote. It fails on what was moved, changed, or sealed with
// a key that is no longer known.
func (m *Manager) Open(sealed []byte, place string) (secret []byte, ok bool) {
	return m.sealer.open(sealed, place)
}
