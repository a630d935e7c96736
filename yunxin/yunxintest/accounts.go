package yunxintest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Account is a copy of an account's state. Sessions has more about Live and Kicked.
type Account struct {
	Accid, Token, Name, Avatar string // Token is the only static one that is valid
	Blocked                    bool
	Live                       int // sessions opened by Login and not kicked
	Kicked                     int // sessions ended by a kick
}

type account struct {
	accid, token string
	profile      map[string]string // by v1's names
	blocked      bool
	sessions     []Session
	contended    bool // Behaviour.Contention has struck
}

// Account returns an account's state; accid may be in any letter case.
func (s *Simulator) Account(accid string) (Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[strings.ToLower(accid)]
	if a == nil {
		return Account{}, false
	}
	live, kicked := a.count()
	return Account{a.accid, a.token, a.profile["name"], a.profile["icon"], a.blocked, live, kicked}, true
}

// Accounts returns how many accounts there are.
func (s *Simulator) Accounts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accounts)
}

// Add puts an account there, as if another back end of the app had made it.
func (s *Simulator) Add(a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &account{
		accid:   strings.ToLower(a.Accid),
		token:   a.Token,
		profile: map[string]string{"name": a.Name, "icon": a.Avatar},
		blocked: a.Blocked,
	}
	for range a.Kicked {
		s.open(b, a.Token, 0)
	}
	b.kick("", s.now(), everybody)
	for range a.Live {
		s.open(b, a.Token, 0)
	}
	s.accounts[b.accid] = b
}

// result is what a call came to, before it is written in either generation.
type result struct {
	code     int
	text     string // of a failure
	account  *account
	accounts []*account // Profiles in v1, GetAccounts
	missing  []string   // GetAccounts
	kicked   []Session
	left     []Session // that a kick could not end
}

// failure chooses a failure by generation.
func (q *request) failure(v1Code int, v1Text string, v2Code int, v2Text string) result {
	if q.version == "v1" {
		return result{code: v1Code, text: v1Text}
	}
	return result{code: v2Code, text: v2Text}
}

func (q *request) badParameter(name string) result {
	return q.failure(414, "parameter "+name+" error", 414, "parameter error")
}

// limits of the fields, in UTF-16 units. An avatar's is said to be in bytes.
// https://doc.yunxin.163.com/messaging/server-apis/DQ3Nzk1MTY?platform=server
var fieldLimits = map[string]int{
	"token": 128, "name": 64, "icon": 1024, "sign": 256, "email": 64, "birth": 16,
	"mobile": 32, "ex": 1024, "props": 1024, "kickNotifyExt": 256,
}

var profileFields = []string{"name", "icon", "sign", "email", "birth", "mobile", "gender", "ex"}

// operate carries out a call that passed authentication.
func (s *Simulator) operate(q *request) result {
	switch {
	case q.api == Profiles && q.version == "v1":
		return s.v1Profiles(q)
	case q.api == GetAccounts:
		return s.getAccounts(q)
	}
	sent := q.params["accid"]
	switch {
	case sent == "" && q.bad == "":
		return q.failure(414, "accid is empty", 414, "parameter error")
	case !validAccid(sent):
		return q.badParameter("accid")
	case q.bad != "":
		return q.badParameter(q.bad)
	}
	for name, value := range q.params {
		size := len(utf16.Encode([]rune(value)))
		if name == "icon" {
			size = len(value)
		}
		if most, limited := fieldLimits[name]; limited && size > most {
			return q.badParameter(name)
		}
	}
	if g, given := q.params["gender"]; given && g != "0" && g != "1" && g != "2" {
		return q.badParameter("gender")
	}
	if q.api == Create || q.api == UpdateProfile {
		for _, word := range s.behaviour.AntispamWords {
			if strings.Contains(q.params["name"], word) {
				return q.failure(414, "parameter name error", 103451, "profile hit antispam")
			}
		}
	}

	accid := strings.ToLower(sent)
	a := s.accounts[accid]
	switch {
	case q.api == Create:
		return s.create(q, accid, a)
	case a == nil:
		return q.failure(414, sent+" is not registered", 102404, "account not exist")
	case a.blocked && s.behaviour.BlockedRefuses && q.api != Unblock:
		return q.failure(422, "account disabled", 102422, "account banned")
	}
	res := result{code: 200, account: a}
	kicks, whom := q.params["needkick"] == "true" && q.mayKick(), everybody
	switch q.api {
	case UpdateToken:
		if t := q.params["token"]; t != "" {
			a.token = t
		}
		if enabled, given := q.params["enabled"]; given && q.version == "v2" {
			a.blocked = enabled == "false"
		}
	case RefreshToken:
		a.token = s.newToken()
	case UpdateProfile:
		a.setProfile(q.params)
	case Block:
		if _, given := q.params["enabled"]; q.version == "v2" && !given {
			return q.badParameter("enabled")
		}
		a.blocked = true
	case Unblock:
		a.blocked = false
	case Kick:
		named := func(s Session) bool { return slices.Contains(q.devices, s.Device) }
		switch q.params["type"] {
		case "1":
		case "2":
			whom = named
		case "3":
			whom = func(s Session) bool { return !named(s) }
		default:
			return q.badParameter("type")
		}
		if s.behaviour.KickFails {
			res.left = a.live(whom)
			return res
		}
		kicks = true
	}
	if kicks {
		res.kicked = a.kick(q.api, s.now(), whom)
	}
	return res
}

