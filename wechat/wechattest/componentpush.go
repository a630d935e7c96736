package wechattest

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ComponentPush is an event for a third-party platform, or with AppID a message
// of an account that authorized it, and how to send it. What is left out is as
// WeChat does it.
type ComponentPush struct {
	InfoType string
	// Fields are further elements as pairs of name and text, Raw is XML to follow
	// them.
	Fields []string
	Raw    string
	// CreateTime is when it happened; default now.
	CreateTime time.Time
	// XML is the whole inner message instead of all above.
	XML string
	// AppID sends XML to the MessageURL as a message of this account. That it
	// authorized the platform is believed.
	AppID string

	// Timestamp is said in the query; default now.
	Timestamp time.Time
	// Tail ends the encrypted frame instead of the platform's appid.
	Tail string
	// AESKey is used instead of the platform's; PreviousKey takes the one before.
	AESKey      string
	PreviousKey bool
	// BadSignature spoils one digit of the msg_signature.
	BadSignature bool
	// Length is what the frame claims instead of the message's length.
	Length uint32
	// Copies are sent after the first one, each signed and encrypted anew. For the
	// same bytes once more there is Redeliver.
	Copies int
	// Attempts is how often each is sent while it is not accepted; default
	// [Behaviour.EventAttempts] for events, 3 for messages.
	Attempts int
	// Timeout is after how long of waiting the connection is cut; default 5s.
	Timeout time.Duration
	// Change spoils an attempt before it is sent.
	Change func(*Attempt)
}

// PushComponent sends p. The answer to an event must be the word success to the
// byte, that to a message what an account may answer, encrypted for the platform.
// The error is why the last answer is not accepted, or that nothing could be sent.
func (s *Server) PushComponent(ctx context.Context, componentID string, p ComponentPush) (Pushed, error) {
	s.mu.Lock()
	c := s.components[componentID]
	var settings Component
	if c != nil {
		settings = c.Component
	}
	attempts := cmp.Or(p.Attempts, s.behaviour.EventAttempts, pushAttempts)
	s.mu.Unlock()
	if c == nil {
		return failedPush(noComponent(componentID))
	}
	to, message, err := s.address(settings, p)
	if err != nil {
		return failedPush(err)
	}
	d := Delivery{
		Message: message, Attempts: attempts, Timeout: p.Timeout, AESKey: p.AESKey,
		Tail: p.Tail, Length: p.Length, Timestamp: p.Timestamp, Change: p.change(),
	}
	if !to.event {
		d.Attempts = p.Attempts
	}
	if p.PreviousKey {
		d.AESKey = settings.PreviousAESKey
		if d.AESKey == "" {
			return failedPush(errors.New("the third-party platform has no previous key"))
		}
	}
	out := s.deliver(ctx, to, d)
	for range p.Copies {
		again := s.deliver(ctx, to, d)
		again.Attempts = append(out.Attempts, again.Attempts...)
		out = again
	}
	return out, out.Err
}

func failedPush(err error) (Pushed, error) { return Pushed{Err: err}, err }

// address says where p goes, and writes its message.
func (s *Server) address(c Component, p ComponentPush) (to destination, message string, err error) {
	to = destination{
		settings: PushSettings{URL: c.EventURL, Token: c.Token, AESKey: c.AESKey, Mode: PushSafe},
		appid:    c.ID, tail: c.ID, outer: element("AppId", c.ID), event: true, faults: EventPushes,
	}
	message = p.XML
	if p.AppID != "" {
		to.settings.URL = strings.ReplaceAll(c.MessageURL, "$APPID$", p.AppID)
		to.appid, to.event, to.faults = p.AppID, false, MessagePushes
		to.outer = element("ToUserName", readNames(message).To)
	} else if message == "" {
		message = s.eventXML(c.ID, p)
	}
	if to.settings.URL == "" {
		err = fmt.Errorf("the third-party platform %s has no URL for this", c.ID)
	}
	return to, message, err
}

func (p ComponentPush) change() func(*Attempt) {
	if !p.BadSignature {
		return p.Change
	}
	return func(a *Attempt) {
		head, rest, _ := strings.Cut(a.URL, "msg_signature=")
		digit := byte('0')
		if rest[0] == digit {
			digit = '1'
		}
		a.URL = head + "msg_signature=" + string(digit) + rest[1:]
		if p.Change != nil {
			p.Change(a)
		}
	}
}

// eventXML writes an event. WeChat's samples wrap some texts in CDATA and leave
// others bare, so every other one is wrapped, and in the next event those between.
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html
func (s *Server) eventXML(componentID string, p ComponentPush) string {
	s.mu.Lock()
	s.events++
	wrap := s.events%2 == 1
	s.mu.Unlock()
	at := p.CreateTime
	if at.IsZero() {
		at = s.Now()
	}
	var b strings.Builder
	write := func(name, text string) {
		b.WriteString("<" + name + ">")
		if wrap {
			b.WriteString("<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>")
		} else {
			xml.EscapeText(&b, []byte(text))
		}
		b.WriteString("</" + name + ">")
		wrap = !wrap
	}
	b.WriteString("<xml>")
	write("AppId", componentID)
	b.WriteString("<CreateTime>" + strconv.FormatInt(at.Unix(), 10) + "</CreateTime>")
	write("InfoType", p.InfoType)
	for i := 0; i+1 < len(p.Fields); i += 2 {
		write(p.Fields[i], p.Fields[i+1])
	}
	b.WriteString(p.Raw + "</xml>")
	return b.String()
}

// PushTextOnBehalf sends what a player writes to an account to the platform that
// the account authorized.
func (s *Server) PushTextOnBehalf(ctx context.Context, componentID, appid, player, text string) (Pushed, error) {
	if err := s.canMessage(componentID, appid, player); err != nil {
		return failedPush(err)
	}
	return s.PushComponent(ctx, componentID, ComponentPush{AppID: appid, XML: s.TextMessage(appid, player, text)})
}

// PushEventOnBehalf sends an event of a player as PushEvent does, but to the
// platform that the account authorized.
func (s *Server) PushEventOnBehalf(ctx context.Context, componentID, appid, player, event string, more ...string) (Pushed, error) {
	if err := s.canMessage(componentID, appid, player); err != nil {
		return failedPush(err)
	}
	s.follow(player, event)
	return s.PushComponent(ctx, componentID, ComponentPush{AppID: appid, XML: s.EventMessage(appid, player, event, more...)})
}

func (s *Server) canMessage(componentID, appid, player string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[componentID]
	if c == nil {
		return noComponent(componentID)
	}
	if c.authorization(appid) == nil {
		return fmt.Errorf("%s has not authorized %s", appid, componentID)
	}
	if _, found := s.players[player]; !found {
		return errNoPlayer
	}
	return nil
}
