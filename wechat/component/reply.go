package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wxgate/wechat"
)

// replyKeep is how long a reply is tried: WeChat's test waits some seconds.
const replyKeep = time.Hour

type replyRecord struct {
	Code   []byte    `json:"code"` // sealed
	AppID  string    `json:"appid"`
	OpenID string    `json:"openid"`
	At     time.Time `json:"at"`
	Sent   bool      `json:"sent,omitempty"`
}

func replyJob(id string) string { return "reply/" + id }

// ReplyLater is a step of WeChat's full-network release test
// (https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/releases_instructions.html):
// the code is exchanged, and the tester gets a customer-service message made of it.
// Without an error both are noted, and happen beside.
func (p *Platform) ReplyLater(ctx context.Context, appid, openid, code string) error {
	if !ValidAppID(appid) || openid == "" || code == "" || len(code) > maxCode {
		return fmt.Errorf("%w: a release test without a code or a tester", wechat.ErrPush)
	}
	now := p.now()
	if _, err := p.keepCode(ctx, grantCode{Code: code, AppID: appid, At: now, Until: now.Add(codeLife)}); err != nil {
		return err
	}
	id := hash(openid + " " + code)
	key := p.key("reply", id)
	r := replyRecord{Code: p.seal(code, key), AppID: appid, OpenID: openid, At: now}
	if _, err := swap(ctx, p, key, nil, r, replyKeep); err != nil {
		return err // a second delivery finds the first one's
	}
	if err := p.later(ctx, replyJob(id)); err != nil {
		return err
	}
	p.beside(ctx, func(ctx context.Context) { p.replyQuietly(ctx, id) })
	return nil
}

// replyQuietly is for those whom nobody waits for: the queue tries again.
func (p *Platform) replyQuietly(ctx context.Context, id string) {
	if err := p.reply(ctx, id); err != nil && ctx.Err() == nil {
		p.log.Warn("the release test is not answered yet; it is tried again", "error", err)
	}
}

// reply sends what ReplyLater noted.
func (p *Platform) reply(ctx context.Context, id string) error {
	_, err, _ := p.flights.Do(replyJob(id), func() (any, error) { return nil, p.replyNow(ctx, id) })
	return err
}

func (p *Platform) replyNow(ctx context.Context, id string) error {
	key := p.key("reply", id)
	r, raw, err := load[replyRecord](ctx, p, key)
	code := p.open(r.Code, key)
	switch {
	case err != nil:
		return err
	case raw == nil || r.Sent || code == "":
		return p.queue.Done(ctx, p.queueName(), replyJob(id))
	}
	// A code that was used before is no reason to be silent, if the account has
	// tokens by now.
	_, err = p.settle(ctx, hash(code))
	if err == nil {
		err = p.accountToken(r.AppID).with(ctx, func(token string) error {
			return p.client.SendText(ctx, token, r.OpenID, code+"_from_api")
		})
	}
	if err != nil {
		again := p.queue.Schedule(ctx, p.queueName(), replyJob(id), p.now().Add(backOff(p.now().Sub(r.At))))
		return errors.Join(err, again)
	}
	r.Sent = true
	if _, err := swap(ctx, p, key, raw, r, replyKeep); err != nil {
		return err
	}
	p.log.Info("the release test's message was sent", "appid", r.AppID)
	return p.queue.Done(ctx, p.queueName(), replyJob(id))
}
