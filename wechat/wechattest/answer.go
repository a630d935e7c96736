package wechattest

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
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
}

// answer is what a handler gives back: fields, or an errcode.
type answer struct {
	errcode int
	detail  string // takes the place of the usual errmsg
	fields  []field
}

type field struct {
	name  string
	value any // string, int, bool or []string
}

type endpoint struct {
	method string
	serve  func(*call) answer
}

var apis = map[string]endpoint{
	AccessTokenPath:  {http.MethodGet, (*call).accessToken},
	RefreshTokenPath: {http.MethodGet, (*call).refreshToken},
	UserInfoPath:     {http.MethodGet, (*call).userInfo},
	AuthPath:         {http.MethodGet, (*call).auth},
	TokenPath:        {http.MethodGet, (*call).token},
	StableTokenPath:  {http.MethodPost, (*call).stableToken},
	FollowerPath:     {http.MethodGet, (*call).follower},
	Code2SessionPath: {http.MethodGet, (*call).code2Session},
	TicketPath:       {http.MethodGet, (*call).getTicket},
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
	if !f.wait(r) {
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
	out := a.encode(b.Hints)
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
	c := &call{s: s, b: s.behaviour, now: s.now(), query: entry.Query, body: body, entry: entry}
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

// admit applies what does not depend on the parameters: allow-list and quota of
// the sns calls.
func (c *call) admit(r *http.Request) (answer, bool) {
	sns := strings.HasPrefix(r.URL.Path, "/sns/")
	issues := r.URL.Path == TokenPath || r.URL.Path == StableTokenPath
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if (issues || sns && c.b.AllowListOnSNS) && c.b.AllowedAddress != "" && host != c.b.AllowedAddress {
		return answer{errcode: 40164, detail: fmt.Sprintf("invalid ip %s ipv6 ::ffff:%s, not in whitelist", host, host)}, false
	}
	if sns && c.exceeds(r.URL.Path, time.Minute, cmp.Or(c.b.SNSPerMinute, 50_000)) {
		return refuse(45011), false
	}
	return answer{}, true
}

// counter counts within one window of time.
type counter struct {
	window time.Time
	n      int
}

// exceeds counts a call under name and tells whether there were more than limit
// in this window.
func (c *call) exceeds(name string, length time.Duration, limit int) bool {
	k := c.s.counters[name]
	if window := c.now.Truncate(length); k == nil || !k.window.Equal(window) {
		k = &counter{window: window}
		c.s.counters[name] = k
	}
	k.n++
	return k.n > limit
}

// encode writes the body. Not with encoding/json, which would repair the
// nicknames that WeChat leaves broken.
func (a answer) encode(hints bool) []byte {
	fields := a.fields
	if a.errcode != 0 {
		text := a.detail
		if text == "" {
			text = cmp.Or(messages[a.errcode], "error")
		}
		if hints {
			text += " hints: [ req_id: " + random(14) + " ]"
		} else {
			id := identifier(random(16))
			text += fmt.Sprintf(", rid: %.8x-%.8x-%.8x", id[1:5], id[5:9], id[9:13])
		}
		fields = []field{{"errcode", a.errcode}, {"errmsg", text}}
	}
	out := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(quote(out, f.name), ':')
		switch v := f.value.(type) {
		case string:
			out = quote(out, v)
		case int:
			out = strconv.AppendInt(out, int64(v), 10)
		case []string:
			out = append(out, '[')
			for j, item := range v {
				if j > 0 {
					out = append(out, ',')
				}
				out = quote(out, item)
			}
			out = append(out, ']')
		}
	}
	return append(out, '}')
}

var quoter = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `/`, `\/`)

func quote(out []byte, s string) []byte {
	return append(append(append(out, '"'), quoter.Replace(s)...), '"')
}
