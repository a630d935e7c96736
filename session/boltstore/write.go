package boltstore

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// maxBatch bounds the writes in one transaction, and so the time that the first of them waits.
	maxBatch = 256

	// sweepEvery is how often an idle store removes records whose time is over.
	sweepEvery = time.Minute

	// sweepIdle bounds one removal of an idle store: some ten milliseconds, then waiting writes have their turn.
	sweepIdle = 1000
)

// A write is one change on its way to the goroutine that commits.
type write struct {
	ctx   context.Context
	apply func(tx *bbolt.Tx, now time.Time) (changed bool, err error)
	done  chan error // buffered: nobody may be waiting any more
}

// write has apply run inside a transaction and waits until it is on disk.
//
// When ctx ends first, the change may or may not happen. Then apply may run after write has returned: a caller must not
// touch the variables that its apply sets unless write returned nil, and must hand apply copies of what it was given.
// An apply that reports no change and no error costs no disk access.
func (s *Store) write(ctx context.Context, op string, apply func(*bbolt.Tx, time.Time) (bool, error)) error {
	w := &write{ctx: ctx, apply: apply, done: make(chan error, 1)}
	if err := s.submit(w); err != nil {
		return fmt.Errorf("store file: %s: %w", op, err)
	}
	return nil
}

func (s *Store) submit(w *write) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	select {
	case s.writes <- w:
	case <-w.ctx.Done():
		return w.ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
	select {
	case err := <-w.done:
		return err
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// run is the goroutine that commits, until Close.
func (s *Store) run() {
	defer close(s.stopped)
	sweep := time.NewTimer(sweepEvery)
	defer sweep.Stop()
	batch := make([]*write, 0, maxBatch)
	for {
		select {
		case w := <-s.writes:
			batch = s.gather(append(batch[:0], w))
			s.answer(batch)
			clear(batch)
		case <-sweep.C:
			sweep.Reset(s.sweepIdle())
		case <-s.closing:
			return
		}
	}
}

// gather adds the writes that are waiting now. The channel is unbuffered, so all of them are still blocked in submit.
func (s *Store) gather(batch []*write) []*write {
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// answer commits the batch and tells every writer how its own write ended.
func (s *Store) answer(batch []*write) {
	skipped := make([]error, len(batch))
	err := s.transaction(func(tx *bbolt.Tx) (bool, error) {
		now, any := s.now(), false
		for i, w := range batch {
			if skipped[i] = w.ctx.Err(); skipped[i] != nil {
				continue
			}
			changed, err := w.apply(tx, now)
			if err != nil {
				// Input was judged before it came here, so this is the file's fault and concerns everybody.
				return false, err
			}
			any = any || changed
		}
		if !any {
			return false, nil
		}
		// More may go than came, so a store under steady load catches up with whatever has piled up.
		_, err := records{tx}.sweep(now, 2*len(batch)+8)
		return true, err
	})
	for i, w := range batch {
		if err != nil {
			w.done <- err
		} else {
			w.done <- skipped[i]
		}
	}
}

// sweepIdle removes records whose time is over and says when to come again. An error is not lost: the next write meets
// the same disk and reports it to somebody.
func (s *Store) sweepIdle() time.Duration {
	removed := 0
	err := s.transaction(func(tx *bbolt.Tx) (changed bool, err error) {
		removed, err = records{tx}.sweep(s.now(), sweepIdle)
		return removed > 0, err
	})
	if err == nil && removed == sweepIdle {
		return time.Millisecond
	}
	return sweepEvery
}

// transaction commits what change did if it says so, and leaves the file untouched otherwise.
func (s *Store) transaction(change func(*bbolt.Tx) (bool, error)) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	changed, err := change(tx)
	if err != nil || !changed {
		return err
	}
	return tx.Commit()
}
