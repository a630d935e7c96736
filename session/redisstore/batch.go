package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Write is one of several writes of Batch. Op is "put", "create" or "replace", and the write is what the method of that name does;
// Old is for "replace" alone. An alias, so that back ends and those who use them need not know each other.
type Write = struct {
	Op    string
	Key   string
	Value []byte
	Old   []byte
	TTL   time.Duration
}

// GetMany reads several records in one exchange.
func (s *Store) GetMany(ctx context.Context, keys ...string) (values [][]byte, err error) {
	_, values, err = s.exchange(ctx, "get many", nil, keys)
	return values, err
}

// Batch does several writes and reads in one exchange: a pipeline, which nothing comes between but other clients' commands.
//
// With a Cluster each of them is sent by itself, and all at the same time: its keys lie on different servers, so an MGET is not
// allowed, and the Cluster client sends a pipeline again after a network failure.
func (s *Store) Batch(ctx context.Context, writes []Write, keys ...string) (done []bool, values [][]byte, err error) {
	return s.exchange(ctx, "batch", writes, keys)
}

func (s *Store) exchange(ctx context.Context, op string, writes []Write, keys []string) (done []bool, values [][]byte, err error) {
	for _, w := range writes {
		if err := checkWrite(w); err != nil {
			return nil, nil, err
		}
	}
	for _, key := range keys {
		if err := checkName("key", key); err != nil {
			return nil, nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, s.fault(ctx, op, err)
	}
	if s.cluster != nil || len(writes)+len(keys) < 2 {
		return s.scatter(ctx, writes, keys)
	}
	sent, asked := make([]*redis.Cmd, len(writes)), make([]*redis.StringCmd, len(keys))
	send := func() error {
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, w := range writes {
				sent[i] = pipe.Do(ctx, words(w)...)
			}
			for i, key := range keys {
				asked[i] = pipe.Get(ctx, recordPrefix+key)
			}
			return nil
		})
		return err
	}
	// Each command has its own error; this one only tells whether to ask again, as read does.
	failed := send()
	if len(writes) == 0 && connectionLost(failed) && ctx.Err() == nil {
		failed = send()
	}
	// A refusal of the handshake is an answer of the server to none of the commands, so go-redis leaves them without an error.
	if failed != nil && !anyFailed(sent) && !anyFailed(asked) {
		return nil, nil, s.fault(ctx, op, failed)
	}
	done, values = make([]bool, len(writes)), make([][]byte, len(keys))
	for i, cmd := range sent {
		if done[i], err = s.wasDone(ctx, writes[i], cmd); err != nil {
			return nil, nil, s.fault(ctx, op, err)
		}
	}
	for i, cmd := range asked {
		if values[i], err = cmd.Bytes(); errors.Is(err, redis.Nil) {
			values[i] = nil
		} else if err != nil {
			return nil, nil, s.fault(ctx, op, err)
		}
	}
	return done, values, nil
}

func anyFailed[C redis.Cmder](commands []C) bool {
	return slices.ContainsFunc(commands, func(c C) bool { return c.Err() != nil })
}

func checkWrite(w Write) error {
	switch w.Op {
	case "put", "create", "replace":
		return checkRecord(w.Key, w.TTL)
	}
	return fmt.Errorf("redis: no such write: %q", w.Op)
}

// words is the command of a write.
func words(w Write) []any {
	switch w.Op {
	case "create":
		return withLifetime(w.TTL, "set", recordPrefix+w.Key, w.Value, "nx")
	case "replace":
		return withLifetime(w.TTL, "evalsha", replaceScript.digest, 1, recordPrefix+w.Key, w.Old, w.Value)
	}
	return withLifetime(w.TTL, "set", recordPrefix+w.Key, w.Value)
}

// wasDone reads the answer to a write. A server that does not know the script has not executed it.
func (s *Store) wasDone(ctx context.Context, w Write, cmd *redis.Cmd) (bool, error) {
	err := cmd.Err()
	switch {
	case redis.HasErrorPrefix(err, "NOSCRIPT"):
		return s.single(ctx, w)
	case errors.Is(err, redis.Nil):
		return false, nil
	case err != nil:
		return false, err
	case w.Op == "replace":
		n, err := cmd.Int()
		return n == 1, err
	}
	return true, nil
}

// scatter sends every operation by itself, and all at once.
func (s *Store) scatter(ctx context.Context, writes []Write, keys []string) ([]bool, [][]byte, error) {
	done, values := make([]bool, len(writes)), make([][]byte, len(keys))
	errs := make([]error, len(writes)+len(keys))
	var all sync.WaitGroup
	for i, w := range writes {
		all.Go(func() { done[i], errs[i] = s.single(ctx, w) })
	}
	for i, key := range keys {
		all.Go(func() { values[i], _, errs[len(writes)+i] = s.Get(ctx, key) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	return done, values, nil
}

func (s *Store) single(ctx context.Context, w Write) (bool, error) {
	switch w.Op {
	case "create":
		return s.Create(ctx, w.Key, w.Value, w.TTL)
	case "replace":
		return s.Replace(ctx, w.Key, w.Old, w.Value, w.TTL)
	}
	err := s.Put(ctx, w.Key, w.Value, w.TTL)
	return err == nil, err
}
