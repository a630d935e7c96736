package wechattest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// maxLaunches bounds the open pages that are remembered.
const maxLaunches = 10_000

// Two more orders, for the page alone.
const (
	GrantLate  GrantOrder = "late"  // the browser's return; the push waits for a button of the control page
	GrantTwice GrantOrder = "twice" // the push twice, then the browser's return
)

// grantWay is an order that the page offers.
type grantWay struct {
	Value GrantOrder
	Label string
}

var grantWays = []grantWay{
	{GrantBoth, "先推送，再跳回 push, then redirect"},
	{GrantRedirectFirst, "先跳回，换取后推送 redirect, then push"},
	{GrantLate, "跳回，推送等控制台按钮 push late"},
	{GrantTwice, "推送两次，再跳回 push twice"},
	{GrantRedirectOnly, "只跳回 only redirect"},
	{GrantPushOnly, "只推送 only push"},
}

func (s *Server) newLaunch(l *launch) (uuid string) {
	uuid = random(16)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.desk.launches == nil {
		s.desk.launches = map[string]*launch{}
	}
	if len(s.desk.launches) >= maxLaunches {
		now := s.now()
		maps.DeleteFunc(s.desk.launches, func(_ string, l *launch) bool { return !now.Before(l.expires) })
		if len(s.desk.launches) >= maxLaunches {
			clear(s.desk.launches)
		}
	}
	l.state, l.expires = scanWaiting, s.now().Add(scanLife)
	if l.mobile {
		l.state = scanScanned
	}
	s.desk.launches[uuid] = l
	return uuid
}

// findLaunch returns a copy of a page as it is now. An unknown one has expired.
func (s *Server) findLaunch(uuid string) launch {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.desk.launches[uuid]
	if l == nil {
		return launch{scan: scan{state: scanExpired}}
	}
	s.age(&l.scan)
	return *l
}

func (l *launch) open() bool { return l.state == scanWaiting || l.state == scanScanned }

func (l *launch) words() string {
	switch l.state {
	case scanScanned:
		return "扫描成功，请在手机上确认授权"
	case scanCancelled:
		return "已取消授权 cancelled"
	case scanExpired:
		return "二维码已失效 expired"
	case scanConfirmed:
		return "授权成功 authorized"
	}
	return "请使用公众号或小程序的管理员微信扫描"
}

// candidate is an account that the administrator may choose.
type candidate struct {
	App
	Granted, Outside bool
}

// candidates are the accounts that fit, those included that are refused because
// they are on no list.
func (s *Server) candidates(l *launch) []candidate {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[l.component.ID]
	var all []candidate
	for _, id := range s.appOrder {
		if app := s.apps[id]; l.fits(app) {
			all = append(all, candidate{app, c.authorization(id) != nil, !c.admits(app)})
		}
	}
	return all
}

// launchPage shows the page of the PC or that of the phone.
func (s *Server) launchPage(w http.ResponseWriter, name, uuid, action string) {
	l := s.findLaunch(uuid)
	data := map[string]any{
		"Component": l.component, "UUID": uuid, "Action": action, "Words": l.words(), "Open": l.open(),
		"Phone": platformPath + "phone?uuid=" + uuid, "Poll": platformPath + "launch?uuid=" + uuid,
		"Ways": grantWays, "Way": s.Behaviour().GrantOrder,
	}
	if l.component.ID != "" {
		accounts := s.candidates(&l)
		var sets []PermissionSet
		for _, kind := range []AppKind{ServiceAccount, MiniProgram} {
			if slices.ContainsFunc(accounts, func(a candidate) bool { return a.Kind == kind }) {
				sets = append(sets, setsFor(kind, l.sets)...)
			}
		}
		data["Accounts"], data["Sets"] = accounts, sets
	}
	s.page(w, name, data)
}

// answerLaunch presses a button: grant=agree, cancel or expire. Where the visit
// ends well and the page is the one to go back, it goes back.
func (s *Server) answerLaunch(w http.ResponseWriter, r *http.Request, uuid string, here bool) {
	e := s.seen(r)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	functions, err := formSets(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p := pressed{button: r.PostForm.Get("grant"), appid: r.PostForm.Get("appid"), then: s.Behaviour().GrantOrder, functions: functions}
	if r.PostForm.Has("then") {
		p.then = GrantOrder(r.PostForm.Get("then"))
	}
	l, err := s.pressLaunch(context.WithoutCancel(r.Context()), uuid, p, &e)
	var bad *refusal
	switch {
	case errors.As(err, &bad):
		w.Header().Set(ErrorHeader, fmt.Sprint(bad.Code))
		s.page(w, "error.html", bad)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case here && l.back != "":
		w.Header().Add(CallbackHeader, l.back)
		w.Header().Set("Location", l.back)
		w.WriteHeader(http.StatusFound)
	default:
		s.launchPage(w, "componentpagephone.html", uuid, "")
	}
}

// phone is the page on the administrator's phone: opening it is the scan.
func (s *Server) phone(w http.ResponseWriter, r *http.Request) {
	uuid := r.FormValue("uuid")
	if r.Method == http.MethodPost {
		s.answerLaunch(w, r, uuid, false)
		return
	}
	s.mu.Lock()
	if l := s.desk.launches[uuid]; l != nil && l.state == scanWaiting {
		s.age(&l.scan)
		if l.state == scanWaiting {
			l.state = scanScanned
		}
	}
	s.mu.Unlock()
	s.launchPage(w, "componentpagephone.html", uuid, platformPath+"phone")
}

// pollLaunch is what the page on the PC asks for.
func (s *Server) pollLaunch(w http.ResponseWriter, r *http.Request) {
	l := s.findLaunch(r.URL.Query().Get("uuid"))
	writeJSON(w, http.StatusOK, map[string]any{"open": l.open() || l.busy, "words": l.words(), "back": l.back})
}
