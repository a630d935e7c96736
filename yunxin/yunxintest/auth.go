package yunxintest

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// window is how far CurTime may be from Yunxin's clock, either way.
// https://doc.commsease.com/messaging/server-apis/jk3MzY2MTI?platform=server
const window = 5 * time.Minute

// authenticate judges the four headers and returns a result with code 0 if
// they are in order.
func (s *Simulator) authenticate(q *request) result {
	v1Text, v2Code := "", cmp.Or(s.behaviour.V2AuthCode, 403)
	h := q.http.Header
	for _, name := range []string{"AppKey", "Nonce", "CurTime", "CheckSum"} {
		if v := h.Values(name); len(v) != 1 || v[0] == "" {
			v1Text = "bad http header"
		}
	}
	seconds, err := strconv.ParseInt(h.Get("CurTime"), 10, 64)
	sum := sha1.Sum([]byte(s.cfg.AppSecret + h.Get("Nonce") + h.Get("CurTime")))
	switch {
	case v1Text != "":
	case err != nil || len(h.Get("Nonce")) > 128:
		v1Text = "bad http header"
	case h.Get("AppKey") != s.cfg.AppKey:
		v1Text, v2Code = "appkey", cmp.Or(s.behaviour.V2UnknownKeyCode, 101303)
	case s.now().Sub(time.Unix(seconds, 0)).Abs() > window:
		v1Text = "CurTime is expired"
	case h.Get("CheckSum") != hex.EncodeToString(sum[:]):
		v1Text = "checksum"
	}
	switch {
	case v1Text == "":
		return result{}
	case q.version == "v1":
		return result{code: 414, text: v1Text}
	case v2Code == 101303:
		return result{code: v2Code, text: "app key not exist"}
	default:
		return result{code: v2Code, text: "authentication failed"}
	}
}

// limit counts the calls of one interface.
type limit struct {
	second time.Time // when the second being counted began
	calls  int
	shut   time.Time // no call before this
}

// overLimit counts a call. The one over the limit and all of the following ten
// seconds on this interface are refused, other interfaces go on.
// https://doc.yunxin.163.com/messaging/server-apis/zk4Mzg0MjE?platform=server
func (s *Simulator) overLimit(q *request) bool {
	now, key := s.now(), q.version+" "+q.api
	if q.version == "v2" && q.api == Unblock {
		key = "v2 " + Block // one interface, with a parameter
	}
	l := s.limits[key]
	if l == nil {
		l = &limit{second: now}
		s.limits[key] = l
	}
	if now.Before(l.shut) {
		return true
	}
	if now.Sub(l.second).Abs() >= time.Second {
		l.second, l.calls = now, 0
	}
	l.calls++
	if l.calls > s.cfg.PerSecond {
		l.shut = now.Add(10 * time.Second)
		return true
	}
	return false
}

// repeated reports a trace id seen before, if Behaviour wants that checked.
func (s *Simulator) repeated(q *request) bool {
	id := q.http.Header.Get("RequestId") + q.http.Header.Get("X-custom-traceid")
	if !s.behaviour.DedupTraceID || id == "" {
		return false
	}
	id = strings.ToLower(id)
	seen := s.traces[id]
	s.traces[id] = true
	return seen
}
