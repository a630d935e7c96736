package wechattest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const platformPath = controlPath + "component/"

// platformControl serves the simulator's own pages about third-party platforms.
// Its forms answer with a redirect to the page, or to a client that accepts JSON
// with what came of the push:
//
//	GET  /sim/component/             all platforms
//	GET  /sim/component/state        the same as JSON, without secrets
//	POST /sim/component/ticket       component=ID&which=new|again|old[&key=previous]
//	POST /sim/component/authorized   component=ID&appid=ID[&times=N]; pushes the newest grant of an account
//	POST /sim/component/functions    component=ID&appid=ID&functions=N…; another grant, with updateauthorized
//	POST /sim/component/deauthorize  component=ID&appid=ID
//	POST /sim/component/message      component=ID&appid=ID&player=ID&text=TEXT; a text of a player to an account
//	POST /sim/component/service      component=ID&run=on|off; the ticket service
//	POST /sim/component/release      component=ID[&group=N]; the release test, answers its checklist
//	GET  /sim/component/launch       ?uuid=; what the authorization page polls, as JSON
//	GET  /sim/component/phone        ?uuid=; the administrator's phone: opening it is the scan
//	POST /sim/component/phone        uuid= and a button, as on the authorization page
func (s *Server) platformControl(w http.ResponseWriter, r *http.Request) {
	id, appid := r.PostFormValue("component"), r.PostFormValue("appid")
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, platformPath) {
	case "GET ":
		s.page(w, "componentpagecontrol.html", s.platformViews())
	case "GET state":
		writeJSON(w, http.StatusOK, s.platformViews())
	case "GET launch":
		s.pollLaunch(w, r)
	case "GET phone", "POST phone":
		s.phone(w, r)
	case "POST ticket":
		p, err := s.pushTicketAgain(r, id)
		s.pushDone(w, r, p, err)
	case "POST authorized":
		times, err := strconv.Atoi(cmp.Or(r.PostFormValue("times"), "1"))
		if err != nil || times < 1 || times > 10 {
			s.pushDone(w, r, Pushed{}, errors.New("times is 1 to 10"))
			return
		}
		p, err := s.pushGranted(r.Context(), id, appid, times)
		s.pushDone(w, r, p, err)
	case "POST functions":
		p, err := s.changeFunctions(r, id, appid)
		s.pushDone(w, r, p, err)
	case "POST deauthorize":
		p, err := s.Deauthorize(r.Context(), id, appid)
		s.pushDone(w, r, p, err)
	case "POST message":
		p, err := s.writeOnBehalf(r, id, appid)
		s.pushDone(w, r, p, err)
	case "POST service":
		s.pushDone(w, r, Pushed{}, s.switchTickets(id, r.PostFormValue("run")))
	case "POST release":
		s.releaseForm(w, r, id)
	default:
		http.NotFound(w, r)
	}
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// pushDone answers a button: 303 to the page, where the journal has more, or 400
// with what is wrong.
func (s *Server) pushDone(w http.ResponseWriter, r *http.Request, p Pushed, err error) {
	status, problem := http.StatusOK, ""
	if err != nil {
		status, problem = http.StatusBadRequest, err.Error()
	}
	switch {
	case wantsJSON(r):
		type attempt struct {
			Status int    `json:"status"`
			Answer string `json:"answer"`
		}
		attempts := []attempt{}
		for _, a := range p.Attempts {
			attempts = append(attempts, attempt{a.Status, strings.ToValidUTF8(a.Answer, "\uFFFD")})
		}
		writeJSON(w, status, map[string]any{"ok": err == nil, "error": problem, "attempts": attempts, "reply": p.Reply})
	case err != nil && len(p.Attempts) > 0:
		http.Error(w, fmt.Sprintf("not accepted, %d attempts: %s", len(p.Attempts), problem), status)
	case err != nil:
		http.Error(w, problem, status)
	default:
		http.Redirect(w, r, platformPath+"#"+url.PathEscape(r.PostFormValue("component")), http.StatusSeeOther)
	}
}

// pushTicketAgain pushes a new ticket, or the newest once more as if it were new,
// or the one before it as if it came late; if asked, with the previous key.
func (s *Server) pushTicketAgain(r *http.Request, id string) (Pushed, error) {
	which, previous := cmp.Or(r.PostFormValue("which"), "new"), r.PostFormValue("key") == "previous"
	s.mu.Lock()
	c := s.components[id]
	var tickets []VerifyTicket
	if c != nil {
		tickets = slices.Clone(c.tickets)
	}
	s.mu.Unlock()
	var push ComponentPush
	switch n := len(tickets); {
	case c == nil:
		return failedPush(noComponent(id))
	case which == "new" && !previous:
		return s.PushTicket(r.Context(), id)
	case which == "new":
		s.IssueTicket(id)
		state := s.ComponentState(id).Tickets
		push = TicketPush(state[len(state)-1])
	case which == "again" && n > 0:
		push = TicketPush(tickets[n-1])
		push.CreateTime = s.Now()
	case which == "old" && n > 1:
		push = TicketPush(tickets[n-2])
	case which == "again", which == "old":
		return failedPush(errors.New("there is no such ticket yet"))
	default:
		return failedPush(errors.New("which is one of new, again and old"))
	}
	push.PreviousKey = previous
	return s.PushComponent(r.Context(), id, push)
}

// switchTickets stops or starts the ticket service, as WeChat and the console do.
func (s *Server) switchTickets(id, run string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[id]
	switch {
	case c == nil:
		return noComponent(id)
	case run != "on" && run != "off":
		return errors.New("run is on or off")
	}
	c.stopped, c.failed = run == "off", 0
	return nil
}

// changeFunctions grants other permission sets in the name of the administrator.
func (s *Server) changeFunctions(r *http.Request, id, appid string) (Pushed, error) {
	functions, err := formSets(r)
	if err != nil {
		return failedPush(err)
	}
	s.mu.Lock()
	c, kind := s.components[id], s.apps[appid].Kind
	switch {
	case c == nil:
		err = noComponent(id)
	case c.authorization(appid) == nil:
		err = fmt.Errorf("%s has not authorized %s", appid, id)
	default:
		functions, err = chosenSets(kind, nil, functions)
	}
	s.mu.Unlock()
	if err != nil {
		return failedPush(err)
	}
	code := s.Grant(id, appid, functions...)
	s.mu.Lock()
	s.keep(granted{Component: id, AppID: appid, Code: code})
	s.mu.Unlock()
	return s.pushGranted(r.Context(), id, appid, 1)
}

// releaseForm runs the release test and shows its checklist.
func (s *Server) releaseForm(w http.ResponseWriter, r *http.Request, id string) {
	var report ReleaseReport
	group, err := strconv.Atoi(cmp.Or(r.PostFormValue("group"), "0"))
	switch {
	case err != nil:
		err = errors.New("group is 1 to 5")
	case group == 0:
		report, err = s.ReleaseTest(r.Context(), id)
	default:
		report, err = s.ReleaseTestGroup(r.Context(), id, group)
	}
	switch {
	case err != nil:
		s.pushDone(w, r, Pushed{}, err)
	case wantsJSON(r):
		writeJSON(w, http.StatusOK, report)
	default:
		s.page(w, "componentpagereport.html", report)
	}
}
