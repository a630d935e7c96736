package wechattest

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// pressed is a button of the page and what was chosen.
type pressed struct {
	button, appid string
	then          GrantOrder
	functions     []int // nil: all that the page offers
}

// granted is an authorization that was granted on a page, and how its push fares.
type granted struct {
	Component, AppID string
	Code, PreAuth    string
	Pushes           int
	Waiting          bool // for a button
}

// Error makes a refusal fit to be returned.
func (r *refusal) Error() string { return r.Text }

// pressLaunch does what a button of the authorization page does, to its end.
func (s *Server) pressLaunch(ctx context.Context, uuid string, p pressed, e *Entry) (launch, error) {
	l, functions, err := s.decide(uuid, p, e)
	var bad *refusal
	if errors.As(err, &bad) {
		e.Result, e.Errcode = "error page", bad.Code
	}
	if e.Result != "" {
		s.record(*e)
	}
	if functions == nil {
		return l, err
	}
	g := granted{Component: l.component.ID, AppID: p.appid, PreAuth: l.preAuth, Waiting: p.then == GrantLate}
	g.Code = s.Grant(g.Component, g.AppID, functions...)
	s.mu.Lock()
	s.keep(g)
	s.mu.Unlock()
	switch p.then {
	case GrantBoth, GrantPushOnly:
		s.pushGranted(ctx, g.Component, g.AppID, 1)
	case GrantTwice:
		s.pushGranted(ctx, g.Component, g.AppID, 2)
	case GrantRedirectFirst:
		s.pushAfterwards(g)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.then != GrantPushOnly {
		l.back = l.backTo(g.Code, s.components[g.Component].codes[g.Code].life)
	}
	l.busy = false
	if open := s.desk.launches[uuid]; open != nil {
		open.back, open.busy = l.back, false
	}
	return l, nil
}

// decide judges the button, and takes the pre_auth_code of a grant: that of two
// buttons at the same time is one. functions are what was granted, none if
// nothing was.
func (s *Server) decide(uuid string, p pressed, e *Entry) (l launch, functions []int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.desk.launches[uuid]
	if open == nil {
		return l, nil, errors.New("no such page")
	}
	s.age(&open.scan)
	defer func() { l = *open }()
	if !open.open() {
		e.Result = "over"
		return l, nil, nil
	}
	switch p.button {
	case "cancel":
		open.state, e.Result = scanCancelled, "denied"
		return l, nil, nil
	case "expire":
		open.state, e.Result = scanExpired, "expired"
		return l, nil, nil
	case "agree":
	default:
		return l, nil, errors.New("grant is one of agree, cancel and expire")
	}
	if p.then != GrantBoth && !slices.ContainsFunc(grantWays, func(w grantWay) bool { return w.Value == p.then }) {
		return l, nil, fmt.Errorf("then is one of those that the page offers, not %q", p.then)
	}
	c, app := s.components[open.component.ID], s.apps[p.appid]
	switch {
	case !open.fits(app):
		return l, nil, fmt.Errorf("%q is no account that this page offers", p.appid)
	case !c.admits(app):
		return l, nil, &refusal{-108, "对于未全网发布的第三方平台，非授权测试列表的账号不可授权",
			"the platform is not published, and " + app.UserName + " is not on its list of test accounts"}
	}
	if functions, err = chosenSets(app.Kind, open.sets, p.functions); err != nil {
		return l, nil, err
	}
	if bad := s.judgePreAuth(c, open.preAuth); bad != nil {
		return l, nil, bad
	}
	if err := s.usePreAuth(c, open.preAuth); err != nil {
		return l, nil, err
	}
	open.state, open.busy = scanConfirmed, true
	e.Result, e.AppID = "granted", p.appid
	return l, functions, nil
}

// fits tells whether the page offers this account: biz_appid wins over auth_type.
func (l *launch) fits(app App) bool {
	if l.biz != "" {
		return app.ID == l.biz
	}
	return slices.Contains(l.kinds, app.Kind)
}
