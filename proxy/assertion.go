package proxy

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"wxgate/identity"
)

// signed gives a live session its headers. The assertion of the previous state
// is used again while it says the same and has more than half of its life.
func (c *sessions) signed(l, old *live) (*live, error) {
	claims := l.claims()
	content, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	l.content = string(content)
	if im := c.s.im; !im.dynamic() {
		if token := im.tokenFor(l.user); token != "" {
			l.imToken = []string{token}
		}
	}
	if old != nil && old.session != nil && old.content == l.content && c.now().Add(cacheLife).Before(old.resignAt) {
		l.headers, l.resignAt = old.headers, old.resignAt
		return l, nil
	}
	cfg := &c.s.cfg
	token, expires, err := cfg.Signer.Sign(claims)
	if err != nil {
		return nil, err
	}
	fresh := *l
	issued := c.now().Truncate(time.Second) // as the token has it
	// A little before the half, which has to be left when the app looks at it.
	fresh.resignAt = issued.Add(expires.Sub(issued) * 9 / 20)
	fresh.headers = identity.NewHeaders(headersOf(&claims, token), cfg.PlainHeaders)
	return &fresh, nil
}

// claims say who the session's user is; only what is known appears.
func (l *live) claims() identity.Claims {
	s, u := l.session, l.user
	if l.snapshot {
		return identity.Claims{
			Subject: identity.VisitorSubject, Snapshot: true, AuthTime: jwt.NewNumericDate(s.CreatedAt),
			WeChat: &identity.WeChatClaim{Channel: s.Channel, AppID: s.AppID},
		}
	}
	c := identity.Claims{
		SessionID:  s.SID(),
		AuthTime:   jwt.NewNumericDate(s.CreatedAt),
		MergedFrom: slices.Clone(u.Aliases),
		WeChat: &identity.WeChatClaim{
			Channel: s.Channel, AppID: s.AppID, OpenID: s.OpenID, UnionID: s.UnionID, Scope: s.Scope,
		},
	}
	c.Subject = u.ID
	if u.Profile != nil {
		c.Name, c.Picture = u.Profile.Name, u.Profile.Avatar
	}
	if u.Yunxin.State == identity.YunxinReady {
		c.Yunxin = &identity.YunxinClaim{Accid: u.Yunxin.Accid}
	}
	return c
}

func headersOf(c *identity.Claims, assertion string) identity.Identity {
	id := identity.Identity{
		Assertion: assertion, User: c.Subject, Name: c.Name, Avatar: c.Picture,
		Channel: c.WeChat.Channel, AppID: c.WeChat.AppID, OpenID: c.WeChat.OpenID, UnionID: c.WeChat.UnionID,
		Snapshot: c.Snapshot,
	}
	if c.Yunxin != nil {
		id.YunxinAccid = c.Yunxin.Accid
	}
	return id
}
