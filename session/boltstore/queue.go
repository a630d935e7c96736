package boltstore

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// A queue is a bucket of its own with two inside: each id's due time, and an index of due time and id.
var (
	idsBucket = []byte("ids")
	dueBucket = []byte("due")
)

type queue struct{ ids, due *bbolt.Bucket }

// Schedule makes id due at the given time, wherever it stood before.
func (s *Store) Schedule(ctx context.Context, name, id string, at time.Time) error {
	if err := errors.Join(checkName("queue", name), checkName("id", id)); err != nil {
		return err
	}
	return s.write(ctx, "schedule", func(tx *bbolt.Tx, _ time.Time) (bool, error) {
		q, err := makeQueue(tx, name)
		if err != nil {
			return false, err
		}
		return true, q.move([]byte(id), ceiling(at))
	})
}

// TakeDue leases the ids that are due at now, earliest first, at most limit.
func (s *Store) TakeDue(ctx context.Context, name string, now time.Time, lease time.Duration, limit int) ([]string, error) {
	if err := checkName("queue", name); err != nil {
		return nil, err
	}
	if lease <= 0 {
		return nil, errors.New("store file: a lease must be longer than nothing")
	}
	var taken []string
	err := s.write(ctx, "take due", func(tx *bbolt.Tx, _ time.Time) (bool, error) {
		taken = nil
		q := openQueue(tx, name)
		if q == nil {
			return false, nil
		}
		taken = q.reached(now, limit)
		for _, id := range taken {
			if err := q.move([]byte(id), ceiling(now.Add(lease))); err != nil {
				return false, err
			}
		}
		return len(taken) > 0, nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// Done takes id out of the queue, if it is there.
func (s *Store) Done(ctx context.Context, name, id string) error {
	if err := errors.Join(checkName("queue", name), checkName("id", id)); err != nil {
		return err
	}
	return s.write(ctx, "done", func(tx *bbolt.Tx, _ time.Time) (bool, error) {
		q := openQueue(tx, name)
		if q == nil {
			return false, nil
		}
		due := q.ids.Get([]byte(id))
		if due == nil {
			return false, nil
		}
		if err := q.due.Delete(append(due[:len(due):len(due)], id...)); err != nil {
			return false, err
		}
		return true, q.ids.Delete([]byte(id))
	})
}

// QueueLen counts the ids in the queue, due or not, leased or not.
func (s *Store) QueueLen(ctx context.Context, name string) (n int, err error) {
	if err := checkName("queue", name); err != nil {
		return 0, err
	}
	err = s.view(ctx, "queue length", func(tx *bbolt.Tx) error {
		if q := openQueue(tx, name); q != nil {
			n = q.ids.Stats().KeyN
		}
		return nil
	})
	return n, err
}

// openQueue returns nil for a queue that nothing was ever scheduled in.
func openQueue(tx *bbolt.Tx, name string) *queue {
	b := tx.Bucket(queuesBucket).Bucket([]byte(name))
	if b == nil {
		return nil
	}
	return &queue{ids: b.Bucket(idsBucket), due: b.Bucket(dueBucket)}
}

func makeQueue(tx *bbolt.Tx, name string) (*queue, error) {
	if q := openQueue(tx, name); q != nil {
		return q, nil
	}
	b, err := tx.Bucket(queuesBucket).CreateBucket([]byte(name))
	if err != nil {
		return nil, err
	}
	ids, err := b.CreateBucket(idsBucket)
	if err != nil {
		return nil, err
	}
	due, err := b.CreateBucket(dueBucket)
	if err != nil {
		return nil, err
	}
	return &queue{ids: ids, due: due}, nil
}

func (q *queue) move(id []byte, to instant) error {
	if from := q.ids.Get(id); from != nil {
		if err := q.due.Delete(append(from[:len(from):len(from)], id...)); err != nil {
			return err
		}
	}
	if err := q.ids.Put(id, to[:]); err != nil {
		return err
	}
	return q.due.Put(append(to[:], id...), nil)
}

// reached lists the ids whose time has come. It collects before anything moves, because a moved id would come up again
// under its new time, and a cursor loses its place when keys go away under it.
func (q *queue) reached(now time.Time, limit int) (ids []string) {
	cursor := q.due.Cursor()
	for key, _ := cursor.First(); key != nil && len(ids) < limit; key, _ = cursor.Next() {
		at := instant(key)
		if !at.reached(now) {
			break
		}
		ids = append(ids, string(key[len(at):]))
	}
	return ids
}
