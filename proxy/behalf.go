package proxy

import (
	"cmp"
	"context"
	"errors"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
)

// account is what a person logs in to at WeChat.
type account struct{ channel, appID string }

// accountOn is the account that logs visitors of a host in inside WeChat: the one
// that the host is assigned to, on behalf of its owner; else that of the public
// host, where such logins run; else the service account of our own.
func (s *Server) accountOn(host string) account {
	if appID := s.hosts.accounts[s.hosts.home(host)]; appID != "" {
		return account{identity.ChannelComponent, appID}
	}
	return account{identity.ChannelMP, s.cfg.MP.ID}
}

// insideWeChat reports that people come to the account in WeChat's own browser.
func (a account) insideWeChat() bool {
	return a.channel == identity.ChannelMP || a.channel == identity.ChannelComponent
}

// serverApp is such an account as it calls WeChat for itself. Without a secret it
// is one whose tokens the third-party platform has.
func (s *Server) serverApp(a account) wechat.App {
	if a.channel == identity.ChannelMP {
		return s.cfg.MP
	}
	return wechat.App{ID: a.appID}
}

// homeOf is the host where a pending login runs: it was begun there, and WeChat
// returns to it. Hosts that share cookies see each other's pending logins.
func (s *Server) homeOf(p session.Pending) string {
	if p.Channel == identity.ChannelComponent {
		return s.hosts.home(p.Host)
	}
	return s.hosts.public
}

// speaker asks WeChat about people, for the account that they log in to.
type speaker interface {
	// componentAppID is the platform on whose authority it speaks, if any.
	componentAppID() string
	exchange(ctx context.Context, code string) (wechat.Token, error)
	refresh(ctx context.Context, token string) (wechat.Token, error)
	// session is for the codes of a mini program.
	session(ctx context.Context, code string) (wechat.Session, error)
}

// ownSpeaker has the account's secret.
type ownSpeaker struct {
	client *wechat.Client
	app    wechat.App
}

func (o ownSpeaker) componentAppID() string { return "" }

func (o ownSpeaker) exchange(ctx context.Context, code string) (wechat.Token, error) {
	return o.client.Exchange(ctx, o.app, code)
}

func (o ownSpeaker) refresh(ctx context.Context, token string) (wechat.Token, error) {
	return o.client.Refresh(ctx, o.app, token)
}

func (o ownSpeaker) session(ctx context.Context, code string) (wechat.Session, error) {
	return o.client.Code2Session(ctx, o.app, code)
}

// behalfSpeaker speaks as the third-party platform that the account authorized.
type behalfSpeaker struct {
	platform *component.Platform
	appID    string
}

func (b behalfSpeaker) componentAppID() string { return b.platform.AppID() }

func (b behalfSpeaker) exchange(ctx context.Context, code string) (wechat.Token, error) {
	return b.platform.Exchange(ctx, b.appID, code)
}

func (b behalfSpeaker) refresh(ctx context.Context, token string) (wechat.Token, error) {
	return b.platform.Refresh(ctx, b.appID, token)
}

func (b behalfSpeaker) session(ctx context.Context, code string) (wechat.Session, error) {
	return b.platform.Code2Session(ctx, b.appID, code)
}

// errNoSuchApp says that the account of a pending login is not configured any
// more, or not for its host.
var errNoSuchApp = errors.New("the account of this login is not configured any more")

// speaker is who can ask about a pending login: its code is worth something to
// the account only that it was begun with.
func (s *Server) speaker(p session.Pending) (speaker, error) {
	a := account{p.Channel, p.AppID}
	app, known := map[string]wechat.App{
		identity.ChannelWeb: s.cfg.Web, identity.ChannelMobile: s.cfg.Mobile, identity.ChannelMini: s.cfg.Mini,
	}[p.Channel]
	if !known {
		if a != s.accountOn(cmp.Or(p.Host, s.hosts.public)) {
			return nil, errNoSuchApp
		}
		app = s.serverApp(a)
	}
	switch {
	case app.ID == "" || app.ID != p.AppID || p.Scope == scopePair:
		return nil, errNoSuchApp
	case p.Channel == identity.ChannelComponent:
		return behalfSpeaker{s.cfg.Component, p.AppID}, nil
	}
	return ownSpeaker{s.cfg.WeChat, app}, nil
}
