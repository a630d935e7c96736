package identity

import "net/http"

// The headers that the upstream receives about a logged-in user.
const (
	HeaderAssertion   = "X-Wxgate-Assertion" // the signed token; all others are unsigned copies of what it says
	HeaderUser        = "X-Wxgate-User"
	HeaderChannel     = "X-Wxgate-Channel"
	HeaderAppID       = "X-Wxgate-Appid"
	HeaderOpenID      = "X-Wxgate-Openid"
	HeaderUnionID     = "X-Wxgate-Unionid"
	HeaderName        = "X-Wxgate-Name"   // percent-encoded UTF-8, because header values are not reliably anything but ASCII
	HeaderAvatar      = "X-Wxgate-Avatar" // a URL, as it is
	HeaderYunxinAccid = "X-Wxgate-Yunxin-Accid"
	HeaderYunxinToken = "X-Wxgate-Yunxin-Token" // only on routes that ask for it; in no assertion
	HeaderSnapshot    = "X-Wxgate-Snapshot"     // "1" for the visitor of a snapshot page
)

// The reserved headers of answers.
const (
	HeaderRequire  = "X-Wxgate-Require"   // from the upstream: "profile" asks for a consented login
	HeaderLoginURL = "X-Wxgate-Login-Url" // to a front proxy: where an anonymous visitor should be sent
)

// Identity is what [NewHeaders] can tell the upstream. Empty fields send nothing.
type Identity struct {
	Assertion   string
	User        string
	Channel     string
	AppID       string
	OpenID      string
	UnionID     string
	Name        string // plain text
	Avatar      string
	YunxinAccid string
	YunxinToken string
	Snapshot    bool
}

// Headers is a list of identity headers, ready to be put on any number of requests. The zero value is empty. It is immutable.
type Headers struct {
	list []header
}

type header struct {
	name  string // canonical
	value []string
}

// NewHeaders prepares the headers of a session. Without plain only the assertion is sent, and the Yunxin token where it is given: a
// route asks for that one by itself, and the assertion does not repeat it. For a snapshot visitor nothing that names a person is
// sent, because WeChat's ids are made up there. A value that is not visible ASCII is left out whole rather than changed, so
// that no byte of it can end the line or be read differently by the app.
func NewHeaders(id Identity, plain bool) Headers {
	var h Headers
	add := func(name, value string) {
		if value != "" && visibleASCII(value) {
			// The capacity is 1: if somebody appends to a request's value, the append copies.
			h.list = append(h.list, header{name, []string{value}})
		}
	}
	add(HeaderAssertion, id.Assertion)
	if !id.Snapshot {
		add(HeaderYunxinToken, id.YunxinToken)
	}
	if !plain {
		return h
	}
	add(HeaderChannel, id.Channel)
	add(HeaderAppID, id.AppID)
	if id.Snapshot {
		add(HeaderSnapshot, "1")
		return h
	}
	add(HeaderUser, id.User)
	add(HeaderOpenID, id.OpenID)
	add(HeaderUnionID, id.UnionID)
	add(HeaderName, percentEncode(id.Name))
	add(HeaderAvatar, id.Avatar)
	add(HeaderYunxinAccid, id.YunxinAccid)
	return h
}

// Len is how many headers Apply sets, so that a map can be made in the right size.
func (h Headers) Len() int { return len(h.list) }

// Apply sets the headers. It allocates nothing beyond what the map itself may need to grow, because the values are shared by all
// requests: they may be replaced in dst but must not be written into. Call [Strip] first, on the same map.
func (h Headers) Apply(dst http.Header) {
	for i := range h.list {
		dst[h.list[i].name] = h.list[i].value
	}
}

// percentEncode encodes every byte that RFC 3986, section 2.3 does not call unreserved, so that any URL decoder gives back the text; "+" and
// space, which decoders disagree about, never appear.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
