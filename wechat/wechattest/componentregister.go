package wechattest

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	registerPath = controlPath + "register"
	// registrationLife is how long the legal person may take.
	registrationLife = day
)

// Registration is a mini program that a third-party platform had registered for
// an enterprise, or tries to.
type Registration struct {
	TaskID string
	// URL is where the legal person confirms: a page of the simulator.
	URL               string
	Name, Code, Phone string
	Expires           time.Time
	Over              bool
	// AppID of the new mini program, "" before there is one, Status as pushed.
	AppID  string
	Status int
}

type registration struct {
	Registration
	component string
}

// fastRegister was taken out of service on 30 April 2026:
// https://developers.weixin.qq.com/community/develop/doc/0004829e9105005ce7d480e6561401
func (c *call) fastRegister() answer {
	if _, a, ok := c.bearer(61014, "access_token", "component_access_token"); !ok {
		return a
	}
	return refuse(-1)
}

// registerEnterprise is what took its place. That the answer has a task and an
// address is documented; 0 as the first status is a guess.
func (c *call) registerEnterprise() answer {
	p, a, ok := c.bearer(61014, "access_token")
	if !ok {
		return a
	}
	var in struct {
		Name       string `json:"name"`
		Code       string `json:"code"`
		Phone      string `json:"component_phone"`
		NewVersion bool   `json:"new_version"`
	}
	if a, ok := c.decode(&in); !ok {
		return a
	}
	switch {
	case !in.NewVersion:
		return refuse(-1) // the old form went together with fastregisterweapp
	case in.Name == "" || in.Code == "" || in.Phone == "":
		return refuse(89253)
	case len(in.Code) != 18:
		return refuse(89255)
	}
	for _, t := range c.s.registrations {
		if t.Code == in.Code && !t.Over && c.now.Before(t.Expires) {
			return refuse(89249)
		}
	}
	task := random(32)
	link := cmp.Or(c.s.publicURL, c.s.URL) + registerPath + "?task=" + task
	c.s.registrations = append(c.s.registrations, &registration{
		component: p.ID,
		Registration: Registration{
			TaskID: task, URL: link, Name: in.Name, Code: in.Code, Phone: in.Phone, Expires: c.now.Add(registrationLife),
		},
	})
	return answer{fields: []field{{"errcode", 0}, {"errmsg", "ok"}, {"taskid", task}, {"authorize_url", link}, {"status", 0}}}
}

// The status of a registration that nobody confirmed in time, and of one that was
// refused because the name is not that of the enterprise.
const (
	registrationLate    = 100001
	registrationRefused = -1
)

// ConfirmRegistration lets the legal person confirm: a mini program comes to be,
// has authorized the platform, and the platform is told by an event with a code to
// exchange. After a day it is too late, and the event says so.
func (s *Server) ConfirmRegistration(ctx context.Context, taskID string) (appid string, p Pushed, err error) {
	t, err := s.endRegistration(taskID)
	if err != nil {
		return "", Pushed{}, err
	}
	if !s.Now().Before(t.Expires) {
		p, err = s.pushRegistration(ctx, t, "", "", registrationLate, "confirm timeout")
		return "", p, err
	}
	secret := make([]byte, 16)
	for i := range secret {
		secret[i] = byte(rand.Uint32())
	}
	app := App{ID: fmt.Sprintf("wx%016x", rand.Uint64()), Secret: hex.EncodeToString(secret), Kind: MiniProgram, Name: t.Name, Principal: t.Name}
	s.AddApp(app)
	code := s.Grant(t.component, app.ID)
	p, err = s.pushRegistration(ctx, t, app.ID, code, 0, "OK")
	return app.ID, p, err
}

// FailRegistration ends a task with one of WeChat's numbers, for instance -1 for a
// name that is not the enterprise's, and tells the platform.
func (s *Server) FailRegistration(ctx context.Context, taskID string, status int, msg string) (Pushed, error) {
	if status == 0 {
		return failedPush(errors.New("status 0 is not a failure"))
	}
	t, err := s.endRegistration(taskID)
	if err != nil {
		return failedPush(err)
	}
	return s.pushRegistration(ctx, t, "", "", status, msg)
}

func (s *Server) endRegistration(taskID string) (*registration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.registrations, func(t *registration) bool { return t.TaskID == taskID })
	switch {
	case i < 0:
		return nil, fmt.Errorf("no registration %q", taskID)
	case s.registrations[i].Over:
		return nil, fmt.Errorf("registration %q is over", taskID)
	}
	s.registrations[i].Over = true
	return s.registrations[i], nil
}

// pushRegistration: https://developers.weixin.qq.com/doc/oplatform/openApi/register-management/fast-registration-ent/api_registerminiprogram.html
func (s *Server) pushRegistration(ctx context.Context, t *registration, appid, code string, status int, msg string) (Pushed, error) {
	s.mu.Lock()
	t.AppID, t.Status = appid, status
	s.mu.Unlock()
	var fields []string
	if appid != "" {
		fields = append(fields, "appid", appid)
	}
	fields = append(fields, "status", strconv.Itoa(status))
	if code != "" {
		fields = append(fields, "auth_code", code)
	}
	return s.PushComponent(ctx, t.component, ComponentPush{
		InfoType: "notify_third_fasteregister", Fields: append(fields, "msg", msg),
		Raw: "<info>" + element("name", t.Name) + element("code", t.Code) + "<code_type>1</code_type>" +
			element("component_phone", t.Phone) + "</info>",
	})
}

// register serves the page of the legal person: a POST with answer=confirm or
// refuse takes the place of the face check.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	task := r.URL.Query().Get("task")
	s.mu.Lock()
	i := slices.IndexFunc(s.registrations, func(t *registration) bool { return t.TaskID == task })
	var t Registration
	if i >= 0 {
		t = s.registrations[i].Registration
	}
	s.mu.Unlock()
	switch {
	case i < 0:
		http.Error(w, "no such registration", http.StatusNotFound)
		return
	case r.Method == http.MethodGet:
		s.page(w, "register.html", t)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
		return
	}
	var err error
	switch r.PostFormValue("answer") {
	case "confirm":
		_, _, err = s.ConfirmRegistration(r.Context(), task)
	case "refuse":
		_, err = s.FailRegistration(r.Context(), task, registrationRefused, "name mismatch")
	default:
		err = errors.New("answer is confirm or refuse")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, registerPath+"?"+url.Values{"task": {task}}.Encode(), http.StatusSeeOther)
}
