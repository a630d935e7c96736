package yunxintest

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Interfaces, as Fault.API and Entry.API name them for both generations.
const (
	Create        = "create"
	UpdateToken   = "update_token"
	RefreshToken  = "refresh_token"
	UpdateProfile = "update_profile"
	Profiles      = "profiles" // read: v1 getUinfos, v2 GET users/{id}
	Block         = "block"    // v2: disable with enabled false
	Unblock       = "unblock"  // v2: disable with enabled true
	Kick          = "kick"     // v2 only
	GetAccount    = "account"  // v2 only
	GetAccounts   = "accounts" // v2 only
)

var v1Routes = map[string]string{
	"create":       Create,
	"update":       UpdateToken,
	"refreshToken": RefreshToken,
	"updateUinfo":  UpdateProfile,
	"getUinfos":    Profiles,
	"block":        Block,
	"unblock":      Unblock,
}

// v2Routes has the id's segment as *.
var v2Routes = map[string]string{
	"POST accounts":                          Create,
	"PATCH accounts/*":                       UpdateToken,
	"GET accounts":                           GetAccounts,
	"GET accounts/*":                         GetAccount,
	"PATCH accounts/*/actions/refresh_token": RefreshToken,
	"PATCH accounts/*/actions/disable":       Block,
	"POST accounts/*/actions/kick":           Kick,
	"PATCH users/*":                          UpdateProfile,
	"GET users/*":                            Profiles,
}

// request is a call with its parameters under v1's names, whatever generation
// it was written in.
type request struct {
	http    *http.Request
	body    []byte
	version string // "v1", "v2"
	api     string // "" = no such interface
	params  map[string]string
	devices []string // Kick
	bad     string   // the parameter that has a wrong form, if any
}

func newRequest(r *http.Request, body []byte) *request {
	q := &request{http: r, body: body, params: make(map[string]string)}
	path := r.URL.EscapedPath()
	if action, ok := strings.CutPrefix(path, "/nimserver/user/"); ok {
		action, ok = strings.CutSuffix(action, ".action")
		if api := v1Routes[action]; ok && r.Method == http.MethodPost && api != "" {
			q.version, q.api = "v1", api
			q.readForm()
		}
		return q
	}
	if rest, ok := strings.CutPrefix(strings.TrimPrefix(path, "/nimserver"), "/im/v2/"); ok {
		segments, id := strings.Split(rest, "/"), ""
		if len(segments) > 1 {
			id, segments[1] = segments[1], "*"
		}
		if api := v2Routes[r.Method+" "+strings.Join(segments, "/")]; api != "" {
			q.version, q.api = "v2", api
			q.readJSON()
			if id != "" {
				q.params["accid"], _ = url.PathUnescape(id)
			}
			if api == GetAccounts {
				q.params["accids"] = r.URL.Query().Get("account_ids")
			}
			if api == Block && q.params["enabled"] == "true" {
				q.api = Unblock
			}
		}
	}
	return q
}

// readForm takes parameters from a form only: the parameters of any other body
// are simply not there, which is how "accid is empty" comes about.
func (q *request) readForm() {
	if kind, _, _ := mime.ParseMediaType(q.http.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return
	}
	form, err := url.ParseQuery(string(q.body))
	if err != nil {
		q.bad = "body"
	}
	for name := range form {
		q.set(name, form.Get(name))
	}
}

// v2Names maps the members of v2's bodies, "." between levels, to v1's names.
var v2Names = map[string]string{
	"account_id":                 "accid",
	"token":                      "token",
	"need_kick":                  "needkick",
	"enabled":                    "enabled",
	"type":                       "type",
	"kick_notify_extension":      "kickNotifyExt",
	"configuration.enabled":      "enabled",
	"user_information.name":      "name",
	"user_information.avatar":    "icon",
	"user_information.sign":      "sign",
	"user_information.email":     "email",
	"user_information.birthday":  "birth",
	"user_information.mobile":    "mobile",
	"user_information.gender":    "gender",
	"user_information.extension": "ex",
}

func (q *request) readJSON() {
	if len(q.body) == 0 {
		return // calls without parameters; where one is needed, its absence is noticed
	}
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(q.body))
	d.UseNumber()
	kind, _, _ := mime.ParseMediaType(q.http.Header.Get("Content-Type"))
	if kind != "application/json" || d.Decode(&members) != nil || d.More() {
		q.bad = "body"
		return
	}
	prefix := ""
	if q.api == UpdateProfile {
		prefix = "user_information." // there the profile is the body itself
	}
	if list, given := members["device_id_list"]; given && q.api == Kick {
		delete(members, "device_id_list")
		devices, _ := list.([]any)
		for _, device := range devices {
			if name, ok := device.(string); ok {
				q.devices = append(q.devices, name)
			}
		}
		if list != nil && (len(q.devices) != len(devices) || devices == nil || len(devices) > 20) {
			q.bad = "device_id_list"
		}
	}
	q.readMembers(prefix, members)
}

func (q *request) readMembers(prefix string, members map[string]any) {
	for name, value := range members {
		to, known := v2Names[prefix+name]
		switch v := value.(type) {
		case map[string]any:
			if known {
				q.bad = to
			}
			q.readMembers(prefix+name+".", v)
		case string:
			if to == "gender" || to == "needkick" || to == "enabled" || to == "type" {
				q.bad = to
			}
			q.set(to, v)
		case json.Number:
			if known && to != "gender" && to != "type" {
				q.bad = to
			}
			q.set(to, v.String())
		case bool:
			if known && to != "needkick" && to != "enabled" {
				q.bad = to
			}
			if v {
				q.set(to, "true")
			} else {
				q.set(to, "false")
			}
		default:
			if known {
				q.bad = to
			}
		}
	}
}

func (q *request) set(name, value string) {
	if name == "" {
		return
	}
	if !utf8.ValidString(value) {
		q.bad = name
	}
	q.params[name] = value
}
