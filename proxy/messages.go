package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

const (
	// heedLimit bounds what an event makes us write, heedLease is when another
	// replica may try.
	heedLimit = 4 * time.Second
	heedLease = 10 * time.Second
	// taskPoll is how often a push looks whether another replica is done.
	taskPoll = 100 * time.Millisecond
)

// inbox takes the messages and events of one account: the service account's, at a
// callback URL of its own, or one's that authorized the third-party platform.
//
// Events that concern a user are followed here. Everything is acknowledged, and
// handed to the app if it wants messages.
type inbox struct {
	pushPort
	appID string // whose openids the messages have
	// others are further accounts that events may be about.
	others []string
	app    *messageApp
}

// newInbox is the service account's. The open platform also sends it events about
// its other apps; one that is not configured here knows nobody.
func newInbox(s *Server, push *wechat.Push, appID string, app *messageApp) *inbox {
	b := &inbox{appID: appID, app: app, others: []string{s.cfg.Web.ID, s.cfg.Mobile.ID, s.cfg.Mini.ID}}
	b.pushPort = pushPort{s: s, push: push, readLimit: pushReadLimit, plain: b.bind}
	return b
}

func (b *inbox) serve(v *visit) { b.pushPort.serve(v, b.receive) }

func (b *inbox) receive(v *visit) {
	arrived := b.s.now()
	if e, m, ok := b.open(v); ok {
		b.take(v, arrived, e, m)
	}
}

// take follows a message that is known to be WeChat's, and answers it.
func (b *inbox) take(v *visit, arrived time.Time, e wechat.Envelope, m wechat.Message) {
	if err := b.heed(v, m); err != nil {
		b.s.fail(v, storeUnavailable, err) // WeChat pushes it again
		return
	}
	var reply []byte
	if b.app != nil {
		var p *problem
		var err error
		if reply, p, err = b.relay(v, m, e.XML, arrived); p != nil {
			b.s.fail(v, p, err)
			return
		}
	}
	b.reply(v, e, reply)
}

// bind ties the signature of a request whose body it does not cover to that
// body: that of a plain push, or none. Whoever sees a query, in some access log,
// could else send any message with it.
func (b *inbox) bind(v *visit, body []byte) error {
	q, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil {
		return err // Push has read it before
	}
	same, err := b.s.cfg.Sessions.Bind(v.r.Context(), "push "+b.appID+" "+q.Get("signature"), body, pushMemory)
	if err == nil && !same {
		err = fmt.Errorf("%w: its signature came with another body before", wechat.ErrPush)
	}
	return err
}

// heed follows an event that concerns a user. Without an error it is stored,
// once for all deliveries of the event, and may be acknowledged.
func (b *inbox) heed(v *visit, m wechat.Message) error {
	var follow func(context.Context, wechat.Message) error
	switch m.Event {
	case wechat.EventRevoke, wechat.EventCancellation:
		follow = b.revoked
	case wechat.EventUserInfoModified:
		follow = b.profileModified
	case wechat.EventSubscribe:
		follow = b.subscribed
	default:
		return nil
	}
	// It is carried through even if WeChat hangs up meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), heedLimit)
	defer cancel()
	task, err := b.await(ctx, "account event "+b.appID+" "+m.Key())
	if err != nil || task.Done {
		return err
	}
	if err := follow(ctx, m); err != nil {
		return errors.Join(err, task.Release(ctx))
	}
	return task.Finish(ctx, nil)
}

// await claims a task and waits while another replica is at it.
func (b *inbox) await(ctx context.Context, name string) (*session.Task, error) {
	for {
		task, err := b.s.cfg.Sessions.Claim(ctx, name, heedLease, pushMemory)
		if err != nil || task.Mine || task.Done {
			return task, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("another replica is still at this event")
		case <-time.After(taskPoll):
		}
	}
}

// account is whom an event is about.
func (b *inbox) account(m wechat.Message) (appID, openID string) {
	appID = b.appID
	if named := m.Field("AppID"); named != "" && slices.Contains(b.others, named) {
		appID = named
	}
	return appID, cmp.Or(m.OpenID(), m.FromUserName)
}

// revoked: the person took the consent back, or closed the account.
func (b *inbox) revoked(ctx context.Context, m wechat.Message) error {
	appID, openID := b.account(m)
	u, found, err := b.s.cfg.Users.Find(ctx, appID, openID)
	if err != nil || !found {
		return err
	}
	if a := u.Account(appID, openID); a != nil && superseded(m, a.LastSeen) && (u.Profile == nil || superseded(m, u.Profile.UpdatedAt)) {
		b.s.log.Info("the person logged in again since this event; it is left alone", "event", m.Event, "user", u.ID)
		return nil
	}
	if found, err = b.s.revoke(ctx, identity.Revocation{AppID: appID, OpenID: openID, Reason: m.Event}); found {
		b.s.log.Info("the person took the consent back in WeChat", "event", m.Event, "user", u.ID)
	}
	return unlessGone(err)
}

// profileModified: WeChat took offence at name or picture.
func (b *inbox) profileModified(ctx context.Context, m wechat.Message) error {
	appID, openID := b.account(m)
	u, found, err := b.s.cfg.Users.Find(ctx, appID, openID)
	if err != nil || !found || u.Profile == nil || superseded(m, u.Profile.UpdatedAt) {
		return err
	}
	_, err = b.s.clearProfile(ctx, appID, openID)
	return unlessGone(err)
}

// subscribed: WeChat tells more about followers. Strangers are not asked about;
// whoever logs in later is asked about then.
func (b *inbox) subscribed(ctx context.Context, m wechat.Message) error {
	u, found, err := b.s.cfg.Users.Find(ctx, b.appID, m.FromUserName)
	if err != nil || !found {
		return err
	}
	b.s.followers.afterSubscribe(ctx, b.appID, m.FromUserName, u)
	return nil
}

// eventSlack is how much later than an event something has to be known to have
// happened to count as later. The two times are of different clocks; pushes are
// refused if they are farther apart than this.
const eventSlack = 10 * time.Minute

// superseded reports that something we took note of is younger than an event, so
// that the event, which WeChat held back or sends again, is no news. The times of
// logins are noted once an hour, and an event that is wrongly taken for news
// costs the person one more login, while one wrongly taken for old would leave
// data in use that must not be used any more: in doubt it is news.
func superseded(m wechat.Message, since time.Time) bool {
	return !m.CreateTime.IsZero() && since.Sub(m.CreateTime) > eventSlack
}

// unlessGone drops the errors of a user who is no more since we looked.
func unlessGone(err error) error {
	if errors.Is(err, identity.ErrErased) || errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	return err
}
