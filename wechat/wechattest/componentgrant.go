package wechattest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Authorization is what an account granted to a third-party platform.
type Authorization struct {
	AppID     string
	Functions []int // permission sets (权限集), in order
	At        time.Time
	// RefreshToken is there from the beginning, but nobody can ask for it before
	// a code was exchanged: see Exchanged.
	RefreshToken string
	AccessToken  string // the current one, "" for none yet
	Exchanged    bool
	Mints        int // access tokens given out
}

// authorization is one, with its tokens. When the account takes it back and
// grants again, that is another.
type authorization struct {
	appid     string
	functions []int
	at        time.Time
	refresh   string
	former    map[string]time.Time // refresh tokens before, until when they are good
	current   *serverToken
	exchanged bool
	mints     int
	options   map[string]string
}

func (a *authorization) state() Authorization {
	out := Authorization{
		AppID: a.appid, Functions: slices.Clone(a.functions), At: a.at,
		RefreshToken: a.refresh, Exchanged: a.exchanged, Mints: a.mints,
	}
	if a.current != nil {
		out.AccessToken = a.current.value
	}
	return out
}

// renewRefresh replaces the refresh token. The one before lives for so long.
func (a *authorization) renewRefresh(now time.Time, lingers time.Duration) {
	if lingers > 0 {
		a.former[a.refresh] = now.Add(lingers)
	}
	a.refresh = "refreshtoken@@@" + random(43)
}

func (a *authorization) knows(refresh string, now time.Time) bool {
	return refresh == a.refresh || now.Before(a.former[refresh])
}

// authorization finds what an account granted.
func (c *component) authorization(appid string) *authorization {
	i := slices.IndexFunc(c.accounts, func(a *authorization) bool { return a.appid == appid })
	if i < 0 {
		return nil
	}
	return c.accounts[i]
}

type preAuthCode struct {
	expires time.Time
	used    bool
}

// usePreAuth takes a pre_auth_code for one visit of the authorization page. The
// caller holds Server.mu.
func (s *Server) usePreAuth(c *component, code string) error {
	p := c.preAuth[code]
	switch {
	case p == nil:
		return fmt.Errorf("pre_auth_code %q is unknown", code)
	case p.used:
		return fmt.Errorf("pre_auth_code %q was used already", code)
	case !s.now().Before(p.expires):
		return fmt.Errorf("pre_auth_code %q has expired", code)
	}
	p.used = true
	return nil
}

// authCode is an authorization code.
type authCode struct {
	authorization *authorization
	infoType      string // of the push that carries it; "" for none
	at            time.Time
	life          time.Duration
	used          bool
}

// DefaultFunctions are the permission sets that a service account or a mini
// program grants when nothing else is said: messages, people, account, web login,
// material and menus, or account, development and customer service.
func DefaultFunctions(kind AppKind) []int {
	if kind == MiniProgram {
		return []int{17, 18, 19, 30, 31}
	}
	return []int{1, 2, 3, 4, 11, 15}
}

// Grant lets an account authorize a third-party platform, as its administrator
// does on WeChat's page, and returns the code that stands for it. The platform is
// not told: see PushAuthorized. Without functions it grants DefaultFunctions. It
// panics if it does not know the platform or the account; whether the platform was
// published is for the page to judge.
func (s *Server) Grant(componentID, appid string, functions ...int) (code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, app := s.components[componentID], s.apps[appid]
	switch {
	case c == nil:
		panic("wechattest: " + noComponent(componentID).Error())
	case app.Kind != ServiceAccount && app.Kind != MiniProgram:
		panic("wechattest: no account or mini program " + appid)
	}
	functions = slices.Sorted(slices.Values(functions))
	if len(functions) == 0 {
		functions = DefaultFunctions(app.Kind)
	}
	infoType := "authorized"
	a := c.authorization(appid)
	if a == nil {
		a = &authorization{appid: appid, former: map[string]time.Time{}, options: map[string]string{}}
		a.renewRefresh(s.now(), 0)
		c.accounts = append(c.accounts, a)
	} else {
		infoType = "updateauthorized"
		if slices.Equal(a.functions, functions) {
			infoType = "" // nothing that WeChat would tell
		}
		if !s.behaviour.GrantKeepsRefresh {
			lingers := time.Duration(0)
			if s.behaviour.RefreshLingers {
				lingers = overlap
			}
			a.renewRefresh(s.now(), lingers)
			a.exchanged = false
		}
	}
	a.functions, a.at = functions, s.now()
	code = "queryauthcode@@@" + random(64)
	c.codes[code] = &authCode{
		authorization: a, infoType: infoType, at: s.now(),
		life: time.Duration(cmp.Or(s.behaviour.AuthCodeSeconds, 3600)) * time.Second,
	}
	return code
}

// PushAuthorized tells the platform that an account granted what code stands for:
// authorized, or updateauthorized where the account had authorized it already. If
// the permission sets did not change then, WeChat is silent, and so is this:
// nothing is sent and there is no error. The event says when the grant was, so it
// can be pushed late.
func (s *Server) PushAuthorized(ctx context.Context, componentID, appid, code, preAuthCode string) (Pushed, error) {
	s.mu.Lock()
	var granted *authCode
	if c := s.components[componentID]; c != nil {
		granted = c.codes[code]
	}
	s.mu.Unlock()
	switch {
	case granted == nil || granted.authorization.appid != appid:
		return Pushed{}, fmt.Errorf("no grant of %s to %s with this code", appid, componentID)
	case granted.infoType == "":
		return Pushed{}, nil
	}
	return s.PushComponent(ctx, componentID, ComponentPush{
		InfoType: granted.infoType, CreateTime: granted.at,
		Fields: []string{
			"AuthorizerAppid", appid, "AuthorizationCode", code,
			"AuthorizationCodeExpiredTime", strconv.Itoa(int(granted.life / time.Second)), "PreAuthCode", preAuthCode,
		},
	})
}

// Deauthorize lets an account take back its authorization, which is over at once
// with all its tokens, and tells the platform.
func (s *Server) Deauthorize(ctx context.Context, componentID, appid string) (Pushed, error) {
	s.mu.Lock()
	c, at := s.components[componentID], s.now()
	var a *authorization
	if c != nil {
		if a = c.authorization(appid); a != nil {
			c.accounts = slices.DeleteFunc(c.accounts, func(b *authorization) bool { return a == b })
			for _, t := range s.server {
				if t.component == componentID && t.app == appid {
					t.void = at
				}
			}
		}
	}
	s.mu.Unlock()
	if a == nil {
		return Pushed{}, fmt.Errorf("%s has not authorized %s", appid, componentID)
	}
	return s.PushComponent(ctx, componentID, ComponentPush{
		InfoType: "unauthorized", CreateTime: at, Fields: []string{"AuthorizerAppid", appid},
	})
}
