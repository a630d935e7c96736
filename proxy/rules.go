package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// level is what a rule demands of a request; a higher one is stricter.
type level uint8

const (
	levelPublic  level = iota // anybody; identity is sent along where there is one
	levelUser                 // a session
	levelProfile              // a session of a user who shared name and avatar
	levelDeny                 // nobody: 404
)

var levelNames = map[string]level{
	"public": levelPublic, "user": levelUser, "profile": levelProfile, "deny": levelDeny,
}

// Rules say which paths demand what. The zero value demands a session
// everywhere.
type Rules struct {
	exact  []rule // as written
	folded []rule // the same with lower-case paths, for apps that ignore case
	cased  bool   // some path has a capital, so the two differ
	// byMethod tells that some rule names a method; else it makes no difference.
	byMethod bool
}

type rule struct {
	level   level
	token   bool // +token: the app is sent the Yunxin token too
	method  string
	path    string
	subtree bool
}

// ParseRules reads WXGATE_ROUTES: entries `LEVEL [METHOD] PATH`, separated by
// `;` or newlines. All faults are reported, joined.
func ParseRules(text string) (Rules, error) {
	var rs Rules
	var faults []error
	seen := map[string]bool{}
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			continue
		}
		r, err := parseRule(fields)
		if err != nil {
			faults = append(faults, fmt.Errorf("%q: %w", strings.Join(fields, " "), err))
			continue
		}
		if key := r.method + " " + r.path; seen[key] {
			faults = append(faults, fmt.Errorf("%q: a rule for this path stands there already", strings.Join(fields, " ")))
		} else {
			seen[key] = true
		}
		rs.byMethod = rs.byMethod || r.method != ""
		rs.exact = append(rs.exact, r)
		lower := strings.ToLower(r.path)
		rs.cased = rs.cased || lower != r.path
		r.path = lower
		rs.folded = append(rs.folded, r)
	}
	// Longest path first, and before a rule for every method the one that
	// names the method: then the first match is the right one. Of rules that
	// differ in case only, the strictest comes first among the folded ones.
	order := func(a, b rule) int {
		return cmp.Or(len(b.path)-len(a.path), len(b.method)-len(a.method), int(b.level)-int(a.level))
	}
	slices.SortStableFunc(rs.exact, order)
	slices.SortStableFunc(rs.folded, order)
	return rs, errors.Join(faults...)
}

func parseRule(fields []string) (rule, error) {
	var r rule
	name, token := strings.CutSuffix(fields[0], "+token")
	var ok bool
	if r.level, ok = levelNames[name]; !ok {
		return r, errors.New("the level must be public, user, profile, deny, user+token or profile+token")
	}
	if token && r.level != levelUser && r.level != levelProfile {
		return r, errors.New("+token goes with user and profile only: nobody else has a token")
	}
	r.token = token
	switch len(fields) {
	case 2:
		r.path = fields[1]
	case 3:
		r.method, r.path = fields[1], fields[2]
		if !methods[r.method] {
			return r, fmt.Errorf("%s is not a method that is ever forwarded (methods are upper case)", r.method)
		}
	default:
		return r, errors.New("want LEVEL [METHOD] PATH")
	}
	if !strings.HasPrefix(r.path, "/") {
		return r, errors.New("the path must begin with /")
	}
	if reserved(strings.ToLower(r.path)) {
		return r, fmt.Errorf("%s is the gateway's own", prefix)
	}
	if strings.ContainsFunc(r.path, unfitForRule) || clean(r.path) != r.path {
		return r, errors.New(`the path must be plain ASCII: no empty or dot segments, no %, ;, ?, #, \ or control bytes`)
	}
	r.subtree = strings.HasSuffix(r.path, "/")
	return r, nil
}

// unfitForRule tells of bytes that are, or may be, read as something else than
// themselves in a path.
func unfitForRule(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`%;?#\`, r)
}

// demand is what a request has to meet.
type demand struct {
	level level
	token bool
	// reserved tells that some reading of the path lies under our own prefix.
	reserved bool
}

// and is what meets both demands.
func (d demand) and(other demand) demand {
	d.level = max(d.level, other.level)
	d.token = d.token && other.token
	return d
}

// Match finds what the rules demand of a method and a raw path (the bytes of
// the request target before the query).
//
// The app decides what a path means, and apps differ: some decode twice, some
// drop `;x`, some ignore case. So a path that has more than one plausible
// reading gets the strictest demand of all of them, and one that is odd by
// itself is never public.
func (rs Rules) Match(method, rawPath string) demand {
	d := find(rs.exact, method, rawPath)
	if lower := strings.ToLower(rawPath); plain(lower) {
		if rs.cased || lower != rawPath {
			d = d.and(find(rs.folded, method, lower))
		}
		return d // our own prefix is not plain
	}
	all, odd := readings(rawPath)
	for _, path := range all {
		d = d.and(find(rs.folded, method, path))
		d.reserved = d.reserved || reserved(path)
	}
	if odd {
		d.level = max(d.level, levelUser)
	}
	return d
}

// find returns what the rules, ordered by ParseRules, say of one reading.
func find(rules []rule, method, path string) demand {
	for i := range rules {
		r := &rules[i]
		slash := false
		if r.path != path && !(r.subtree && strings.HasPrefix(path, r.path)) {
			// Many frameworks serve /x/ where the rule says /x, so there it
			// has to meet this rule too, if none is written for /x/.
			if slash = !r.subtree && len(path) == len(r.path)+1 && path[len(r.path)] == '/' && strings.HasPrefix(path, r.path); !slash {
				continue
			}
		}
		// A rule for GET holds for HEAD: both read the same thing.
		if r.method != "" && r.method != method && !(r.method == http.MethodGet && method == http.MethodHead) {
			continue
		}
		d := demand{level: r.level, token: r.token}
		if slash {
			d = d.and(find(rules[i+1:], method, path))
		}
		return d
	}
	return demand{level: levelUser}
}

func reserved(path string) bool {
	return strings.HasPrefix(path, prefix) || path == prefix[:len(prefix)-1]
}

// methods are those that a request may have: the registered ones (IANA HTTP
// Method Registry) but CONNECT, which asks for a tunnel, PRI, which is no
// method, and TRACE, whose answer would hand the page the headers that we add.
var methods = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`GET HEAD POST PUT DELETE OPTIONS PATCH QUERY
		ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL
		MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH REBIND REPORT SEARCH UNBIND UNCHECKOUT
		UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL`) {
		m[name] = true
	}
	return m
}()
