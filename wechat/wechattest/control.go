package wechattest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

const controlPath = "/sim/"

// control serves the simulator's own pages:
//
//	GET  /sim/              everything at a glance; ?player=ID chooses who visits
//	GET  /sim/journal       the journal as JSON, secrets masked
//	GET  /sim/avatar/ID.svg a picture for each player
//	POST /sim/behaviour     all switches at once, fields named as in Behaviour
//	POST /sim/clock         advance=DURATION
//	POST /sim/fault         path=PATH&fault=busy|drop|html|empty|huge|extra&times=N
//	POST /sim/code          appid=ID&player=ID[&scope=SCOPE]; answers a code as text
//	POST /sim/domain        appid=ID&origin=ORIGIN; fetches the verification file, registers the domain
//	POST /sim/pushurl       appid=ID&url=URL&token=TOKEN&mode=MODE[&aeskey=KEY]; verifies the URL, takes it over
//	POST /sim/push          appid=ID&player=ID with text=TEXT or event=EVENT[&NAME=TEXT…]; answers the outcome as text
//	GET  /sim/register?task=ID, POST  what a legal person confirms: answer=confirm or refuse
//	GET  /sim/full?url=URL  leaves snapshot mode: consent, then the URL
//	     /sim/component/    third-party platforms, see platformControl
//	POST /sim/jsconfig      what the stand-in for WeChat's page script asks
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, controlPath)
	switch route := r.Method + " " + rest; {
	case route == "GET ":
		if player := r.URL.Query().Get("player"); player != "" {
			s.choose(w, r, player, controlPath)
			return
		}
		s.page(w, "control.html", s.overview(r))
	case route == "GET style.css":
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Write(style)
	case route == "GET journal":
		s.journalJSON(w)
	case strings.HasPrefix(route, "GET avatar/") && strings.HasSuffix(rest, ".svg"):
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Write(portrait(strings.TrimSuffix(strings.TrimPrefix(rest, "avatar/"), ".svg")))
	case route == "POST behaviour":
		s.done303(w, r, s.setBehaviour(r))
	case route == "POST clock":
		d, err := time.ParseDuration(r.PostFormValue("advance"))
		if err == nil {
			s.Advance(d)
		}
		s.done303(w, r, err)
	case route == "POST fault":
		s.done303(w, r, s.setFault(r))
	case route == "POST code":
		s.codeText(w, r)
	case route == "POST domain":
		s.done303(w, r, s.RegisterDomain(r.Context(), r.PostFormValue("appid"), r.PostFormValue("origin")))
	case route == "POST pushurl":
		s.done303(w, r, s.VerifyPush(r.Context(), r.PostFormValue("appid"), PushSettings{
			URL: r.PostFormValue("url"), Token: r.PostFormValue("token"),
			AESKey: r.PostFormValue("aeskey"), Mode: PushMode(r.PostFormValue("mode")),
		}))
	case route == "POST push":
		s.pushForm(w, r)
	case rest == "register":
		s.register(w, r)
	case rest == "full":
		s.leaveSnapshot(w, r)
	case route == "POST jsconfig":
		s.jsConfig(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) done303(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, controlPath, http.StatusSeeOther)
}

// toggle is one switch on the control page.
type toggle struct {
	Name, Label, Value string
	Bool, On           bool
}

func toggles(b Behaviour) []toggle {
	v := reflect.ValueOf(b)
	var all []toggle
	for i := range v.NumField() {
		f := v.Type().Field(i)
		t := toggle{Name: f.Name, Label: f.Tag.Get("sim"), Value: fmt.Sprint(v.Field(i))}
		switch f.Type.Kind() {
		case reflect.Bool:
			t.Bool, t.On = true, v.Field(i).Bool()
		case reflect.Int:
			if v.Field(i).Int() == 0 {
				t.Value = ""
			}
		}
		all = append(all, t)
	}
	return all
}

// setBehaviour takes the whole form: a switch that is absent is off.
func (s *Server) setBehaviour(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	var b Behaviour
	v := reflect.ValueOf(&b).Elem()
	for i := range v.NumField() {
		value := r.PostForm.Get(v.Type().Field(i).Name)
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(value != "")
		case reflect.Int:
			if value == "" {
				continue
			}
			n, err := strconv.Atoi(value)
			if err != nil {
				return fmt.Errorf("%s is not a number", v.Type().Field(i).Name)
			}
			f.SetInt(int64(n))
		case reflect.String:
			f.SetString(value)
		}
	}
	s.Set(func(old *Behaviour) { *old = b })
	return nil
}

var namedFaults = map[string]Fault{
	"busy": Busy, "drop": Drop, "html": HTML, "empty": Empty, "huge": Huge, "extra": ExtraFields,
}

// faultPaths are what Inject is offered on the control page.
func faultPaths() []string {
	return append(slices.Sorted(maps.Keys(apis)), EventPushes, MessagePushes)
}

func (s *Server) setFault(r *http.Request) error {
	f, found := namedFaults[r.PostFormValue("fault")]
	if !found {
		return fmt.Errorf("no such fault")
	}
	path := r.PostFormValue("path")
	if !slices.Contains(faultPaths(), path) {
		return fmt.Errorf("no such path")
	}
	if times := r.PostFormValue("times"); times != "" {
		n, err := strconv.Atoi(times)
		if err != nil {
			return fmt.Errorf("times is not a number")
		}
		f.Times = n
	}
	s.Inject(path, f)
	return nil
}

func (s *Server) codeText(w http.ResponseWriter, r *http.Request) {
	appid, player := r.PostFormValue("appid"), r.PostFormValue("player")
	s.mu.Lock()
	_, app := s.apps[appid]
	_, person := s.players[player]
	s.mu.Unlock()
	scope := r.PostFormValue("scope")
	if !app || !person || !slices.Contains([]string{"", scopeBase, scopeUserInfo, scopeLogin}, scope) {
		http.Error(w, "no such appid, player or scope", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, s.IssueCode(appid, player, scope))
}

// line is an Entry for people.
type line struct {
	Time    string `json:"time"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Query   string `json:"query"`
	Player  string `json:"player,omitempty"`
	Result  string `json:"result"`
	Errcode int    `json:"errcode,omitempty"`
	Event   string `json:"event,omitempty"`
}

func lineOf(e Entry) line {
	q := url.Values{}
	for name, values := range e.Query {
		if name == "secret" {
			values = []string{"***"}
		}
		q[name] = values
	}
	text, err := url.PathUnescape(q.Encode())
	if err != nil {
		text = q.Encode()
	}
	return line{e.Time.Format(time.RFC3339), e.Method, e.Path, strings.ToValidUTF8(text, "\uFFFD"), e.Player, e.Result, e.Errcode, e.Event}
}

func (s *Server) journalJSON(w http.ResponseWriter) {
	lines := []line{}
	for _, e := range s.Journal() {
		lines = append(lines, lineOf(e))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(lines)
}

func (s *Server) overview(r *http.Request) any {
	visitor, _ := s.visitor(r)
	journal := s.Journal()
	journal = journal[max(0, len(journal)-100):]
	lines := []line{}
	for _, e := range slices.Backward(journal) {
		lines = append(lines, lineOf(e))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	apps := []App{}
	for _, id := range s.appOrder {
		apps = append(apps, s.apps[id])
	}
	return map[string]any{
		"Visitor": visitor, "Players": s.everybody(), "Apps": apps,
		"Now": s.now().Format("2006-01-02 15:04:05 MST"), "Ahead": s.offset,
		"Toggles": toggles(s.behaviour), "Paths": faultPaths(), "Journal": lines,
	}
}