// mayKick reports that a call has the parameter for it. In v1 only block has.
func (q *request) mayKick() bool {
	return q.api == Block || q.version == "v2" && (q.api == UpdateToken || q.api == Unblock)
}

func (s *Simulator) create(q *request, accid string, a *account) result {
	if a != nil {
		if q.version == "v2" && s.behaviour.Contention && !a.contended {
			a.contended = true
			return result{code: 102449, text: "account operation need retry"}
		}
		return q.failure(414, "already register", 102405, "account already exists")
	}
	if most := s.behaviour.MaxAccounts; most > 0 && len(s.accounts) >= most {
		return q.failure(419, "account number over limit", 102434, "limit of accounts exceeded")
	}
	a = &account{accid: accid, token: q.params["token"], profile: make(map[string]string)}
	if a.token == "" {
		a.token = s.newToken()
	}
	a.blocked = q.version == "v2" && q.params["enabled"] == "false"
	a.setProfile(q.params)
	s.accounts[accid] = a
	return result{code: 200, account: a}
}

func (a *account) setProfile(params map[string]string) {
	for _, name := range profileFields {
		if value, given := params[name]; given {
			a.profile[name] = value
		}
	}
}

// v1Profiles reads several profiles; accids is a JSON array in a string.
// https://doc.yunxin.163.com/messaging/server-apis/zI0NzYyMDQ?platform=server
func (s *Simulator) v1Profiles(q *request) result {
	var ids []string
	if json.Unmarshal([]byte(q.params["accids"]), &ids) != nil || len(ids) == 0 || len(ids) > 200 {
		return q.badParameter("accids")
	}
	res := result{code: 200}
	for _, id := range ids {
		if a := s.accounts[strings.ToLower(id)]; a != nil {
			res.accounts = append(res.accounts, a)
		}
	}
	return res
}

// getAccounts is v2's query of several accounts.
// https://yunxin-im.apifox.cn/api-147175988
func (s *Simulator) getAccounts(q *request) result {
	ids := strings.Split(q.params["accids"], ",")
	if ids[0] == "" || len(ids) > 100 {
		return q.badParameter("account_ids")
	}
	res := result{code: 200}
	for _, id := range ids {
		if a := s.accounts[strings.ToLower(id)]; a != nil {
			res.accounts = append(res.accounts, a)
		} else {
			res.missing = append(res.missing, id)
		}
	}
	return res
}

// newToken looks like the tokens that Yunxin generates.
func (s *Simulator) newToken() string {
	return fmt.Sprintf("%016x%016x", s.random.Uint64(), s.random.Uint64())
}

func validAccid(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@.-", r)) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// v2ProfileNames are the members of a profile that v2 calls otherwise.
var v2ProfileNames = map[string]string{"icon": "avatar", "birth": "birthday", "ex": "extension"}

// members lists a profile under the names of a generation.
func (a *account) members(version string) object {
	var o object
	for _, name := range profileFields {
		value, given := a.profile[name]
		if !given {
			continue
		}
		if other := v2ProfileNames[name]; version == "v2" && other != "" {
			name = other
		}
		o = append(o, member{name, value})
	}
	return o
}
