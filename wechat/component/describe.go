package component

import (
	"context"
	"errors"
	"time"

	"wxgate/wechat"
)

func infoJob(appid string) string { return "info/" + appid }

// describeLater asks what an account says of itself, beside. Nothing waits for
// that but the operator's list and the messages, which are told by it apart.
func (p *Platform) describeLater(ctx context.Context, appid string) error {
	if err := p.later(ctx, infoJob(appid)); err != nil {
		return err
	}
	p.beside(ctx, func(ctx context.Context) { p.describeQuietly(ctx, appid) })
	return nil
}

// describeQuietly is for those whom nobody waits for: the queue tries again.
func (p *Platform) describeQuietly(ctx context.Context, appid string) {
	if err := p.describe(ctx, appid); err != nil && ctx.Err() == nil {
		p.log.Info("WeChat did not describe an account; it is asked again", "appid", appid, "error", err)
	}
}

// describe reads an account's description, and its refresh token if that is not
// known.
func (p *Platform) describe(ctx context.Context, appid string) error {
	r, raw, err := load[tokenRecord](ctx, p, p.accountKey(appid))
	if err != nil {
		return err
	}
	if raw == nil || r.Account == nil || r.Account.Status != StatusAuthorized {
		return p.queue.Done(ctx, p.queueName(), infoJob(appid))
	}
	about, err := p.ask(ctx, appid)
	if err != nil && !isRefusal(err, notAuthorized) {
		again := p.queue.Schedule(ctx, p.queueName(), infoJob(appid), p.now().Add(backOff(p.now().Sub(r.Account.GrantedAt))))
		return errors.Join(err, again)
	}
	if err == nil {
		if err := p.keepInfo(ctx, appid, about, r.Account.Grant); err != nil {
			return err
		}
	} else if err := p.gone(ctx, appid, r.Account); err != nil {
		return err
	}
	return p.queue.Done(ctx, p.queueName(), infoJob(appid))
}

func (p *Platform) keepInfo(ctx context.Context, appid string, about wechat.AuthorizerInfo, grant string) error {
	key := p.accountKey(appid)
	_, err := p.modifyAccount(ctx, appid, func(r *tokenRecord, found bool) error {
		if !found || r.Account.Status != StatusAuthorized || r.Account.Grant != grant {
			return errNoChange // it granted anew meanwhile, and is asked about that
		}
		r.Account.Info = &info{
			Name: about.Name, UserName: about.UserName, Avatar: about.Avatar, Principal: about.Principal,
			ServiceType: about.ServiceType, VerifyType: about.VerifyType, AccountStatus: about.AccountStatus,
			MiniProgram: about.MiniProgram, At: p.now().UTC().Truncate(time.Second),
		}
		if len(about.Functions) > 0 {
			r.Account.Functions = about.Functions
		}
		if about.RefreshToken != "" && p.open(r.Account.Refresh, key) == "" {
			r.Account.Refresh, r.Account.Failure = p.seal(about.RefreshToken, key), ""
		}
		return nil
	})
	return err
}

// Describe returns what is known of an account, and asks WeChat what it is if that
// is not: once for all who want to know at a time, and not again for a while.
func (p *Platform) Describe(ctx context.Context, appid string) (Authorizer, bool, error) {
	a, found, err := p.Authorizer(ctx, appid)
	if err != nil || !found || a.Status != StatusAuthorized || a.DescribedAt != nil {
		return a, found, err
	}
	_, err = share(ctx, p, infoJob(appid), "api_get_authorizer_info", besideLimit, func(ctx context.Context) (struct{}, error) {
		if err := p.undescribed(appid); err != nil {
			return struct{}{}, err
		}
		err := p.describe(ctx, appid)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen[infoJob(appid)] = seenToken{refusal: err, look: p.now().Add(refusalLife)}
		return struct{}{}, err
	})
	if err != nil {
		return a, true, err
	}
	return p.Authorizer(ctx, appid)
}

// undescribed is why an account could not be described a moment ago.
func (p *Platform) undescribed(appid string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seen := p.seen[infoJob(appid)]; p.now().Before(seen.look) {
		return seen.refusal
	}
	return nil
}
