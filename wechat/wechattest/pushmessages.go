package wechattest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strconv"
)

// Events with a meaning of their own here; EventMessage takes any other too.
const (
	EventSubscribe        = "subscribe"
	EventUnsubscribe      = "unsubscribe"
	EventUserInfoModified = "user_info_modified"
	EventRevoke           = "user_authorization_revoke"
	EventCancellation     = "user_authorization_cancellation"
)

var errNoPlayer = errors.New("no such player")

// OriginalID is the gh_… name of an account, the same in every run.
func (s *Server) OriginalID(appid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.apps[appid].UserName, originalID(appid))
}

func originalID(appid string) string {
	sum := sha256.Sum256([]byte("original id\x00" + appid))
	return "gh_" + hex.EncodeToString(sum[:6])
}

func (s *Server) messageHead(appid, from, kind string) string {
	return "<xml>" + element("ToUserName", s.OriginalID(appid)) + element("FromUserName", from) +
		"<CreateTime>" + strconv.FormatInt(s.Now().Unix(), 10) + "</CreateTime>\n" + element("MsgType", kind)
}

// TextMessage is what a player writes to an account.
func (s *Server) TextMessage(appid, player, text string) string {
	id := strconv.FormatInt(24e15+rand.Int64N(1e15), 10)
	return s.messageHead(appid, s.OpenID(player, appid), "text") + element("Content", text) + "<MsgId>" + id + "</MsgId>\n</xml>"
}

// EventMessage is an event of a player, with further elements as pairs of name
// and text. The three about an authorization come from WeChat's push service and
// name the person apart:
// https://developers.weixin.qq.com/doc/service/guide/h5/authorization_change.md
func (s *Server) EventMessage(appid, player, event string, more ...string) string {
	openid := s.OpenID(player, appid)
	var message string
	switch event {
	case EventUserInfoModified, EventRevoke, EventCancellation:
		message = s.messageHead(appid, identifier("push service", appid), "event") + element("Event", event) + element("OpenID", openid)
		if unionid := s.UnionID(player, appid); unionid != "" {
			message += element("UnionID", unionid)
		}
		message += element("AppID", appid)
		if event == EventRevoke && len(more) == 0 {
			message += element("RevokeInfo", "205") // name and avatar
		}
	case EventSubscribe, EventUnsubscribe:
		message = s.messageHead(appid, openid, "event") + element("Event", event)
		if len(more) == 0 {
			message += element("EventKey", "")
		}
	default:
		message = s.messageHead(appid, openid, "event") + element("Event", event)
	}
	for i := 0; i+1 < len(more); i += 2 {
		message += element(more[i], more[i+1])
	}
	return message + "</xml>"
}

// PushText delivers what a player writes.
func (s *Server) PushText(ctx context.Context, appid, player, text string) Pushed {
	s.mu.Lock()
	_, found := s.players[player]
	s.mu.Unlock()
	if !found {
		return Pushed{Err: errNoPlayer}
	}
	return s.Deliver(ctx, Delivery{AppID: appid, Message: s.TextMessage(appid, player, text)})
}

// PushEvent delivers an event of a player. A subscription makes a follower, its
// end makes none.
func (s *Server) PushEvent(ctx context.Context, appid, player, event string, more ...string) Pushed {
	if !s.follow(player, event) {
		return Pushed{Err: errNoPlayer}
	}
	return s.Deliver(ctx, Delivery{AppID: appid, Message: s.EventMessage(appid, player, event, more...)})
}

// follow lets a player follow, or not any more, if the event says so.
func (s *Server) follow(player, event string) (found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, found := s.players[player]
	if found && (event == EventSubscribe || event == EventUnsubscribe) {
		p.Follower = event == EventSubscribe
		s.players[player] = p
	}
	return found
}
