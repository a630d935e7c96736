package proxy

import (
	"errors"
	"net/http"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

const (
	// scopeLogin is the scope of a website app.
	scopeLogin = wechat.ScopeLogin
	// scopePair marks a pending login that a phone confirms. It is no scope of
	// WeChat's: no code ever comes back for it.
	scopePair = "pair"
)

// flow is a way to log in, or the page that stands in for one.
type flow int

const (
	flowNone     flow = iota // nothing that is configured works there
	flowMP                   // WeChat's login inside WeChat, by the service account
	flowFrame                // WeChat's QR code inside our page, by the website app
	flowRedirect             // WeChat's QR page, by the website app
	flowPair                 // our QR code: the phone logs in by the service account
	flowOpen                 // the address to open inside WeChat instead
	flowQR                   // stands for the operator's choice among the QR codes
)

// client is who asks for a login, as far as the flow cares.
type client int

const (
	clientWeChat client = iota // any system, web-views of mini programs too
	clientWeCom
	clientPhone // or tablet, outside WeChat
	clientDesktop
)

// flows are the ways of each client, the best one first; the first one is taken
// whose app is configured.
//
// Inside WeChat there is but one: its browser does not run a website app's login,
// and a QR code would need a second phone. WeCom names MicroMessenger too and
// cannot do either login of WeChat's.
var flows = map[client][]flow{
	clientWeChat:  {flowMP},
	clientWeCom:   {flowOpen, flowQR},
	clientPhone:   {flowOpen, flowQR},
	clientDesktop: {flowQR},
}

// flowsVia are the ways of a login link that names one.
var flowsVia = map[string][]flow{
	"mp": {flowMP},
	"qr": {flowQR},
}

// flowsQR are the QR codes by WXGATE_QR: what was chosen, else what can be had.
var flowsQR = map[string][]flow{
	"embed":    {flowFrame, flowPair},
	"redirect": {flowRedirect, flowPair},
	"phone":    {flowPair, flowFrame},
	"":         {flowFrame, flowPair},
}

func clientOf(b wechat.Browser) client {
	switch {
	case b.WeCom:
		return clientWeCom
	case b.InWeChat:
		return clientWeChat
	case b.Mobile:
		return clientPhone
	}
	return clientDesktop
}

// flow chooses how a login runs. It is asked once, at the login's start: the
// User-Agent is a hint and no evidence, and the return from WeChat reads what
// was chosen from the browser's login cookie.
func (s *Server) flow(b wechat.Browser, via string) flow {
	wishes, named := flowsVia[via]
	if !named {
		wishes = flows[clientOf(b)]
	}
	for _, f := range wishes {
		if f != flowQR {
			if s.possible(f) {
				return f
			}
			continue
		}
		for _, f := range flowsQR[s.cfg.QR] {
			if s.possible(f) {
				return f
			}
		}
	}
	return flowNone
}

// possible reports that the app which a flow needs is configured.
func (s *Server) possible(f flow) bool {
	switch f {
	case flowMP, flowPair, flowOpen:
		return s.cfg.MP.ID != ""
	case flowFrame, flowRedirect:
		return s.cfg.Web.ID != ""
	}
	return false
}

// account is the app that a flow logs in with, as the pending login keeps it.
func (s *Server) account(f flow, profile bool) (channel, appID, scope string) {
	switch {
	case f == flowFrame || f == flowRedirect:
		return identity.ChannelWeb, s.cfg.Web.ID, scopeLogin // always with the profile
	case f == flowPair:
		return identity.ChannelMP, s.cfg.MP.ID, scopePair
	case profile:
		return identity.ChannelMP, s.cfg.MP.ID, scopeUserInfo
	}
	return identity.ChannelMP, s.cfg.MP.ID, scopeBase
}

// errNoSuchApp says that the app of a pending login is not configured any more.
var errNoSuchApp = errors.New("the app of this login is not configured any more")

// app is the app that a pending login was begun with: its code is worth
// something with this app's secret only.
func (s *Server) app(p session.Pending) (wechat.App, error) {
	app := map[string]wechat.App{
		identity.ChannelMP: s.cfg.MP, identity.ChannelWeb: s.cfg.Web, identity.ChannelMobile: s.cfg.Mobile,
	}[p.Channel]
	if app.ID == "" || app.ID != p.AppID || p.Scope == scopePair {
		return wechat.App{}, errNoSuchApp
	}
	return app, nil
}

// viaOf keeps a login that is begun anew on the way that it was on, where the
// User-Agent would choose another.
func (s *Server) viaOf(v *visit, p session.Pending) string {
	via := "mp"
	if p.Scope == scopeLogin || p.Scope == scopePair {
		via = "qr"
	}
	b := wechat.Detect(v.r.UserAgent())
	if s.flow(b, "") == s.flow(b, via) {
		return ""
	}
	return via
}

// noFlow answers a client for which nothing is configured. The visitor can do
// nothing about it, so the page speaks to the operator.
func (s *Server) noFlow(v *visit) {
	detail := detailNoAccount
	if s.cfg.MP.ID == "" && s.cfg.Web.ID != "" {
		detail = detailNoServiceAccount
	}
	s.failPage(v, wechatMisconfigured, errors.New("no app of WeChat is configured for this kind of client"), pageData{Detail: detail})
}

// openPage sends a visitor into WeChat: the address to copy, and as a QR code
// for another phone, since a phone cannot scan itself.
func (s *Server) openPage(v *visit, address string) {
	s.failPage(v, openInWeChat, nil, pageData{CopyURL: address, QR: newQRCode(address)})
}

// sendOff begins a login that is already in the browser's cookie.
func (s *Server) sendOff(v *visit, f flow, p session.Pending, q loginQuery) {
	switch f {
	case flowFrame:
		s.framePage(v, p)
	case flowPair:
		s.pairing.begin(v, p, q.profile)
	default:
		v.outcome = outcomeRedirected
		s.redirect(v, http.StatusFound, s.weChatPage(v, f, p))
	}
}

// weChatPage is the address of WeChat's own page for a login.
func (s *Server) weChatPage(v *visit, f flow, p session.Pending) string {
	if f == flowMP {
		return s.cfg.WeChat.AuthorizeURL(wechat.Authorize{
			AppID: p.AppID, RedirectURI: s.callbackURL(p.Again), Scope: p.Scope, State: p.State,
		})
	}
	return s.cfg.WeChat.QRConnectURL(s.qrConnect(v, p))
}

// conclude gives the browser the session that a login came to, in place of the
// one it had, and sends it on.
func (s *Server) conclude(v *visit, logins *session.Logins, p session.Pending, out session.Outcome, replayed bool) {
	if replayed {
		s.metrics.login(p.Channel, stepReplayed)
	}
	if out.Failure != "" {
		s.loginFailed(v, p, out.Failure)
		return
	}
	if !replayed {
		s.retire(v, p)
	}
	if p.Bind != "" {
		if l, err := s.sessions.get(v.r.Context(), out.Token); err == nil && l != nil {
			s.keepLogin(v, logins, p, out.Token)
			s.handOver(v, l, p.Host, loginQuery{bind: p.Bind, again: p.Again})
			return
		}
	}
	s.arrive(v, logins, p, out.Token)
}
