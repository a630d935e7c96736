package proxy

import (
	"net/http"
	"time"

	"wxgate/identity"
	"wxgate/yunxin"
)

// tokenFor is the user's login token for Yunxin, "" while there is none. It
// goes to the user's own page and to routes marked +token, nowhere else.
func (a *imAccounts) tokenFor(u *identity.User) string {
	if a.cfg == nil || u.Yunxin.State != identity.YunxinReady || u.Yunxin.TokenEpoch != u.Yunxin.Epoch {
		return "" // there is no account, or its former token still has to be replaced
	}
	if a.cfg.Dynamic {
		token, _ := a.cfg.Client.DynamicToken(u.Yunxin.Accid, a.cfg.TokenTTL)
		return token
	}
	// The token that is set at Yunxin is the one of the secret that was the
	// newest at the user's last login.
	for _, secret := range a.cfg.Secrets {
		if yunxin.TokenKey(secret) == u.Yunxin.TokenKey {
			return yunxin.StaticToken(secret, u.Yunxin.Accid, u.Yunxin.Epoch)
		}
	}
	return ""
}

// dynamic reports that tokens run out, so that each use makes a new one.
func (a *imAccounts) dynamic() bool { return a.cfg != nil && a.cfg.Dynamic }

// displayName is the profile's name, or the default one.
func (s *Server) displayName(u *identity.User) string {
	if u.Profile != nil && u.Profile.Name != "" {
		return yunxin.CleanName(u.Profile.Name)
	}
	return identity.DefaultName(s.cfg.DefaultName, u.ID)
}

// yunxinAnswer is what the page's NIM SDK needs.
type yunxinAnswer struct {
	AppKey    string     `json:"appKey"`
	Account   string     `json:"account"`
	Token     string     `json:"token"`
	AuthType  int        `json:"authType"` // 0 static, 1 dynamic
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	Nick      string     `json:"nick"`
	Avatar    string     `json:"avatar"`
}

// yunxin hands the caller's own account to the caller's own page. No parameter
// of the request has a say in whose account that is.
func (s *Server) yunxin(v *visit) {
	if s.im.cfg == nil {
		s.fail(v, notFound, nil)
		return
	}
	l := s.caller(v)
	if l == nil {
		return
	}
	if l.snapshot {
		s.fail(v, snapshotVisitor, nil)
		return
	}
	u, err := s.imReady(v.r.Context(), l.user)
	if err != nil {
		s.fail(v, accountProblem(err), err)
		return
	}
	s.writeJSON(v, http.StatusOK, s.imAnswer(u))
}

// imAnswer is the user's account with a token to log in with.
func (s *Server) imAnswer(u *identity.User) yunxinAnswer {
	a := yunxinAnswer{AppKey: s.im.cfg.Client.AppKey(), Account: u.Yunxin.Accid, Nick: s.displayName(u)}
	if u.Profile != nil {
		a.Avatar = u.Profile.Avatar
	}
	if s.im.cfg.Dynamic {
		token, expires := s.im.cfg.Client.DynamicToken(u.Yunxin.Accid, s.im.cfg.TokenTTL)
		expires = expires.UTC().Truncate(time.Second)
		a.Token, a.AuthType, a.ExpiresAt = token, 1, &expires
	} else {
		a.Token = s.im.tokenFor(u)
	}
	return a
}
