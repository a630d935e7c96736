package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// once and stringOnce are commands that the Cluster client, too, must not send again after a network failure: it may
// have been executed though the answer was lost.
type (
	once       struct{ *redis.Cmd }
	stringOnce struct{ *redis.StringCmd }
)

func (once) NoRetry() bool       { return true }
func (stringOnce) NoRetry() bool { return true }

// send sends one command once and returns what the client says. A reply of nil is the error redis.Nil.
func (s *Store) send(ctx context.Context, args ...any) (*redis.Cmd, error) {
	cmd := redis.NewCmd(ctx, args...)
	if err := ctx.Err(); err != nil {
		return cmd, err
	}
	return cmd, s.client.Process(ctx, once{cmd})
}

func (s *Store) write(ctx context.Context, op string, args ...any) (*redis.Cmd, error) {
	cmd, err := s.send(ctx, args...)
	return cmd, s.fault(ctx, op, err)
}

// read sends a command that changes nothing, and sends it again if the connection turns out to be dead: after a restart
// of the server that is what each pooled connection may be.
func (s *Store) read(ctx context.Context, op string, command func() redis.Cmder) error {
	err := ctx.Err()
	if err == nil {
		err = s.client.Process(ctx, command())
	}
	if connectionLost(err) && ctx.Err() == nil {
		err = s.client.Process(ctx, command())
	}
	return s.fault(ctx, op, err)
}

// A script changes one key in one step. go-redis has a type for it, but sends it with retries on a Cluster.
type script struct{ text, digest string }

func newScript(text string) script {
	return script{text, redis.NewScript(text).Hash()}
}

// script runs a script by its digest, and by its text on a server that does not know it yet. NOSCRIPT says that nothing
// was executed, so the second attempt is the first execution.
func (s *Store) script(ctx context.Context, op string, script script, key string, args ...any) (*redis.Cmd, error) {
	words := append([]any{"evalsha", script.digest, 1, key}, args...)
	cmd, err := s.send(ctx, words...)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		words[0], words[1] = "eval", script.text
		cmd, err = s.send(ctx, words...)
	}
	return cmd, s.fault(ctx, op, err)
}

func connectionLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// fault makes err fit for logs: named by the operation, marked as the context's if that has ended, without secrets.
// redis.Nil passes: it is an answer.
func (s *Store) fault(ctx context.Context, op string, err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	var reply redis.Error
	if s.cluster != nil && !errors.As(err, &reply) {
		s.cluster.ReloadState(ctx) // in the background, one at a time
	}
	err = s.clean(err)
	if ended := contextEnded(ctx); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("redis: %s: %w: %w", op, ended, err)
	}
	return fmt.Errorf("redis: %s: %w", op, err)
}

// contextEnded knows a deadline that has passed before the context's own timer does: the socket's timer may be quicker.
func contextEnded(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// clean cuts secrets out of an error's text. Where there was one, the chain is cut too: a cause would still hold it.
func (s *Store) clean(err error) error {
	if err == nil || len(s.secrets) == 0 {
		return err
	}
	text := err.Error()
	// "ERR unknown command 'AUTH', with args beginning with: 'secr": the list is cut off at some length, so a part of a
	// password is all that a search would have to find.
	kept, _, cut := strings.Cut(text, ", with args beginning with")
	for _, secret := range s.secrets {
		if strings.Contains(kept, secret) {
			kept, cut = strings.ReplaceAll(kept, secret, "…"), true
		}
	}
	if !cut {
		return err
	}
	return errors.New(kept)
}
