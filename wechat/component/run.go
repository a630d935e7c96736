package component

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	// workEvery is how often what is due is looked for, careEvery how often the
	// ticket and the platform's token are looked at.
	workEvery = 2 * time.Second
	careEvery = 30 * time.Second
	// workLease is when another replica may do what this one took.
	workLease = 40 * time.Second
	workBatch = 16
)

// Run looks after the platform until ctx ends: it finishes what pushes began,
// asks for a ticket when none comes, keeps the platform's token fresh, so that no
// visitor waits for it, and compares the accounts with WeChat's list once a day.
func (p *Platform) Run(ctx context.Context) {
	defer p.background.Wait()
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { every(ctx, workEvery, p.work) })
	loops.Go(func() { every(ctx, careEvery, p.care) })
}

// every does something at once and then again and again until ctx ends.
func every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Platform) care(ctx context.Context) {
	p.watchTicket(ctx)
	if _, err := p.ownToken().get(ctx); err != nil {
		if !errors.Is(err, ErrNoTicket) && ctx.Err() == nil {
			p.log.Warn("there is no token of the third-party platform; it is tried again", "error", err)
		}
		return
	}
	p.syncDaily(ctx)
}

// work does what is due, on whichever replica it was begun.
func (p *Platform) work(ctx context.Context) {
	jobs, err := p.queue.TakeDue(ctx, p.queueName(), p.now(), workLease, workBatch)
	if err != nil {
		return // the store's watch has said so
	}
	for _, job := range jobs {
		if ctx.Err() != nil {
			return
		}
		if err := p.do(ctx, job); err != nil && ctx.Err() == nil {
			p.log.Warn("what is due for an account did not succeed; it is tried again", "error", err)
		}
	}
}

func (p *Platform) do(ctx context.Context, job string) error {
	ctx, cancel := context.WithTimeout(ctx, besideLimit)
	defer cancel()
	kind, id, _ := strings.Cut(job, "/")
	switch kind {
	case "code":
		_, err := p.settle(ctx, id)
		return err
	case "info":
		return p.describe(ctx, id)
	case "reply":
		return p.reply(ctx, id)
	}
	return nil // a later version's; it comes up again
}
