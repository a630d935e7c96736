package wechattest

import (
	"context"
	"encoding/xml"
	"net/http"
)

// written is the newest text that a player wrote to an account through the control
// page, and how the account answered.
type written struct{ Player, Text, Reply string }

// writeOnBehalf sends a text of a player to an account, and remembers the answer
// for the page.
func (s *Server) writeOnBehalf(r *http.Request, id, appid string) (Pushed, error) {
	player, text := r.PostFormValue("player"), r.PostFormValue("text")
	p, err := s.PushTextOnBehalf(context.WithoutCancel(r.Context()), id, appid, player, text)
	if err != nil {
		return p, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.desk.written == nil {
		s.desk.written = map[[2]string]written{}
	}
	s.desk.written[[2]string{id, appid}] = written{display(s.players[player]), text, readable(p.Reply)}
	return p, nil
}

// readable is what a person sees of a reply: the words of a text, and of anything
// else the XML.
func readable(reply string) string {
	var m struct {
		XMLName xml.Name `xml:"xml"`
		MsgType string
		Content string
	}
	if xml.Unmarshal([]byte(reply), &m) == nil && m.MsgType == "text" {
		return m.Content
	}
	return reply
}
