package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wxgate/wechat"
)

// exchange asks WeChat what a code stands for, once, and stores that before it
// notes that the code is done. A process that is killed in between leaves a used
// code behind; then the authorization is read back.
func (p *Platform) exchange(ctx context.Context, id string, r codeRecord) (codeRecord, error) {
	key := p.key("code", id)
	result, err := p.queryAuth(ctx, id, r, p.open(r.Code, key))
	late := p.now().Sub(r.Until) > giveUp
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if err != nil && !errors.Is(err, ErrCode) && !late {
		// Later, by whoever the queue gives it to.
		_, cleared := modify(write, p, key, codeKeep, func(r *codeRecord, found bool) error {
			r.Lease = time.Time{}
			return nil
		})
		again := p.queue.Schedule(write, p.queueName(), codeJob(id), p.now().Add(backOff(p.now().Sub(r.At))))
		return r, errors.Join(err, cleared, again)
	}
	switch {
	case errors.Is(err, errEnded):
		p.log.Info("the code of an authorization came after its end; nothing is lost", "appid", r.AppID)
	case err != nil:
		p.log.Error("an authorization code is lost", "appid", r.AppID, "error", err,
			"todo", "the account has to authorize again, or to change its permission sets; POST /admin/component/sync shows whether that is needed")
	}
	if err != nil && r.AppID != "" {
		if err := p.notComing(write, r.AppID, err); err != nil {
			return r, err
		}
	}
	done, failed := modify(write, p, key, codeKeep, func(r *codeRecord, found bool) error {
		r.Lease, r.Done, r.Result = time.Time{}, true, result
		if err != nil {
			r.Failure = "WeChat does not accept the code"
		}
		return nil
	})
	if failed != nil {
		return r, failed
	}
	// Its push may have come meanwhile.
	if failed := p.dateGrant(write, id, done); failed != nil {
		return r, failed
	}
	return done, p.queue.Done(write, p.queueName(), codeJob(id))
}

// backOff is how long something of that age waits for its next attempt.
func backOff(age time.Duration) time.Duration { return min(max(age, time.Second), time.Minute) }

// notComing ends the wait for an authorization whose code is worth nothing.
func (p *Platform) notComing(ctx context.Context, appid string, cause error) error {
	_, err := p.modifyAccount(ctx, appid, func(r *tokenRecord, found bool) error {
		a := r.Account
		switch {
		case !found || a.Status != StatusPending || errors.Is(cause, errEnded):
			return errNoChange
		case isRefusal(cause, notAuthorized):
			a.Status, a.EndedAt = StatusUnauthorized, p.now()
		case a.Failure == "":
			a.Failure = noRefreshToken
		}
		a.Awaits = time.Time{}
		return nil
	})
	return err
}

// queryAuth returns the appid of the account whose authorization is stored now.
func (p *Platform) queryAuth(ctx context.Context, id string, r codeRecord, code string) (appid string, err error) {
	if r.AppID != "" {
		known, _, err := load[tokenRecord](ctx, p, p.accountKey(r.AppID))
		if err != nil {
			return "", err
		}
		if a := known.Account; a != nil && r.Exact && r.At.Before(a.RevokedAt) {
			return "", errEnded
		}
		if a := known.Account; a != nil && r.Exact && a.Status == StatusAuthorized && a.Exact && r.At.Before(a.GrantedAt) && p.open(a.Refresh, p.accountKey(r.AppID)) != "" {
			return r.AppID, nil // a later one is stored; this one would void its token
		}
	}
	if r.Tried {
		// By one who may have stored the answer and died after that.
		appid, err := p.granted(ctx, id)
		if err != nil {
			return "", err
		}
		if appid != "" {
			return appid, p.describeLater(ctx, appid)
		}
	}
	if code == "" {
		return p.readBack(ctx, id, r, ErrCode)
	}
	var g wechat.Grant
	err = p.WithToken(ctx, func(token string) error {
		g, err = p.client.QueryAuth(ctx, token, p.app.ID, code)
		return err
	})
	switch {
	case isRefusal(err, badCode, usedCode):
		return p.readBack(ctx, id, r, err)
	case isRefusal(err, notAuthorized):
		return "", fmt.Errorf("%w: %w", ErrCode, err)
	case err != nil:
		return "", err
	}
	return g.AppID, p.grant(ctx, id, r, g)
}

