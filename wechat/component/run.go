package component

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"wxgate/wechat"
)

const (
	// workEvery is how often what is due is looked for, careEvery how often the
	// ticket and the platform's token are looked at.
	workEvery = 2 * time.Second
	careEvery = 30 * time.Second
	// carePause is the longest pause between two attempts to get a token for nobody.
	carePause = 5 * time.Minute
	// workLease is when another replica may do what this one took.
	workLease = 40 * time.Second
	workBatch = 8 // at once, or the leases of the last would end before their turn
	// foreignPause is when a job of another version is looked at again.
	foreignPause = 10 * time.Minute
)

// Run looks after the platform until ctx ends: it finishes what pushes began,
// asks for a ticket when none comes, keeps the platform's token fresh, so that no
// visitor waits for it, and compares the accounts with WeChat's list once a day.
func (p *Platform) Run(ctx context.Context) {
	defer p.background.Wait()
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { every(ctx, workEvery, p.work) })
	var c caretaker
	loops.Go(func() { every(ctx, careEvery, func(ctx context.Context) { p.care(ctx, &c) }) })
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

// caretaker is what Run remembers between two looks.
type caretaker struct {
	next  time.Time // while there is no token, when to look again
	pause time.Duration
	told  time.Time // when the log was told of it last
	again bool      // there was a token before, in this process
}

func (p *Platform) care(ctx context.Context, c *caretaker) {
	p.watchTicket(ctx)
	now := p.now()
	if now.Before(c.next) {
		return
	}
	_, err := p.ownToken().get(ctx)
	if err != nil {
		c.pause = min(max(2*c.pause, careEvery), carePause)
		c.next = now.Add(c.pause)
		// That there is no ticket was said of the ticket.
		if !errors.Is(err, ErrNoTicket) && ctx.Err() == nil && now.Sub(c.told) >= askPause {
			c.told = now
			p.tokenless(err)
		}
		return
	}
	if !c.told.IsZero() {
		p.log.Info("the third-party platform has its token again")
	}
	if !c.again {
		p.readBackLost(ctx)
	}
	*c = caretaker{again: true}
	p.syncDaily(ctx)
}

// tokenless tells the operator why nothing works.
func (p *Platform) tokenless(err error) {
	if api, refused := errors.AsType[*wechat.APIError](err); refused && api.Kind() == wechat.KindConfig {
		p.log.Error("there is no token of the third-party platform", "error", err, "todo", ticketAdvice(err))
		return
	}
	p.log.Warn("there is no token of the third-party platform; it is tried again", "error", err)
}

// readBackLost reads refresh tokens back that were sealed with a secret that is gone.
func (p *Platform) readBackLost(ctx context.Context) {
	lost := 0
	err := p.accounts(ctx, func(key string, r tokenRecord) error {
		if a := r.Account; a.Status == StatusAuthorized && len(a.Refresh) > 0 && p.open(a.Refresh, key) == "" {
			lost++
		}
		return nil
	})
	if err != nil || lost == 0 {
		return
	}
	p.log.Warn("refresh tokens do not open: WXGATE_SECRETS has changed, and the former secret is gone; they are read back from WeChat", "accounts", lost)
	if _, err := p.Sync(ctx); err != nil && ctx.Err() == nil {
		p.log.Warn("they could not be read back; each is when it is needed", "error", err)
	}
}

// work does what is due, on whichever replica it was begun.
func (p *Platform) work(ctx context.Context) {
	jobs, err := p.queue.TakeDue(ctx, p.queueName(), p.now(), workLease, workBatch)
	if err != nil {
		return // the store's watch has said so
	}
	var all sync.WaitGroup
	for _, job := range jobs {
		all.Go(func() { p.do(ctx, job) })
	}
	all.Wait()
}

// do does a job, or says why not; the queue has it still. One that is not known is
// a later version's.
func (p *Platform) do(ctx context.Context, job string) {
	ctx, cancel := context.WithTimeout(ctx, besideLimit)
	defer cancel()
	kind, id, _ := strings.Cut(job, "/")
	switch kind {
	case "code":
		p.settleQuietly(ctx, id)
	case "info":
		p.describeQuietly(ctx, id)
	case "reply":
		p.replyQuietly(ctx, id)
	default:
		_ = p.queue.Schedule(ctx, p.queueName(), job, p.now().Add(foreignPause))
	}
}
