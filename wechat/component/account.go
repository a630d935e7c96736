package component

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wxgate/wechat"
)

// The states of an account.
const (
	// StatusPending: WeChat told of an authorization whose code is still to be
	// exchanged.
	StatusPending      = "pending"
	StatusAuthorized   = "authorized"
	StatusUnauthorized = "unauthorized"
)

// account is what the store knows of an account beside its token. It stays when
// the authorization ends, so that an old push cannot bring that back.
type account struct {
	AppID  string `json:"appid"`
	Status string `json:"status"`
	// GrantedAt is when the authorization began that the tokens are of. Exact says
	// that WeChat told the time; else it is that of the browser's return, by our
	// clock.
	GrantedAt time.Time `json:"granted_at,omitzero"`
	Exact     bool      `json:"exact,omitempty"`
	Grant     string    `json:"grant,omitempty"` // names the code that it came from
	// Awaits is until when the code of a newer authorization may be exchanged, whose
	// refresh token nobody knows before that and which has voided the old one.
	Awaits time.Time `json:"awaits,omitzero"`
	// RevokedAt is when the last authorization ended, by WeChat's clock: what was
	// granted before that is over. Revoked names the push that told so.
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	Revoked   string    `json:"revoked,omitempty"`
	EndedAt   time.Time `json:"ended_at,omitzero"` // when it was known, for people
	Refresh   []byte    `json:"refresh,omitempty"` // sealed
	Functions []int     `json:"functions,omitempty"`
	Info      *info     `json:"info,omitempty"`
	Events    []Notice  `json:"events,omitempty"` // that the app has not acknowledged
	// Failure is why there are no tokens, in words for the operator.
	Failure string `json:"failure,omitempty"`
}

// info is the account's description of itself.
type info struct {
	Name          string    `json:"name"`
	UserName      string    `json:"user_name"` // original id, gh_…
	Avatar        string    `json:"avatar"`
	Principal     string    `json:"principal"`
	ServiceType   int       `json:"service_type"`
	VerifyType    int       `json:"verify_type"`
	AccountStatus int       `json:"account_status"`
	MiniProgram   bool      `json:"mini_program"`
	At            time.Time `json:"at"`
}

// mayHaveToken says why an account can have no token now.
func (a *account) mayHaveToken() error {
	switch {
	case a == nil || a.Status == StatusUnauthorized:
		return ErrNotAuthorized
	case a.Status == StatusPending:
		return errNotExchanged
	}
	return nil
}

var errNotExchanged = &wechat.UnavailableError{API: "component token", Err: errors.New("the code of the authorization is not exchanged yet")}

// Token is the access token of an account (authorizer_access_token), for
// [wechat.ServerTokens]. Beside the errors of wechat: [ErrNotAuthorized],
// [ErrNoGrant], [ErrNoTicket], and what the store says.
func (p *Platform) Token(ctx context.Context, appid string) (string, error) {
	return p.accountToken(appid).get(ctx)
}

// Drop notes that WeChat called a token void. The next Token looks whether another
// replica has a newer one, before it mints.
func (p *Platform) Drop(appid, token string) { p.accountToken(appid).drop(token) }

func (p *Platform) accountToken(appid string) tokenSource {
	key := p.accountKey(appid)
	return tokenSource{
		p: p, key: key, appid: appid,
		check: func(r tokenRecord) error { return r.Account.mayHaveToken() },
		mint: func(ctx context.Context, r tokenRecord) (minted, error) {
			return p.mintFor(ctx, r.Account, p.open(r.Account.Refresh, key))
		},
	}
}

// mintFor refreshes an account's token. A refresh token that is lost or void is
// read back: WeChat tells it again once the authorization's code was exchanged.
func (p *Platform) mintFor(ctx context.Context, a *account, refresh string) (minted, error) {
	appid := a.AppID
	m, err := minted{}, error(ErrNoGrant)
	if refresh != "" {
		m, err = p.refreshToken(ctx, appid, refresh)
	}
	if !errors.Is(err, ErrNoGrant) && !isRefusal(err, badRefreshToken, notAuthorized) {
		return m, err
	}
	about, asked := p.ask(ctx, appid)
	switch {
	case isRefusal(asked, notAuthorized):
		if err := p.gone(ctx, appid, a); err != nil {
			return minted{}, err
		}
		return minted{}, ErrNotAuthorized
	case asked != nil:
		return minted{}, asked
	case (about.RefreshToken == "" || about.RefreshToken == refresh) && p.now().Before(a.Awaits):
		return minted{}, errNotExchanged
	case about.RefreshToken == "" || about.RefreshToken == refresh:
		return minted{}, p.failed(ctx, appid, ErrNoGrant, noRefreshToken)
	}
	m, err = p.refreshToken(ctx, appid, about.RefreshToken)
	if err != nil {
		return m, err
	}
	p.log.Warn("the refresh token of an account was read back from WeChat", "appid", appid)
	// More may have changed. If that cannot be noted, the token is still the token.
	if err := p.describeLater(ctx, appid); err != nil {
		p.log.Warn("an account is not described anew", "appid", appid, "error", err)
	}
	return m, nil
}

