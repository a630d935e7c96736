package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
)

// maxExchangeBody bounds what a native client posts, in bytes.
const maxExchangeBody = 4 << 10

// exchangeRequest is what a mobile app or a mini program posts. The client has
// to be named: a code does not tell which kind of app it belongs to.
type exchangeRequest struct {
	Client string `json:"client"`
	Code   string `json:"code"`
}

// exchangeAnswer gives the client its session. It sends the token back as
// `Authorization: Bearer`, and the session has the same rules, cache and end
// as one in a cookie.
type exchangeAnswer struct {
	SessionToken string   `json:"session_token"`
	ExpiresIn    int64    `json:"expires_in"` // seconds
	User         meAnswer `json:"user"`
}

// exchange turns the code of a mobile app or mini program into a bearer
// session. Clients with short time-outs send the same code again: within two
// minutes that gives the same session, to the same client only. A native client
// has no cookie to be known by, so its network and its User-Agent are the
// binding; the code itself is a secret between the client, WeChat and us.
func (s *Server) exchange(v *visit) {
	if !s.withinRate(v) {
		return
	}
	var q exchangeRequest
	body, err := io.ReadAll(io.LimitReader(v.r.Body, maxExchangeBody+1))
	v.received.Add(int64(len(body)))
	if err == nil && len(body) > maxExchangeBody {
		err = errors.New("the body is too large")
	}
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err == nil && q.Code == "" {
		err = errors.New("code is missing")
	}
	if err != nil {
		s.fail(v, badRequest, errors.New("the body is not the JSON of an exchange"))
		return
	}
	p, err := s.nativeLogin(v, q.Client)
	switch {
	case errors.Is(err, errNoSuchApp):
		s.fail(v, badRequest, errors.New("client is neither mobile nor mini, or that account is not configured"))
		return
	case err != nil:
		s.fail(v, storeUnavailable, err)
		return
	}
	s.metrics.login(p.Channel, stepReturned)
	if !plausibleCode(q.Code) {
		s.fail(v, invalidCode, errors.New("no usable code"))
		return
	}
	binding := q.Client + " " + network(v.client) + " " + v.r.UserAgent()
	id := v.id
	out, replayed, err := s.redeemer.Redeem(v.r.Context(), p.AppID, q.Code, binding, func(ctx context.Context, x *session.Redemption) session.Outcome {
		return s.finishLogin(ctx, x, id, p, q.Code)
	})
	switch {
	case errors.Is(err, session.ErrForeignCode):
		s.fail(v, invalidCode, err)
		return
	case errors.Is(err, session.ErrCodeLost):
		s.fail(v, wechatUnavailable, err)
		return
	case err != nil:
		s.fail(v, storeUnavailable, err)
		return
	}
	if replayed {
		s.metrics.login(p.Channel, stepReplayed)
	}
	if out.Failure != "" {
		s.fail(v, problemOf(out.Failure), errors.New("login failed: "+out.Failure))
		return
	}
	l, err := s.sessions.get(v.r.Context(), out.Token)
	if err != nil || l == nil {
		s.fail(v, storeUnavailable, err)
		return
	}
	if l.user.Status == identity.StatusBlocked {
		s.fail(v, userBlocked, nil) // since the first delivery of this code
		return
	}
	v.live = l
	s.writeJSON(v, http.StatusOK, exchangeAnswer{
		SessionToken: session.BearerPrefix + out.Token,
		ExpiresIn:    int64(l.session.ExpiresAt.Sub(s.now()) / time.Second),
		User:         meOf(l),
	})
}

// nativeLogin is the login that a native client's code belongs to.
func (s *Server) nativeLogin(v *visit, client string) (session.Pending, error) {
	switch {
	case client == "mobile" && s.cfg.Mobile.ID != "":
		return session.Pending{Channel: identity.ChannelMobile, AppID: s.cfg.Mobile.ID, Scope: scopeUserInfo}, nil
	case client != "mini":
		return session.Pending{}, errNoSuchApp
	}
	if a := s.accountOn(v.host); a.channel == identity.ChannelComponent {
		about, _, err := s.cfg.Component.Authorizer(v.r.Context(), a.appID)
		if err != nil {
			return session.Pending{}, err
		}
		// What is not known to be something else is WeChat's to judge.
		if about.Kind != component.KindMP {
			return session.Pending{Channel: a.channel, AppID: a.appID, Scope: scopeMini, Host: v.host}, nil
		}
	}
	if s.cfg.Mini.ID == "" {
		return session.Pending{}, errNoSuchApp
	}
	return session.Pending{Channel: identity.ChannelMini, AppID: s.cfg.Mini.ID, Scope: scopeMini}, nil
}

// codeToken asks WeChat whose code it is.
func (s *Server) codeToken(ctx context.Context, p session.Pending, code string) (wechat.Token, error) {
	by, err := s.speaker(p)
	if err != nil {
		return wechat.Token{}, err
	}
	if p.Scope == scopeMini {
		who, err := by.session(ctx, code)
		return wechat.Token{OpenID: who.OpenID, UnionID: who.UnionID}, err
	}
	return by.exchange(ctx, code)
}

// network is the part of an address that a client keeps while it moves between
// cells: the /24 of IPv4, the /56 of IPv6.
func network(addr netip.Addr) string {
	bits := 24
	if addr.Is6() {
		bits = 56
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return addr.String()
	}
	return p.String()
}
