package session

import (
	"context"
	"time"
)

// Store is what this package needs of storage: keys, bytes and lifetimes, with
// atomicity of a single key only, so that a Redis Cluster can serve it.
//
// Absence is a boolean. An error means that the store could not answer and
// says nothing about whether the key exists; callers must never read it as
// "logged out". A lifetime of zero means none. Returned bytes belong to the
// caller, given bytes are not kept.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Create stores only where nothing is stored yet.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)
	// Replace stores only where exactly old is stored, and sets a new lifetime.
	Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (replaced bool, err error)
	Delete(ctx context.Context, key string) error
	// Batch does several writes and reads in one round trip. Each is one step
	// for itself; nothing is promised about their order, or about all of them.
	// done tells which writes were made, values are nil for absent keys. After
	// an error any of the writes may have happened.
	Batch(ctx context.Context, writes []Write, keys ...string) (done []bool, values [][]byte, err error)
}

// Write is one of the writes of a batch: Op is "put", "create" or "replace",
// Old is for "replace" alone. It is an alias of an unnamed type, so that this
// package and the back ends need not know each other.
type Write = struct {
	Op    string
	Key   string
	Value []byte
	Old   []byte
	TTL   time.Duration
}
