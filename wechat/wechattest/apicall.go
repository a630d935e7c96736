package wechattest

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
)

// Paths of calls with a server token.
const (
	MenuCreatePath  = "/cgi-bin/menu/create"
	MenuGetPath     = "/cgi-bin/menu/get"
	MenuDeletePath  = "/cgi-bin/menu/delete"
	CustomSendPath  = "/cgi-bin/message/custom/send"
	MediaUploadPath = "/cgi-bin/media/upload"
	MediaGetPath    = "/cgi-bin/media/get"
)

// accountAPIs are the calls of an account for itself, other than the few that its
// logins need. Their bodies stream both ways, so Server.mu is not held while one
// is served.
var accountAPIs = map[string]accountEndpoint{
	MenuCreatePath:  {http.MethodPost, (*accountCall).createMenu},
	MenuGetPath:     {http.MethodGet, (*accountCall).getMenu},
	MenuDeletePath:  {http.MethodGet, (*accountCall).deleteMenu},
	CustomSendPath:  {http.MethodPost, (*accountCall).customSend},
	MediaUploadPath: {http.MethodPost, (*accountCall).uploadMedia},
	MediaGetPath:    {http.MethodGet, (*accountCall).getMedia},
}

type accountEndpoint struct {
	method string
	serve  func(*accountCall) accountAnswer
}

// accountCall is one such call, whose token was found good.
type accountCall struct {
	*call
	r   *http.Request
	app App
}

// accountAnswer is an answer, or JSON that was written already, or a file.
type accountAnswer struct {
	answer
	json []byte
	file *Medium
}

var fine = accountAnswer{answer: answer{fields: []field{{"errcode", 0}, {"errmsg", "ok"}}}}

func refuseAccount(errcode int, errmsg string) accountAnswer {
	return accountAnswer{answer: answer{errcode: errcode, detail: errmsg}}
}

// account is what the simulator keeps about the accounts' own calls.
type account struct {
	menus    map[string]json.RawMessage // by appid, as they were sent
	messages []CustomMessage
	media    map[string]*Medium // by media_id
	mediaIDs []string           // in order of arrival
}

func (s *Server) accountAPI(w http.ResponseWriter, r *http.Request, e accountEndpoint) {
	f := s.takeFault(r.URL.Path)
	entry, a, processed := s.seen(r), accountAnswer{}, false
	process := func() {
		a, processed = s.processAccount(r, e, &entry), true
		// WeChat's front takes a body to its end before it answers.
		io.Copy(io.Discard, r.Body)
	}
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
		io.Copy(io.Discard, r.Body)
		a = accountAnswer{answer: refuse(f.Errcode)}
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
		panic(http.ErrAbortHandler)
	}
	b := s.Behaviour()
	out := a.json
	if out == nil && a.file == nil {
		out = a.encode(b)
	}
	w.Header().Set("Content-Type", cmp.Or(b.ContentType, "text/plain"))
	if a.file != nil {
		a.file.header(w.Header())
	}
	if f.Body != nil {
		out, a.file = f.Body(out), nil
		w.Header().Del("Content-Length")
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
	if a.file != nil {
		io.Copy(w, a.file.Open())
		return
	}
	w.Write(out)
}

func (s *Server) processAccount(r *http.Request, e accountEndpoint, entry *Entry) accountAnswer {
	if r.Method != e.method {
		if e.method == http.MethodGet {
			return accountAnswer{answer: refuse(43001)}
		}
		return accountAnswer{answer: refuse(43002)}
	}
	s.mu.Lock()
	c := &accountCall{call: &call{s: s, b: s.behaviour, now: s.now(), query: entry.Query, entry: entry, address: clientAddress(r)}, r: r}
	appid, a, ok := c.account()
	c.app = s.apps[appid]
	s.mu.Unlock()
	if !ok {
		return accountAnswer{answer: a}
	}
	return e.serve(c)
}

// readJSON reads a body that WeChat wants in JSON.
func (c *accountCall) readJSON() (body []byte, a accountAnswer, ok bool) {
	body, err := io.ReadAll(io.LimitReader(c.r.Body, 1<<20))
	switch {
	case err != nil || !json.Valid(body) && len(body) > 0:
		return nil, accountAnswer{answer: refuse(47001)}, false
	case len(body) == 0:
		return nil, accountAnswer{answer: refuse(44002)}, false
	}
	return body, accountAnswer{}, true
}

// VoidServerToken voids the current server tokens of an account, as a forced
// refresh by somebody else does: the next call with them meets 40001, and the next
// request for a token gets a new one.
func (s *Server) VoidServerToken(appid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.issuers[appid]
	if i == nil {
		return
	}
	for _, t := range []*serverToken{i.classic, i.stable} {
		if t != nil {
			t.void = s.now()
		}
	}
	i.classic, i.stable = nil, nil
}

// CustomMessage is a message that an account sent to a person.
type CustomMessage struct {
	AppID, OpenID string
	Type          string          // msgtype
	Body          json.RawMessage // as it was sent
}

// CustomMessages returns what accounts sent, oldest first.
func (s *Server) CustomMessages() []CustomMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.account.messages)
}

var messageTypes = []string{
	"text", "image", "voice", "video", "music", "news", "mpnews", "mpnewsarticle", "msgmenu", "wxcard", "miniprogrampage", "link",
}

// customSend takes a message for a person who follows the account; that the person
// wrote within the last 48 hours is believed.
// https://developers.weixin.qq.com/doc/service/api/customer/message/api_sendcustommessage
func (c *accountCall) customSend() accountAnswer {
	body, a, ok := c.readJSON()
	if !ok {
		return a
	}
	var in struct {
		ToUser  string `json:"touser"`
		MsgType string `json:"msgtype"`
		Text    struct {
			Content string `json:"content"`
		} `json:"text"`
	}
	if json.Unmarshal(body, &in) != nil {
		return accountAnswer{answer: refuse(47001)}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p, found := c.s.playerByOpenID(in.ToUser, c.app.ID)
	c.entry.Player = p.ID
	switch {
	case !found:
		return accountAnswer{answer: refuse(40003)}
	case !slices.Contains(messageTypes, in.MsgType):
		return refuseAccount(40008, "invalid message type")
	case in.MsgType == "text" && in.Text.Content == "":
		return refuseAccount(44004, "empty content")
	case c.app.Kind == ServiceAccount && !p.Follower:
		return refuseAccount(45015, "response out of time limit or subscription is canceled")
	}
	if len(c.s.account.messages) >= maxJournal {
		c.s.account.messages = slices.Delete(c.s.account.messages, 0, maxJournal/2)
	}
	c.s.account.messages = append(c.s.account.messages, CustomMessage{c.app.ID, in.ToUser, in.MsgType, body})
	return fine
}