// granted is the account whose authorization came from a code, "" for none.
func (p *Platform) granted(ctx context.Context, id string) (appid string, err error) {
	err = p.accounts(ctx, func(_ string, r tokenRecord) error {
		if r.Account.Grant == id {
			appid = r.Account.AppID
		}
		return nil
	})
	return appid, err
}

// readBack is for a code that WeChat does not take any more. If it was exchanged,
// by a process that died before it could store the answer, WeChat tells the refresh
// token again; if it never was, it does not.
func (p *Platform) readBack(ctx context.Context, id string, r codeRecord, cause error) (appid string, err error) {
	tried := r.Tried
	if r, _, err = load[codeRecord](ctx, p, p.key("code", id)); err != nil {
		return "", err // its push may have come meanwhile
	}
	if r.AppID == "" {
		if !tried {
			return "", fmt.Errorf("%w: %w", ErrCode, cause)
		}
		report, err := p.Sync(ctx)
		if err == nil && report.Added+report.Restored == 0 {
			err = fmt.Errorf("%w: %w", ErrCode, cause)
		}
		return "", err
	}
	about, err := p.ask(ctx, r.AppID)
	switch {
	case isRefusal(err, notAuthorized):
		return "", fmt.Errorf("%w: %w", ErrCode, err)
	case err != nil:
		return "", err
	case about.RefreshToken == "":
		return "", p.failed(ctx, r.AppID, fmt.Errorf("%w: %w", ErrCode, cause),
			"WeChat does not take the code of its authorization. "+noRefreshToken)
	}
	return r.AppID, p.grant(ctx, id, r, wechat.Grant{AppID: r.AppID, RefreshToken: about.RefreshToken, Functions: about.Functions})
}

// grant stores an authorization, with whatever tokens came with it, unless it is
// older than what is known.
func (p *Platform) grant(ctx context.Context, id string, c codeRecord, g wechat.Grant) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	key, now := p.accountKey(g.AppID), p.now()
	stored, again := false, false
	_, err := p.modifyAccount(ctx, g.AppID, func(r *tokenRecord, _ bool) error {
		a := r.Account
		authorized := a.Status == StatusAuthorized
		if authorized && a.Grant == id && p.open(a.Refresh, key) != "" {
			stored = false // by another replica, after this one's lease
			return errNoChange
		}
		if stored = !(c.Exact && (c.At.Before(a.RevokedAt) || authorized && a.Exact && c.At.Before(a.GrantedAt))); !stored {
			return errNoChange
		}
		a.Status, a.GrantedAt, a.Exact, a.Grant = StatusAuthorized, c.At, c.Exact, id
		a.Functions, a.Failure, a.Awaits = g.Functions, "", time.Time{}
		if g.RefreshToken != "" {
			a.Refresh = p.seal(g.RefreshToken, key)
		}
		r.Access = access{}
		if g.AccessToken != "" {
			r.Access = p.access(key, g.AccessToken, now, g.ExpiresIn)
		}
		kind := NoticeAuthorized
		if again = authorized; again {
			kind = NoticeUpdated
		}
		event, err := p.newNotice(ctx, kind, g.AppID)
		if err != nil {
			return err
		}
		event.Functions = g.Functions
		a.post(event)
		return nil
	})
	if err != nil || !stored {
		return err
	}
	p.accountToken(g.AppID).forget()
	what := "an account is authorized"
	if again {
		what = "an account authorized again, maybe for other permission sets"
	}
	p.log.Info(what, "appid", g.AppID, "functions", len(g.Functions), "refresh_token", g.RefreshToken != "")
	return p.describeLater(ctx, g.AppID)
}
