package component

import (
	"context"

	"wxgate/wechat"
)

// Exchange uses up the code of a login on behalf of an account. It needs nothing
// but the platform's token: neither the account's token nor its refresh token. If
// WeChat calls the platform's token void, the code is untouched and is sent once
// more. Beside the errors of [wechat.Client.ExchangeOnBehalf], [ErrNoTicket] and
// what the store says.
func (p *Platform) Exchange(ctx context.Context, appid, code string) (t wechat.Token, err error) {
	err = p.onBehalf(ctx, appid, func(b wechat.Behalf) error {
		t, err = p.client.ExchangeOnBehalf(ctx, b, code)
		return err
	})
	return t, err
}

// Refresh gives a person's access token a new life, as [wechat.Client.Refresh].
func (p *Platform) Refresh(ctx context.Context, appid, refreshToken string) (t wechat.Token, err error) {
	err = p.onBehalf(ctx, appid, func(b wechat.Behalf) error {
		t, err = p.client.RefreshOnBehalf(ctx, b, refreshToken)
		return err
	})
	return t, err
}

// Code2Session uses up a code of wx.login in a mini program that authorized the
// platform, as Exchange.
func (p *Platform) Code2Session(ctx context.Context, appid, code string) (s wechat.Session, err error) {
	err = p.onBehalf(ctx, appid, func(b wechat.Behalf) error {
		s, err = p.client.Code2SessionOnBehalf(ctx, b, code)
		return err
	})
	return s, err
}

func (p *Platform) onBehalf(ctx context.Context, appid string, call func(wechat.Behalf) error) error {
	return p.WithToken(ctx, func(token string) error {
		return call(wechat.Behalf{AppID: appid, ComponentAppID: p.app.ID, ComponentToken: token})
	})
}
