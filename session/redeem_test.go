package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted is an exchange that says how often it ran.
type counted struct {
	n    atomic.Int32
	hold chan struct{}
	out  Outcome
}

func (c *counted) exchange(ctx context.Context, _ *Redemption) Outcome {
	c.n.Add(1)
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
		}
	}
	return c.out
}

func TestRedeemOnce(t *testing.T) {
	b := newBench(t)
	// Two replicas, which share the store and nothing else.
	replicas := []*Redeemer{NewRedeemer(b.Manager), NewRedeemer(b.manager(t))}
	work := &counted{out: Outcome{Token: "the token"}, hold: make(chan struct{})}
	var wg sync.WaitGroup
	var first atomic.Int32
	for i := range 20 {
		wg.Go(func() {
			out, replayed, err := replicas[i%2].Redeem(t.Context(), "wx1", "code", "state", work.exchange)
			if err != nil || out.Token != "the token" {
				t.Errorf("delivery %d: %+v, %v", i, out, err)
			}
			if !replayed {
				first.Add(1)
			}
		})
	}
	close(work.hold)
	wg.Wait()
	if work.n.Load() != 1 || first.Load() != 1 {
		t.Errorf("%d exchanges, %d deliveries call themselves the first", work.n.Load(), first.Load())
	}
	// Later ones are told the same.
	for _, r := range replicas {
		if out, replayed, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange); err != nil || !replayed || out.Token != "the token" {
			t.Errorf("afterwards: %+v, %v, %v", out, replayed, err)
		}
	}
	for key, ttl := range b.store.ttl {
		if ttl != outcomeLife {
			t.Errorf("%s is kept for %v", key, ttl)
		}
	}
	if s := b.store.all(); strings.Contains(s, "the token") || strings.Contains(s, "code") || strings.Contains(s, "state") {
		t.Error("code, state or token can be read in the store")
	}
}

func TestFailureIsToldAgain(t *testing.T) {
	b := newBench(t)
	work := &counted{out: Outcome{Failure: "refused"}}
	for _, r := range []*Redeemer{NewRedeemer(b.Manager), NewRedeemer(b.manager(t))} {
		if out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange); err != nil || out != work.out {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if work.n.Load() != 1 {
		t.Errorf("%d exchanges", work.n.Load())
	}
}

func TestForeignBindingGetsNothing(t *testing.T) {
	b := newBench(t)
	mine, other := &counted{out: Outcome{Token: "mine"}, hold: make(chan struct{})}, &counted{out: Outcome{Token: "theirs"}}
	reached := make(chan struct{})
	r := NewRedeemer(b.Manager)
	var wg sync.WaitGroup
	wg.Go(func() {
		out, _, err := r.Redeem(t.Context(), "wx1", "code", "my state", func(ctx context.Context, x *Redemption) Outcome {
			close(reached)
			return mine.exchange(ctx, x)
		})
		if err != nil || out.Token != "mine" {
			t.Errorf("%+v, %v", out, err)
		}
	})
	<-reached
	for _, r := range []*Redeemer{r, NewRedeemer(b.manager(t))} { // while it runs
		if out, _, err := r.Redeem(t.Context(), "wx1", "code", "their state", other.exchange); !errors.Is(err, ErrForeignCode) || out != (Outcome{}) {
			t.Errorf("%+v, %v", out, err)
		}
	}
	close(mine.hold)
	wg.Wait()
	if out, _, err := r.Redeem(t.Context(), "wx1", "code", "their state", other.exchange); !errors.Is(err, ErrForeignCode) || out != (Outcome{}) { // and after it
		t.Errorf("%+v, %v", out, err)
	}
	if other.n.Load() != 0 {
		t.Error("the code was exchanged for another browser")
	}
	// Another app's code of the same letters is another code.
	if out, _, err := r.Redeem(t.Context(), "wx2", "code", "their state", other.exchange); err != nil || out.Token != "theirs" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestExchangeOutlivesItsRequest(t *testing.T) {
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	work := &counted{out: Outcome{Token: "the token"}, hold: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	reached := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := r.Redeem(ctx, "wx1", "code", "state", func(ctx context.Context, x *Redemption) Outcome {
			close(reached)
			return work.exchange(ctx, x)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the request that left got %v", err)
		}
	})
	<-reached
	cancel() // WebViews drop the first request when they send the second
	wg.Wait()
	close(work.hold)
	out, replayed, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange)
	if err != nil || !replayed || out.Token != "the token" || work.n.Load() != 1 {
		t.Errorf("the second request got %+v, %v, %v after %d exchanges", out, replayed, err, work.n.Load())
	}
}

func TestStoreGoneBeforeTheExchange(t *testing.T) {
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	work := &counted{out: Outcome{Token: "the token"}}
	b.store.fail["Create"] = errGone
	if _, _, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange); !errors.Is(err, errGone) || work.n.Load() != 0 {
		t.Errorf("%v after %d exchanges", err, work.n.Load())
	}
	delete(b.store.fail, "Create")
	if out, replayed, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange); err != nil || replayed || out.Token != "the token" {
		t.Errorf("after recovery: %+v, %v, %v", out, replayed, err)
	}
}

func TestOutcomeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		now := func(c *Config) { c.Now = time.Now } // the bubble's
		r := NewRedeemer(b.manager(t, now))
		work := &counted{out: Outcome{Token: "the token"}}
		b.store.fail["Put"] = errGone
		if out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange); err != nil || out.Token != "the token" {
			t.Errorf("who exchanged it is told nothing: %+v, %v", out, err)
		}
		start := time.Now()
		_, _, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange)
		if took := time.Since(start); !errors.Is(err, ErrCodeLost) || took > redeemLimit+time.Second {
			t.Errorf("the second delivery: %v after %v", err, took)
		}
		start = time.Now()
		if _, _, err := r.Redeem(t.Context(), "wx1", "code", "state", work.exchange); !errors.Is(err, ErrCodeLost) || time.Since(start) > time.Second {
			t.Errorf("the third delivery: %v after %v", err, time.Since(start))
		}
		if work.n.Load() != 1 {
			t.Errorf("%d exchanges of one code", work.n.Load())
		}
	})
}

func TestSlowExchangeIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		now := func(c *Config) { c.Now = time.Now }
		replicas := []*Redeemer{NewRedeemer(b.manager(t, now)), NewRedeemer(b.manager(t, now))}
		var n atomic.Int32
		slow := func(context.Context, *Redemption) Outcome {
			n.Add(1)
			time.Sleep(10 * time.Second) // in the bubble
			return Outcome{Token: "the token"}
		}
		var wg sync.WaitGroup
		for _, r := range replicas {
			wg.Go(func() {
				out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", slow)
				if err != nil || out.Token != "the token" {
					t.Errorf("%+v, %v", out, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("%d exchanges", n.Load())
		}
	})
}

func TestEndlessExchangeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := NewRedeemer(b.manager(t, func(c *Config) { c.Now = time.Now }))
		start := time.Now()
		out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", func(ctx context.Context, x *Redemption) Outcome {
			<-ctx.Done()
			time.Sleep(keepLimit / 2) // in the bubble
			return Outcome{Failure: "slow"}
		})
		if err != nil || out.Failure != "slow" || time.Since(start) != redeemLimit+keepLimit/2 {
			t.Errorf("%+v, %v after %v", out, err, time.Since(start))
		}
		// There was time left to keep what became of it.
		if out, replayed, err := r.Redeem(t.Context(), "wx1", "code", "state", nil); err != nil || !replayed || out.Failure != "slow" {
			t.Errorf("the second delivery: %+v, %v, %v", out, replayed, err)
		}
	})
}

func TestOutcomeIsSealed(t *testing.T) {
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	work := &counted{out: Outcome{Token: "the token"}}
	redeem := func(r *Redeemer, code string) error {
		_, _, err := r.Redeem(t.Context(), "wx1", code, "state", work.exchange)
		return err
	}
	if err := errors.Join(redeem(r, "one"), redeem(r, "two")); err != nil {
		t.Fatal(err)
	}
	if err := redeem(NewRedeemer(b.manager(t, secrets(newSecret, oldSecret))), "one"); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if err := redeem(NewRedeemer(b.manager(t, secrets(newSecret))), "one"); !errors.Is(err, ErrCodeLost) {
		t.Errorf("with another secret: %v", err)
	}
	// A record that was copied over another one does not open there.
	one, two := codePrefix+hash("wx1", "one"), codePrefix+hash("wx1", "two")
	b.store.values[two] = b.store.values[one]
	if err := redeem(r, "two"); !errors.Is(err, ErrCodeLost) {
		t.Errorf("with another code's record: %v", err)
	}
	b.store.values[two] = []byte("{")
	if err := redeem(r, "two"); err == nil {
		t.Error("an unreadable claim is no error")
	}
	if work.n.Load() != 2 {
		t.Errorf("%d exchanges of two codes", work.n.Load())
	}
}
