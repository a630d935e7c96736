package wechattest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Paths of the server interfaces.
const (
	AccessTokenPath  = "/sns/oauth2/access_token"
	RefreshTokenPath = "/sns/oauth2/refresh_token"
	UserInfoPath     = "/sns/userinfo"
	AuthPath         = "/sns/auth"
	TokenPath        = "/cgi-bin/token"
	StableTokenPath  = "/cgi-bin/stable_token"
	FollowerPath     = "/cgi-bin/user/info"
	Code2SessionPath = "/sns/jscode2session"
	TicketPath       = "/cgi-bin/ticket/getticket"
)

// call is one request of a server interface. Handlers run with Server.mu held.
type call struct {
	s     *Server
	b     Behaviour
	now   time.Time
	query url.Values
	body  []byte
	entry *Entry
	// address of the client
	address string
}

// answer is what a handler gives back: fields, or an errcode.
type answer struct {
	errcode int
	detail  string // takes the place of the usual errmsg
	fields  []field
}

type field struct {
	name  string
	value any // string, int, []string, object or list
}

// object and list nest.
type (
	object []field
	list   []any
)

type endpoint struct {
	method string
	serve  func(*call) answer
}

var apis = join(map[string]endpoint{
	AccessTokenPath:  {http.MethodGet, (*call).accessToken},
	RefreshTokenPath: {http.MethodGet, (*call).refreshToken},
	UserInfoPath:     {http.MethodGet, (*call).userInfo},
	AuthPath:         {http.MethodGet, (*call).auth},
	TokenPath:        {http.MethodGet, (*call).token},
	StableTokenPath:  {http.MethodPost, (*call).stableToken},
	FollowerPath:     {http.MethodGet, (*call).follower},
	Code2SessionPath: {http.MethodGet, (*call).code2Session},
	TicketPath:       {http.MethodGet, (*call).getTicket},
}, componentAPIs)

func join(tables ...map[string]endpoint) map[string]endpoint {
	all := map[string]endpoint{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// messages are the error texts, as far as they were seen.
var messages = map[int]string{
	-1:    "system error",
	40001: "invalid credential, access_token is invalid or not latest",
	40002: "invalid grant_type",
	40003: "invalid openid",
	40013: "invalid appid",
	40014: "invalid access_token",
	40029: "invalid code",
	40030: "invalid refresh_token",
	40097: "invalid args",
	40125: "invalid appsecret",
	40163: "code been used",
	40226: "code blocked",
	40243: "AppSecret has been frozen",
	41001: "access_token missing",
	41002: "appid missing",
	41003: "missing refresh_token",
	41004: "appsecret missing",
	41008: "missing code",
	41009: "missing openid",
	42001: "access_token expired",
	42003: "oauth_code expired",
	43001: "require GET method",
	43002: "require POST method",
	44002: "empty post data",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit  must slower  retry next minute",
	47001: "data format error",
	48001: "api unauthorized",
	50001: "user unauthorized",
	50002: "user limited",
}

func refuse(errcode int) answer { return answer{errcode: errcode} }

func (s *Server) api(w http.ResponseWriter, r *http.Request, e endpoint) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "request body unreadable or over 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	f := s.takeFault(r.URL.Path)
	entry, a, processed := s.seen(r), answer{}, false
	process := func() { a, processed = s.process(r, e, body, &entry), true }
	if f.Processed {
		process()
	}
	if !f.wait(r.Context()) {
		entry.Result = "abandoned"
		s.record(entry)
		return
	}
	if !processed && !f.Drop && f.Errcode == 0 {
		process()
	}
	if f.Errcode != 0 {
		a = refuse(f.Errcode)
	}
	entry.Errcode = a.errcode
	switch {
	case f.Drop:
		entry.Result = "dropped"
	case f.Body != nil || f.Status != 0:
		entry.Result = "fault"
	case a.errcode != 0:
		entry.Result = "errcode"
	default:
		entry.Result = "ok"
	}
	s.record(entry)
	if f.Drop {
		panic(http.ErrAbortHandler) // net/http closes the connection, silently
	}
	b := s.Behaviour()
	out := a.encode(b)
	if f.Body != nil {
		out = f.Body(out)
	}
	w.Header().Set("Content-Type", cmp.Or(b.ContentType, "text/plain"))
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
	w.Write(out)
}

func (s *Server) process(r *http.Request, e endpoint, body []byte, entry *Entry) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{s: s, b: s.behaviour, now: s.now(), query: entry.Query, body: body, entry: entry, address: clientAddress(r)}
	if r.Method != e.method {
		if e.method == http.MethodGet {
			return refuse(43001)
		}
		return refuse(43002)
	}
	if a, ok := c.admit(r); !ok {
		return a
	}
	return e.serve(c)
}

// admit applies what does not depend on the parameters: allow-lists and quota of
// the sns calls.
func (c *call) admit(r *http.Request) (answer, bool) {
	sns := strings.HasPrefix(r.URL.Path, "/sns/")
	issues := r.URL.Path == TokenPath || r.URL.Path == StableTokenPath
	_, component := componentAPIs[r.URL.Path]
	switch {
	case component && c.foreign():
		return refuse(61004), false
	case !component && (issues || sns && c.b.AllowListOnSNS) && c.foreign():
		return answer{errcode: 40164, detail: fmt.Sprintf("invalid ip %s ipv6 ::ffff:%s, not in whitelist", c.address, c.address)}, false
	}
	if sns && c.exceeds(r.URL.Path, time.Minute, cmp.Or(c.b.SNSPerMinute, 50_000)) {
		return refuse(45011), false
	}
	return answer{}, true
}

func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// foreign tells whether the client's address is not on the allow-list.
func (c *call) foreign() bool {
	return c.b.AllowedAddress != "" && c.address != c.b.AllowedAddress
}

// counter counts within one window of time.
type counter struct {
	window time.Time
	n      int
}

// exceeds counts a call under name and tells whether there were more than limit
// in this window. A window begins with the first call in it, at no time of the
// clock: a test must not depend on when it is run.
func (c *call) exceeds(name string, length time.Duration, limit int) bool {
	k := c.s.counters[name]
	if k == nil || c.now.Sub(k.window) >= length {
		k = &counter{window: c.now}
		c.s.counters[name] = k
	}
	k.n++
	return k.n > limit
}
