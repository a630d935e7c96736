package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrClosed answers every write that comes after Close.
var ErrClosed = errors.New("the store is closed")

// maxName is the longest key, queue name and id, in bytes. Both back ends agree on it.
const maxName = 4096

// formatVersion marks the layout of the file, so that a later version that changes it can tell old files apart.
const formatVersion = "1"

var (
	metaBucket     = []byte("meta")
	recordsBucket  = []byte("records")
	expiriesBucket = []byte("expiries")
	queuesBucket   = []byte("queues")
	formatKey      = []byte("format")
)

// Options adjusts a Store. The zero value is ready to use.
type Options struct {
	// Now is the clock that lifetimes are judged by. Default: time.Now.
	Now func() time.Time

	// LockTimeout is how long Open waits for another process to let go of the file. Default: 1 second.
	LockTimeout time.Duration
}

// Store is an open file. All methods may be called at once from many goroutines.
type Store struct {
	db  *bbolt.DB
	now func() time.Time

	writes  chan *write
	closing chan struct{}
	stopped chan struct{}
	close   sync.Once
}

// Open opens the file at path, readable by its owner only, and creates it if it is absent. The folder must exist.
func Open(path string, opts Options) (*Store, error) {
	if path == "" {
		return nil, errors.New("store file: no path given")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = time.Second
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: opts.LockTimeout,
		// The default list is searched linearly and gets slow once many records have come and gone.
		FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("store file %s is in use by another process (one replica per file): %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store file %s: %w", path, err)
	}
	if err := prepare(db, path); err != nil {
		db.Close()
		return nil, fmt.Errorf("store file %s: %w", path, err)
	}
	s := &Store{
		db:      db,
		now:     opts.Now,
		writes:  make(chan *write),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// prepare makes the buckets and refuses a file of an unknown layout.
func prepare(db *bbolt.DB, path string) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		switch format := meta.Get(formatKey); {
		case format == nil:
			err = meta.Put(formatKey, []byte(formatVersion))
		case string(format) != formatVersion:
			err = fmt.Errorf("written in format %q, this program reads format %q", format, formatVersion)
		}
		if err != nil {
			return err
		}
		for _, name := range [][]byte{recordsBucket, expiriesBucket, queuesBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the file's name as durable as its content: bbolt syncs the file, but a freshly made name can still
// be lost with the power. A system that cannot do it (Windows, some network file systems, a folder that may be entered
// but not read) is no reason to refuse the file.
func syncFolder(folder string) error {
	dir, err := os.Open(folder)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Close lets a write that is under way finish, refuses later ones, and gives the file free.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.closing) })
	<-s.stopped
	return s.db.Close()
}

// Ping says whether the store can answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.view(ctx, "ping", func(*bbolt.Tx) error { return nil })
}

// view runs a read transaction. What read takes from it must be copied: bbolt's bytes are gone when it ends.
func (s *Store) view(ctx context.Context, op string, read func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store file: %s: %w", op, err)
	}
	if err := s.db.View(read); err != nil {
		return fmt.Errorf("store file: %s: %w", op, err)
	}
	return nil
}

// checkName judges a key, a queue's name or an id.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("store file: empty %s", what)
	case len(name) > maxName:
		return fmt.Errorf("store file: %s of %d bytes is longer than %d", what, len(name), maxName)
	}
	return nil
}
