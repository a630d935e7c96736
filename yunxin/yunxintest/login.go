package yunxintest

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Login says what Yunxin would tell a page's NIM SDK: 200, and the account has
// one more live session (see Sessions); 302 for an account or token that is
// wrong, replaced or expired; 403 for an auth type that the login policy does
// not allow; 422 for a blocked account. authType is 0 for a static token, 1 for
// a dynamic one.
// These are the codes of the V9 SDK; V10Code translates.
func (s *Simulator) Login(appKey, accid, token string, authType int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[strings.ToLower(accid)]
	allowed := authType == 0 && !s.behaviour.StaticLoginOff || authType == 1 && s.behaviour.DynamicLogin
	switch {
	case appKey != s.cfg.AppKey || a == nil:
		return 302
	case !allowed:
		return 403
	case authType == 0 && token != a.token:
		return 302
	case authType == 1 && !s.validDynamic(a.accid, token):
		return 302
	case a.blocked:
		return 422
	}
	s.open(a, token, authType)
	return 200
}

// V10Code turns a code of Login into that of the V10 SDK.
func V10Code(code int) int {
	switch code {
	case 302, 422:
		return 102000 + code
	}
	return code
}

// validDynamic checks a dynamic token against the stored, lower-case account
// id. Its numbers may be strings, as a public builder writes them.
// https://doc.yunxin.163.com/messaging2/server-apis/jA1MTQ4MDU?platform=server
func (s *Simulator) validDynamic(accid, token string) bool {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return false
	}
	var t struct {
		Signature    string
		CurTime, TTL json.RawMessage
	}
	if json.Unmarshal(raw, &t) != nil {
		return false
	}
	curTime, ttl := strings.Trim(string(t.CurTime), `"`), strings.Trim(string(t.TTL), `"`)
	sum := sha1.Sum([]byte(s.cfg.AppKey + accid + curTime + ttl + s.cfg.AppSecret))
	ms, err1 := strconv.ParseInt(curTime, 10, 64)
	seconds, err2 := strconv.ParseInt(ttl, 10, 32)
	if t.Signature != hex.EncodeToString(sum[:]) || err1 != nil || err2 != nil {
		return false
	}
	made, now := time.UnixMilli(ms), s.now()
	return !made.After(now.Add(window)) && !made.Add(time.Duration(seconds)*time.Second).Before(now)
}

// serveLogin is Login for pages: POST {"appKey","account","token","authType"},
// answered by {"code","v10Code"}. Like Yunxin's own login servers it may be
// called from any origin; nobody's cookies are involved.
func (s *Simulator) serveLogin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
	default:
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	var q struct {
		AppKey, Account, Token string
		AuthType               int
	}
	if json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&q) != nil {
		http.Error(w, `body is not {"appKey","account","token","authType"}`, http.StatusBadRequest)
		return
	}
	code := s.Login(q.AppKey, q.Account, q.Token, q.AuthType)
	h.Set("Content-Type", "application/json")
	w.Write(mustMarshal(map[string]int{"code": code, "v10Code": V10Code(code)}))
}
