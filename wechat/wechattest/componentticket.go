package wechattest

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	verifyTicketLife = 12 * time.Hour
	maxTickets       = 500 // that are remembered, about three days of them

	// firstTicketPause is between the tickets for a platform that has not accepted
	// any yet: it may have been started later than the simulator.
	firstTicketPause = 3 * time.Second
)

// VerifyTicket is a component_verify_ticket.
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html
type VerifyTicket struct {
	Value       string
	At, Expires time.Time
}

// ErrTicketsStopped is what PushTicket finds after [Behaviour.StopTicketsAfter].
var ErrTicketsStopped = errors.New("the ticket service was stopped: api_start_push_ticket starts it again")

// IssueTicket makes a ticket without pushing it. It panics if it does not know the
// platform.
func (s *Server) IssueTicket(componentID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[componentID]
	if c == nil {
		panic("wechattest: " + noComponent(componentID).Error())
	}
	return s.newTicket(c).Value
}

func (s *Server) newTicket(c *component) VerifyTicket {
	now := s.now()
	t := VerifyTicket{"ticket@@@" + random(80), now, now.Add(verifyTicketLife)}
	if n := len(c.tickets); s.behaviour.SameTicket && n > 0 {
		t.Value = c.tickets[n-1].Value
		c.tickets = c.tickets[:n-1]
	}
	if len(c.tickets) >= maxTickets {
		c.tickets = c.tickets[1:]
	}
	c.tickets = append(c.tickets, t)
	return t
}

// PushTicket makes a ticket and pushes it, until an attempt is answered with
// success or [Behaviour.EventAttempts] were made.
func (s *Server) PushTicket(ctx context.Context, componentID string) (Pushed, error) {
	s.mu.Lock()
	c := s.components[componentID]
	if c == nil {
		s.mu.Unlock()
		return failedPush(noComponent(componentID))
	}
	if c.stopped {
		s.mu.Unlock()
		return failedPush(ErrTicketsStopped)
	}
	t := s.newTicket(c)
	c.pushedAt, c.asked = t.At, false
	s.mu.Unlock()
	p, err := s.PushComponent(ctx, componentID, TicketPush(t))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range p.Attempts {
		if a.Err != nil {
			c.alarms++
		}
	}
	if err == nil {
		c.failed, c.accepted = 0, true
	} else if c.failed++; s.behaviour.StopTicketsAfter > 0 && c.failed >= s.behaviour.StopTicketsAfter {
		c.stopped = true
	}
	return p, err
}

// TicketPush is the push of a ticket, for PushComponent to send it again, late or
// spoilt.
func TicketPush(t VerifyTicket) ComponentPush {
	return ComponentPush{
		InfoType: "component_verify_ticket", CreateTime: t.At,
		Fields: []string{"ComponentVerifyTicket", t.Value},
	}
}

// RunTickets pushes tickets to all third-party platforms with an EventURL until
// ctx ends, the first at once and then one every ten minutes of the simulator's
// clock, or every [Behaviour.TicketMinutes]; every few seconds until one was
// accepted, and whenever the platform asks for one. It returns when no push is
// under way any more.
func (s *Server) RunTickets(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	pushing := map[string]chan struct{}{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, id := range s.dueTickets() {
			if busy := pushing[id]; busy != nil {
				select {
				case <-busy:
				default:
					continue
				}
			}
			done := make(chan struct{})
			pushing[id] = done
			running.Go(func() {
				defer close(done)
				s.PushTicket(ctx, id) // the journal has what came of it
			})
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (s *Server) dueTickets() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.componentOrder {
		c := s.components[id]
		every := time.Duration(cmp.Or(s.behaviour.TicketMinutes, 10)) * time.Minute
		if !c.accepted {
			every = min(every, firstTicketPause)
		}
		if c.EventURL != "" && !c.stopped && (c.asked || s.now().Sub(c.pushedAt) >= every) {
			ids = append(ids, id)
		}
	}
	return ids
}

// judge answers for a ticket: 0, or the errcode for an old or an unknown one.
func (c *component) judge(ticket string, now time.Time) (errcode int) {
	for _, t := range c.tickets {
		if t.Value == ticket {
			if now.Before(t.Expires) {
				return 0
			}
			return 61005
		}
	}
	return 61006
}
