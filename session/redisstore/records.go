package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	recordPrefix = "wxgate:record:"
	queuePrefix  = "wxgate:queue:"

	// maxName is the longest key, queue name and id, in bytes. Both back ends agree on it.
	maxName = 4096
)

// Get reads one record.
func (s *Store) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := checkName("key", key); err != nil {
		return nil, false, err
	}
	var cmd *redis.StringCmd
	err = s.read(ctx, "get", func() redis.Cmder {
		cmd = redis.NewStringCmd(ctx, "get", recordPrefix+key)
		return stringOnce{cmd}
	})
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, err = cmd.Bytes()
	return value, err == nil, err
}

// Put writes one record, whatever was there before.
func (s *Store) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := checkRecord(key, ttl); err != nil {
		return err
	}
	_, err := s.write(ctx, "put", withLifetime(ttl, "set", recordPrefix+key, value)...)
	return err
}

// Create writes one record if its key is absent.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error) {
	if err := checkRecord(key, ttl); err != nil {
		return false, err
	}
	_, err = s.write(ctx, "create", withLifetime(ttl, "set", recordPrefix+key, value, "nx")...)
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// A missing key is false in Lua, which equals no string.
var replaceScript = newScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
if #ARGV == 2 then
	redis.call('SET', KEYS[1], ARGV[2])
else
	redis.call('SET', KEYS[1], ARGV[2], ARGV[3], ARGV[4])
end
return 1
`)

// Replace writes one record if its value is still old.
func (s *Store) Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (replaced bool, err error) {
	if err := checkRecord(key, ttl); err != nil {
		return false, err
	}
	answer, err := s.script(ctx, "replace", replaceScript, recordPrefix+key, withLifetime(ttl, old, new)...)
	if err != nil {
		return false, err
	}
	n, err := answer.Int()
	return n == 1, err
}

// Delete removes one record, if it is there.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkName("key", key); err != nil {
		return err
	}
	_, err := s.write(ctx, "delete", "del", recordPrefix+key)
	return err
}

// withLifetime adds the words that make a SET end after ttl. Redis counts milliseconds: a part of one counts as one,
// because "PX 0" is an error and a lifetime must not end early.
func withLifetime(ttl time.Duration, args ...any) []any {
	if ttl == 0 {
		return args
	}
	ms := ttl.Milliseconds()
	if ttl%time.Millisecond != 0 {
		ms++
	}
	return append(args, "px", ms)
}

func checkRecord(key string, ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("redis: negative lifetime %s", ttl)
	}
	return checkName("key", key)
}

// checkName judges a key, a queue's name or an id.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("redis: empty %s", what)
	case len(name) > maxName:
		return fmt.Errorf("redis: %s of %d bytes is longer than %d", what, len(name), maxName)
	}
	return nil
}
