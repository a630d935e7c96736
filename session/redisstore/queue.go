package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Schedule makes id due at the given time, wherever it stood before.
func (s *Store) Schedule(ctx context.Context, queue, id string, at time.Time) error {
	if err := errors.Join(checkName("queue", queue), checkName("id", id)); err != nil {
		return err
	}
	_, err := s.write(ctx, "schedule", "zadd", queuePrefix+queue, ceiling(at), id)
	return err
}

var takeDueScript = newScript(`
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
	redis.call('ZADD', KEYS[1], ARGV[2], id)
end
return ids
`)

// TakeDue leases the ids that are due at now, earliest first, at most limit.
func (s *Store) TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, limit int) ([]string, error) {
	if err := checkName("queue", queue); err != nil {
		return nil, err
	}
	if lease <= 0 {
		return nil, errors.New("redis: a lease must be longer than nothing")
	}
	answer, err := s.script(ctx, "take due", takeDueScript, queuePrefix+queue,
		floor(now), ceiling(now.Add(lease)), max(limit, 0)) // to Redis, a negative limit means all
	if err != nil {
		return nil, err
	}
	return answer.StringSlice()
}

// Done takes id out of the queue, if it is there.
func (s *Store) Done(ctx context.Context, queue, id string) error {
	if err := errors.Join(checkName("queue", queue), checkName("id", id)); err != nil {
		return err
	}
	_, err := s.write(ctx, "done", "zrem", queuePrefix+queue, id)
	return err
}

// QueueLen counts the ids in the queue, due or not, leased or not.
func (s *Store) QueueLen(ctx context.Context, queue string) (int, error) {
	if err := checkName("queue", queue); err != nil {
		return 0, err
	}
	var cmd *redis.Cmd
	err := s.read(ctx, "queue length", func() redis.Cmder {
		cmd = redis.NewCmd(ctx, "zcard", queuePrefix+queue)
		return once{cmd}
	})
	if err != nil {
		return 0, err
	}
	return cmd.Int()
}

// Scores are whole microseconds, which a sorted set's floating-point numbers hold exactly until the year 2255. Due times
// are rounded up and the present down, so that nothing is early.
func floor(t time.Time) string {
	return strconv.FormatInt(t.UnixMicro(), 10)
}

func ceiling(t time.Time) string {
	if t.Nanosecond()%int(time.Microsecond) != 0 {
		t = t.Add(time.Microsecond)
	}
	return floor(t)
}
