package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	taskPrefix  = "m:"
	boundPrefix = "b:"
	taskVersion = 1
	maxTask     = 256 << 10
	// taskAttempts bounds the attempts to claim a task against other replicas.
	// A lost one means that another replica has it.
	taskAttempts = 20
)

// Task is something that somebody outside asks for several times, of any
// replica, and that must be done once: by one replica at a time, and not again
// once it is done.
type Task struct {
	// Began is when it was claimed first.
	Began time.Time
	// Mine says that the caller has to do it now, and then to call Finish or
	// Release. If the caller dies, the next one gets it when the lease ends.
	Mine bool
	// Done says that it was done, and Result is what came of it. Neither Mine
	// nor Done: another replica is at it.
	Done   bool
	Result []byte

	m     *Manager
	key   string
	keep  time.Duration
	value []byte // the record as it is stored, while it is Mine
}

// taskRecord is a task in the store. Key repeats where it is stored.
type taskRecord struct {
	Version int       `json:"v"`
	Key     string    `json:"key"`
	Began   time.Time `json:"began"`
	Until   time.Time `json:"until"` // the end of the lease; zero if nobody is at it
	Done    bool      `json:"done,omitempty"`
	Result  []byte    `json:"result,omitempty"` // sealed
}

// Claim asks for a task by its name. What is known of it is forgotten after
// keep, counted from the last change. One write for the first who asks, else a
// read more.
func (m *Manager) Claim(ctx context.Context, name string, lease, keep time.Duration) (*Task, error) {
	t := &Task{m: m, key: taskPrefix + hash(name), keep: keep}
	for range taskAttempts {
		now := m.now()
		fresh := taskRecord{Version: taskVersion, Key: t.key, Began: now, Until: now.Add(lease)}
		value, err := json.Marshal(fresh)
		if err != nil {
			return nil, err
		}
		won, err := m.store.Create(ctx, t.key, value, keep)
		if err != nil {
			return nil, err
		}
		if !won {
			old, found, err := m.store.Get(ctx, t.key)
			if err != nil {
				return nil, err
			}
			if !found {
				continue // its time has just ended
			}
			r, err := readTask(t.key, old)
			if err != nil {
				return nil, err
			}
			if t.Began = r.Began; r.Done {
				t.Done = true
				// One that does not open, because replicas have other secrets
				// while they are exchanged, is lost. Done is done.
				t.Result, _ = m.sealer.open(r.Result, t.key)
				return t, nil
			}
			if now.Before(r.Until) {
				return t, nil
			}
			r.Until = fresh.Until
			if value, err = json.Marshal(r); err != nil {
				return nil, err
			}
			if won, err = m.store.Replace(ctx, t.key, old, value, keep); err != nil {
				return nil, err
			}
			fresh = r
		}
		if won {
			t.Began, t.Mine, t.value = fresh.Began, true, value
			return t, nil
		}
	}
	return nil, errors.New("session: a task keeps changing hands")
}

// Finish notes that the task was done, and keeps what came of it, encrypted.
func (t *Task) Finish(ctx context.Context, result []byte) error {
	r := taskRecord{Version: taskVersion, Key: t.key, Began: t.Began, Done: true, Result: t.m.sealer.seal(result, t.key)}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	// Put and not Replace: done is done, even if another replica took over
	// because this one was late.
	return t.m.store.Put(ctx, t.key, value, t.keep)
}

// Release gives the task up undone: the next one who asks gets it.
func (t *Task) Release(ctx context.Context) error {
	value, err := json.Marshal(taskRecord{Version: taskVersion, Key: t.key, Began: t.Began})
	if err != nil {
		return err
	}
	_, err = t.m.store.Replace(ctx, t.key, t.value, value, t.keep)
	return err
}

func readTask(key string, value []byte) (r taskRecord, err error) {
	if len(value) > maxTask {
		return r, fmt.Errorf("session: a task of %d bytes", len(value))
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("session: unreadable task: %w", err)
	}
	switch {
	case r.Version != taskVersion:
		return r, fmt.Errorf("session: a task has version %d, this program knows %d", r.Version, taskVersion)
	case r.Key != key:
		return r, errors.New("session: the store answered with another task")
	}
	return r, nil
}

// Bind ties a name to the first value that comes with it, for ttl, and reports
// whether this value is that one. The value itself is not stored.
func (m *Manager) Bind(ctx context.Context, name string, value []byte, ttl time.Duration) (same bool, err error) {
	key := boundPrefix + hash(name)
	mark := hash(name, string(value))
	for range taskAttempts {
		first, err := m.store.Create(ctx, key, []byte(mark), ttl)
		if err != nil || first {
			return first, err
		}
		bound, found, err := m.store.Get(ctx, key)
		if err != nil || found {
			return string(bound) == mark, err
		}
	}
	return false, errors.New("session: a bound name keeps going away")
}