// WeChat's words for what is lost here.
const (
	notAuthorized   = 61003
	badCode         = 61009
	usedCode        = 61010
	badRefreshToken = 61023
)

func isAPIError(err error) bool {
	_, refused := errors.AsType[*wechat.APIError](err)
	return refused
}

func isRefusal(err error, codes ...int) bool {
	api, refused := errors.AsType[*wechat.APIError](err)
	return refused && slices.Contains(codes, api.Code)
}

func (p *Platform) refreshToken(ctx context.Context, appid, refresh string) (m minted, err error) {
	err = p.WithToken(ctx, func(token string) error {
		g, err := p.client.AuthorizerToken(ctx, token, p.app.ID, appid, refresh)
		m = minted{g.AccessToken, g.ExpiresIn, g.RefreshToken}
		return err
	})
	return m, err
}

// ask reads what WeChat says of an account.
func (p *Platform) ask(ctx context.Context, appid string) (about wechat.AuthorizerInfo, err error) {
	err = p.WithToken(ctx, func(token string) error {
		about, err = p.client.AuthorizerInfo(ctx, token, p.app.ID, appid)
		return err
	})
	return about, err
}

// noRefreshToken is for the operator.
const noRefreshToken = "WeChat does not tell its refresh token: it has to authorize again, or to change its permission sets"

// failed notes, for the operator, why an account has no tokens.
func (p *Platform) failed(ctx context.Context, appid string, cause error, words string) error {
	p.log.Error("an account has no tokens", "appid", appid, "todo", words)
	_, err := p.modifyAccount(ctx, appid, func(r *tokenRecord, found bool) error {
		if !found || r.Account.Failure == words {
			return errNoChange
		}
		r.Account.Failure = words
		return nil
	})
	if err != nil {
		return err
	}
	return cause
}

// modifyAccount changes the record of an account. found means that anything was
// known of it; Account is there in any case.
func (p *Platform) modifyAccount(ctx context.Context, appid string, change func(r *tokenRecord, found bool) error) (tokenRecord, error) {
	return modify(ctx, p, p.accountKey(appid), 0, func(r *tokenRecord, _ bool) error {
		found := r.Account != nil
		if !found {
			r.Account = &account{AppID: appid}
		}
		err := change(r, found)
		if err == nil && !found {
			err = p.enlist(ctx, appid)
		}
		return err
	})
}

// gone notes that an account is not authorized any more, as WeChat's API said where
// no push had. seen is what the store said before WeChat was asked: another
// authorization since then stays. When it ended nobody knows, so that nothing is
// too old but what is older than the authorization itself.
func (p *Platform) gone(ctx context.Context, appid string, seen *account) error {
	return p.end(ctx, appid, func(a *account) bool {
		if a.Status == StatusUnauthorized || a.Grant != seen.Grant || a.Grant == "" && !a.GrantedAt.Equal(seen.GrantedAt) {
			return false
		}
		a.RevokedAt, a.Revoked, a.EndedAt = laterOf(a.RevokedAt, a.since()), "", p.now()
		return true
	})
}

// revoke ends an authorization at WeChat's word, unless it began after that.
//
// Where only our clock says when it began, around that time WeChat is asked: the
// push may be a late one about the authorization before.
func (p *Platform) revoke(ctx context.Context, appid string, m wechat.Message) error {
	doubtful := false
	err := p.end(ctx, appid, func(a *account) bool {
		at := m.CreateTime
		doubtful = false
		switch {
		case a.Revoked == m.Key() || at.Before(a.RevokedAt):
			return false // heard of already
		case a.Status == StatusAuthorized && at.Before(a.since()):
			return false // it was authorized again since
		case a.Status == StatusAuthorized && !a.Exact && at.Before(a.GrantedAt.Add(futureLimit)):
			doubtful = true
			return false
		}
		a.RevokedAt, a.Revoked, a.EndedAt = at, m.Key(), at
		return true
	})
	if err == nil && doubtful {
		err = p.describeLater(ctx, appid)
	}
	return err
}

// end ends an authorization if over says so. The record stays, also for an account
// that nothing was known of.
func (p *Platform) end(ctx context.Context, appid string, over func(*account) bool) error {
	ended := false
	_, err := p.modifyAccount(ctx, appid, func(r *tokenRecord, _ bool) error {
		a := r.Account
		authorized := a.Status == StatusAuthorized
		if ended = false; !over(a) {
			return errNoChange
		}
		a.Status, a.Refresh, a.Functions, a.Failure, a.Awaits, r.Access = StatusUnauthorized, nil, nil, "", time.Time{}, access{}
		if ended = authorized; !ended {
			return nil
		}
		event, err := p.newNotice(ctx, NoticeUnauthorized, appid)
		if err != nil {
			return err
		}
		a.post(event)
		return nil
	})
	if err != nil {
		return fmt.Errorf("component: ending an authorization: %w", err)
	}
	p.accountToken(appid).forget()
	if ended {
		p.log.Info("an account ended its authorization", "appid", appid)
	}
	return nil
}

// since is the earliest time at which the present authorization may have begun.
func (a *account) since() time.Time {
	if a.Exact {
		return a.GrantedAt
	}
	return a.GrantedAt.Add(-futureLimit)
}
