package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wxgate/wechat"
)

const (
	// ticketLife is how long a ticket works:
	// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html
	ticketLife = 12 * time.Hour
	// ticketLate is when pushes, one every ten minutes, are asked for; askPause is
	// how often at most, by all replicas together.
	ticketLate = 25 * time.Minute
	askPause   = 10 * time.Minute
	// ticketAlarm is when the log begins to complain.
	ticketAlarm = time.Hour
	// futureLimit is how far ahead of our clock a push may be dated. A ticket from
	// next year would keep all others out until then.
	futureLimit = 10 * time.Minute
	maxTicket   = 1024
)

// ticket is the newest component_verify_ticket.
type ticket struct {
	Ticket     []byte    `json:"ticket"`     // sealed
	CreatedAt  time.Time `json:"created_at"` // by WeChat's clock; what its age is counted from
	ReceivedAt time.Time `json:"received_at"`
}

func (p *Platform) ticketKey() string { return p.key("ticket") }

// takeTicket keeps a ticket if it is newer than the one there is: WeChat repeats
// pushes and delivers them late, and somebody could send an old one again.
// Nothing is minted because a ticket came. The last one goes on working.
func (p *Platform) takeTicket(ctx context.Context, m wechat.Message) error {
	text := m.Field("ComponentVerifyTicket")
	if text == "" || len(text) > maxTicket || m.CreateTime.IsZero() {
		return fmt.Errorf("%w: a ticket push without a ticket or without a time", wechat.ErrPush)
	}
	if m.CreateTime.Sub(p.now()) > futureLimit {
		return fmt.Errorf("%w: a ticket from the future: this machine's clock is wrong", wechat.ErrPush)
	}
	first := false
	_, err := modify(ctx, p, p.ticketKey(), 0, func(t *ticket, found bool) error {
		if found && !m.CreateTime.After(t.CreatedAt) {
			return errNoChange
		}
		first = !found
		*t = ticket{Ticket: p.seal(text, p.ticketKey()), CreatedAt: m.CreateTime, ReceivedAt: p.now()}
		return nil
	})
	if err == nil {
		p.ownToken().forgetRefusal()
	}
	if err == nil && first {
		p.log.Info("WeChat pushed the first component_verify_ticket")
	}
	return err
}

// ownToken is the platform's token (component_access_token).
func (p *Platform) ownToken() tokenSource {
	return tokenSource{p: p, key: p.key("token"), mint: func(ctx context.Context, r tokenRecord) (minted, error) {
		t, raw, err := load[ticket](ctx, p, p.ticketKey())
		if err != nil {
			return minted{}, err
		}
		text := p.open(t.Ticket, p.ticketKey())
		if raw == nil || text == "" {
			return minted{}, ErrNoTicket
		}
		m, err := p.client.ComponentToken(ctx, p.app, text)
		if api, ok := errors.AsType[*wechat.APIError](err); ok && (api.Code == 61005 || api.Code == 61006) {
			return minted{}, fmt.Errorf("%w: %w", ErrNoTicket, err)
		}
		if err == nil && r.Access.MintedAt.IsZero() {
			p.log.Info("the platform has its token; accounts can be authorized now")
		}
		return minted{token: m.Token, life: m.ExpiresIn}, err
	}}
}

// WithToken makes a call with the platform's token, and once more if WeChat called
// that void.
func (p *Platform) WithToken(ctx context.Context, call func(token string) error) error {
	return p.ownToken().with(ctx, call)
}

// watchTicket asks for pushes when none has come for long, and complains. asked is
// false if another replica did so lately.
func (p *Platform) watchTicket(ctx context.Context) (asked bool) {
	t, raw, err := load[ticket](ctx, p, p.ticketKey())
	if err != nil {
		return false // the store's watch has said so
	}
	if raw != nil && p.open(t.Ticket, p.ticketKey()) == "" {
		raw = nil // it was sealed with a secret that is gone
	}
	age := p.now().Sub(t.CreatedAt)
	if raw != nil && age < ticketLate {
		return false
	}
	first, err := p.store.Create(ctx, p.key("asked"), []byte("1"), askPause)
	if err != nil || !first {
		return false
	}
	running, err := p.client.StartPushTicket(ctx, p.app)
	last := "never"
	if raw != nil {
		last = age.Truncate(time.Second).String() + " ago"
	}
	log := p.log.With("last_ticket", last)
	switch {
	case err != nil:
		log.Error("no component_verify_ticket comes, and WeChat could not be asked for one", "error", err, "todo", ticketAdvice(err))
	case running && raw == nil && p.now().Sub(p.started) < ticketLate:
		log.Warn("no component_verify_ticket has come yet; WeChat says that it pushes one every ten minutes")
	case running && age >= ticketAlarm: // or there never was one
		log.Error("WeChat says that it pushes component_verify_ticket, but none arrives here",
			"todo", "check that the authorization-event URL (授权事件接收URL) in the console is this gateway's /.wxgate/component/events, and Token and EncodingAESKey with it; refused pushes are in this log")
	case running:
		log.Warn("the last component_verify_ticket is old, though WeChat says that it pushes them")
	default:
		log.Warn("WeChat had stopped pushing component_verify_ticket; it was asked to go on")
	}
	if raw != nil && age >= ticketLife {
		own, _, _ := load[tokenRecord](ctx, p, p.ownToken().key)
		log.Error("the last component_verify_ticket is void: no login on behalf of any account works when the token that it gave ends",
			"token_expires_at", own.Access.ExpiresAt.UTC().Truncate(time.Second))
	}
	return true
}

// ticketAdvice says what to do when WeChat refuses to push.
func ticketAdvice(err error) string {
	api, refused := errors.AsType[*wechat.APIError](err)
	if !refused {
		return "it is tried again"
	}
	switch api.Code {
	case 40013, 61011:
		return "check WXGATE_COMPONENT_APP_ID"
	case 40001, 40125, 41004:
		return "check WXGATE_COMPONENT_APP_SECRET"
	case 61004:
		return "add this machine's outgoing address to the platform's allow-list (白名单IP地址列表) in the console at open.weixin.qq.com"
	}
	return "see WeChat's list of error codes; the push service can also be started in the console at open.weixin.qq.com"
}
