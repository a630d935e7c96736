package proxy

import (
	"cmp"
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
	// scopeMini is that of a mini program's codes, which know none.
	scopeMini = ""
)

// flow is a way to log in, or the page that stands in for one.
type flow int

const (
	flowNone     flow = iota // nothing that is configured works there
	flowMP                   // WeChat's login inside WeChat, by the account of the host
	flowFrame                // WeChat's QR code inside our page, by the website app
	flowRedirect             // WeChat's QR page, by the website app
	flowPair                 // our QR code: the phone logs in by the account of the host
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

// flow chooses how a login to a host runs. It is asked at the login's start: the
// User-Agent is a hint and no evidence, and the return from WeChat reads what
// was chosen from the browser's login cookie. Where the login runs on another
// host than it was asked for, that one comes to the same flow.
func (s *Server) flow(b wechat.Browser, via, host string) flow {
	wishes, named := flowsVia[via]
	if !named {
		wishes = flows[clientOf(b)]
	}
	for _, f := range wishes {
		if f != flowQR {
			if s.accountFor(f, host).appID != "" {
				return f
			}
			continue
		}
		for _, f := range flowsQR[s.cfg.QR] {
			if s.accountFor(f, host).appID != "" {
				return f
			}
		}
	}
	return flowNone
}

// byWebsite reports that a flow is the website app's.
func (f flow) byWebsite() bool { return f == flowFrame || f == flowRedirect }

// accountFor is the account that a flow logs in to a host with. Without an appid
// it is not configured.
func (s *Server) accountFor(f flow, host string) account {
	if f.byWebsite() {
		return account{identity.ChannelWeb, s.cfg.Web.ID}
	}
	return s.accountOn(host)
}

// home is where a flow to a host runs: WeChat returns to a domain of the account.
func (s *Server) home(f flow, host string) string {
	if f.byWebsite() {
		return s.hosts.public
	}
	return s.hosts.home(host)
}

// scopeOf is what a flow asks WeChat for.
func scopeOf(f flow, profile bool) string {
	switch {
	case f.byWebsite():
		return scopeLogin // always with the profile
	case f == flowPair:
		return scopePair
	case profile:
		return scopeUserInfo
	}
	return scopeBase
}

// viaOf keeps a login that is begun anew on the way that it was on, where the
// User-Agent would choose another.
func (s *Server) viaOf(v *visit, p session.Pending) string {
	via := "mp"
	if p.Scope == scopeLogin || p.Scope == scopePair {
		via = "qr"
	}
	b, host := wechat.Detect(v.r.UserAgent()), cmp.Or(p.Host, s.hosts.public)
	if s.flow(b, "", host) == s.flow(b, via, host) {
		return ""
	}
	return via
}

// noFlow answers a client for which nothing is configured. The visitor can do
// nothing about it, so the page speaks to the operator.
func (s *Server) noFlow(v *visit) {
	detail := detailNoAccount
	switch {
	case s.cfg.Component != nil:
		detail = detailNoHostAccount
	case s.cfg.Web.ID != "":
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
	case flowRedirect:
		v.outcome = outcomeRedirected
		s.redirect(v, http.StatusFound, s.cfg.WeChat.QRConnectURL(s.qrConnect(v, p)))
	default:
		s.authorize(v, p)
	}
}

// authorize sends a browser inside WeChat to WeChat's page for a login.
func (s *Server) authorize(v *visit, p session.Pending) {
	by, err := s.speaker(p)
	if err != nil {
		s.fail(v, internalError, err)
		return
	}
	v.outcome = outcomeRedirected
	s.redirect(v, http.StatusFound, s.cfg.WeChat.AuthorizeURL(wechat.Authorize{
		AppID: p.AppID, RedirectURI: s.callbackURL(v.host, p.Again), Scope: p.Scope, State: p.State,
		ComponentAppID: by.componentAppID(),
	}))
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
