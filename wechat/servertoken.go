package wechat

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"
)

const (
	apiStableToken = "cgi-bin/stable_token"
	apiFollower    = "cgi-bin/user/info"
	apiTicket      = "cgi-bin/ticket/getticket"

	// margin is how long before its end a token or ticket is given up. In its
	// last five minutes WeChat hands out the next token, while both work.
	margin = 5 * time.Minute
	// ticketLife is WeChat's documented life of a jsapi_ticket.
	ticketLife = 2 * time.Hour
)

// ServerTokens makes the calls that an account makes for itself, not for a
// person, and keeps what they need: one access token and one jsapi_ticket for
// each appid, in memory. It is safe for concurrent use.
//
// The token is a stable_token. WeChat gives every process the same one until its
// last five minutes and isolates it from /cgi-bin/token, so that neither replicas
// nor the owner's other systems void each other's tokens. It is never asked to
// refresh it by force, which would do just that.
//
// An [App] without a secret is an account that authorized a third-party platform.
// Its token comes from the [Lender], which keeps it; here is only its jsapi_ticket.
//
// All errors are [*APIError] and [*UnavailableError], and those of the Lender;
// SetMenu and Do have one more each. A refusal is remembered for 10 seconds. Most calls are refused to addresses
// that are not on the account's allow-list (40164), with which a login still works.
type ServerTokens struct {
	client  *Client
	lender  Lender
	tokens  keeper
	tickets keeper
}

// Lender has the access tokens of accounts that authorized a third-party platform.
// It is called by many at a time.
type Lender interface {
	// Token returns the authorizer_access_token of an account.
	Token(ctx context.Context, appid string) (string, error)
	// Drop says that WeChat called a token void. It may have been replaced since.
	Drop(appid, token string)
}

// errNoLender tells of an App without a secret where no Lender is.
var errNoLender = errors.New("wechat: account without a secret, and no third-party platform to lend its token")

// NewServerTokens returns ServerTokens that call through c. It makes no call.
// Without a third-party platform lender is nil; then each App needs its secret.
func NewServerTokens(c *Client, lender Lender) *ServerTokens {
	return &ServerTokens{
		client:  c,
		lender:  lender,
		tokens:  keeper{api: apiStableToken, now: c.now},
		tickets: keeper{api: apiTicket, now: c.now},
	}
}

// Token returns the account's access token. POST /cgi-bin/stable_token, WeChat
// docs: https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken
//
// Whoever is told that it is void (see [Void]) calls Drop and asks once more.
func (t *ServerTokens) Token(ctx context.Context, app App) (string, error) {
	if app.Secret == "" {
		if t.lender == nil {
			return "", errNoLender
		}
		return t.lender.Token(ctx, app.ID)
	}
	return t.tokens.get(ctx, app, func(ctx context.Context) (token string, life time.Duration, err error) {
		err = t.client.call(ctx, request{
			api: apiStableToken,
			body: map[string]any{
				"grant_type": "client_credential",
				"appid":      app.ID,
				"secret":     app.Secret,
				// The default, but a call without it was seen to be refused (41002).
				"force_refresh": false,
			},
			hide: []string{"secret"},
		}, func(r reply) error {
			token, life = r.text("access_token"), r.seconds("expires_in")-margin
			if token == "" {
				return errors.New("answer without access_token")
			}
			return nil
		})
		return token, life, err
	})
}

// Drop forgets a token that WeChat called void, unless it has been replaced
// already.
func (t *ServerTokens) Drop(app App, token string) {
	switch {
	case app.Secret != "":
		t.tokens.drop(app, token)
	case t.lender != nil:
		t.lender.Drop(app.ID, token)
	}
}

// Expiry tells when the token that is held for app ends, by what WeChat said. There
// is none before a call needed one, after WeChat called it void, and when it was
// given up, five minutes before its end. Tokens that the [Lender] keeps are not
// held here. It makes no call.
func (t *ServerTokens) Expiry(app App) (time.Time, bool) {
	v, found := t.tokens.look(app)
	return v.until.Add(margin), found && v.err == nil
}

// Void tells whether err says that a server token is void, expired or replaced:
// errcode 40001, 40014 or 42001.
func Void(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && slices.Contains([]int{40001, 40014, 42001}, e.Code)
}

// with makes a call that needs the token.
func (t *ServerTokens) with(ctx context.Context, app App, call func(token string) error) error {
	return WithToken(
		func() (string, error) { return t.Token(ctx, app) },
		func(token string) { t.Drop(app, token) },
		call,
	)
}

// WithToken makes a call that needs a token, and if that turns out void, once more
// with the next one: get hands out the token, drop is told of a void one.
func WithToken(get func() (string, error), drop func(token string), call func(token string) error) error {
	token, err := get()
	if err != nil {
		return err
	}
	if err := call(token); !Void(err) {
		return err
	}
	drop(token)
	if token, err = get(); err != nil {
		return err
	}
	return call(token)
}

// Follower tells whether a person follows a service account, and the unionid if
// the account is bound to an open-platform account. GET /cgi-bin/user/info,
// WeChat docs: https://developers.weixin.qq.com/doc/service/guide/product/unionid.md
//
// It is the way to the unionid of a person who logged in silently. That of people
// who do not follow is usually not given; an answer about another openid is
// refused with [ErrOtherPerson].
func (t *ServerTokens) Follower(ctx context.Context, app App, openid string) (subscribed bool, unionid string, err error) {
	err = t.with(ctx, app, func(token string) error {
		return t.client.call(ctx, request{
			api:   apiFollower,
			query: url.Values{"access_token": {token}, "openid": {openid}, "lang": {"zh_CN"}},
			hide:  []string{"access_token", "openid"},
		}, func(r reply) error {
			about, union, err := r.ids()
			switch {
			case err != nil:
				return err
			case about != openid:
				return ErrOtherPerson
			}
			n, _ := r.number("subscribe")
			subscribed, unionid = n == 1, union
			return nil
		})
	})
	if err != nil {
		return false, "", err
	}
	return subscribed, unionid, nil
}

// JSAPITicket returns the ticket that [JSAPISignature] signs with. GET
// /cgi-bin/ticket/getticket, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/invoice/auth/api_getticket.html
//
// Its quota is small, so it is kept for its life of two hours but five minutes,
// counted from the call that brought it.
func (t *ServerTokens) JSAPITicket(ctx context.Context, app App) (string, error) {
	return t.tickets.get(ctx, app, func(ctx context.Context) (ticket string, life time.Duration, err error) {
		err = t.with(ctx, app, func(token string) error {
			return t.client.call(ctx, request{
				api:   apiTicket,
				query: url.Values{"access_token": {token}, "type": {"jsapi"}},
				hide:  []string{"access_token"},
			}, func(r reply) error {
				ticket, life = r.text("ticket"), min(r.seconds("expires_in"), ticketLife)-margin
				if ticket == "" {
					return errors.New("answer without ticket")
				}
				return nil
			})
		})
		return ticket, life, err
	})
}
