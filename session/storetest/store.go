// Package storetest is the contract of the storage back ends, written as tests: one suite that each of them passes.
//
// It owns what "stored" means (Store, Run, RunShared) and the start of a real redis-server for tests (StartRedis). It
// refuses to know any back end: a test hands it an opened one.
package storetest

import (
	"context"
	"time"
)

// Write is one of the writes of Batch: Op is "put", "create" or "replace", Old is for "replace" alone. It is an alias of an unnamed
// type, so that back ends and consumers agree on it without importing one another.
type Write = struct {
	Op    string
	Key   string
	Value []byte
	Old   []byte
	TTL   time.Duration
}

// Store is everything that a back end offers. Consumers declare the few methods that they need as interfaces of their
// own.
//
// Keys, queue names and ids are 1 to 4096 bytes of any kind. Values are any bytes, empty ones included; nil is stored as
// empty. A value that is handed in is not kept, a value that is handed out belongs to the caller.
//
// A lifetime (ttl) of 0 means none; a negative one is an error. A record whose lifetime has passed is absent from that
// instant on, for every method; no lifetime ends early, and none late by more than a millisecond.
//
// Absence is an answer, not an error: err says only that the store could not answer, or not in time, or was asked
// something senseless. After an error from a write, the write may or may not have happened; no back end repeats one
// whose repetition could change the answer.
//
// Every method returns an error for a context that has ended.
type Store interface {
	// Get returns the value of key.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)

	// Put sets value and lifetime of key, whatever was there.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Create sets value and lifetime of an absent key. Of many at once, one is told that it created.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)

	// Replace sets value and lifetime of a key whose value is still old. An absent key is not replaced.
	Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (replaced bool, err error)

	// Delete removes key; it is no error if there is none.
	Delete(ctx context.Context, key string) error

	// GetMany returns the values of several keys, in their order, with one question. nil stands for an absent one; an empty
	// value is not nil. There need be no moment at which all of it was true.
	GetMany(ctx context.Context, keys ...string) (values [][]byte, err error)

	// Batch does several writes and reads with one question. Each of them is one step for itself, as if its own method were called,
	// and nothing is promised about their order or about all of them; so no key may be among them twice. done tells which writes
	// were made ("put" always is), values are as those of GetMany. After an error any of the writes may have happened.
	Batch(ctx context.Context, writes []Write, keys ...string) (done []bool, values [][]byte, err error)

	// List calls fn once for each live record whose key begins with prefix, byte for byte; an empty prefix means all.
	// The order is unspecified, memory is bounded by a page of records (and at most a fingerprint of each key). fn may
	// call the store. Records that come, change or go meanwhile may be missed, or shown as they were. An error of fn ends
	// List and is returned as it is.
	List(ctx context.Context, prefix string, fn func(key string, value []byte) error) error

	// Schedule makes id due at a time, adding it to the queue or moving it.
	Schedule(ctx context.Context, queue, id string, at time.Time) error

	// TakeDue returns at most max ids that are due at now, earliest first, and makes each of them due again at
	// now+lease, in one step: of many callers at once, one gets an id, and if it dies, another gets it after the lease.
	// The lease must be positive. Times count in microseconds, and nothing is due early.
	TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, max int) (ids []string, err error)

	// Done removes id from the queue; it is no error if it is not there. It removes an id that was scheduled again
	// since it was taken, too.
	Done(ctx context.Context, queue, id string) error

	// QueueLen counts the ids in the queue, due or not.
	QueueLen(ctx context.Context, queue string) (int, error)

	// Ping says whether the store can answer now.
	Ping(ctx context.Context) error

	// Close ends the use of the store. Closing twice is fine, everything else afterwards is an error.
	Close() error
}
