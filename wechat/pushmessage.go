package wechat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Events of a service account that change what is known about a person:
// https://developers.weixin.qq.com/doc/service/guide/h5/authorization_change.md and
// https://developers.weixin.qq.com/doc/service/guide/product/message/Receiving_event_pushes
const (
	EventSubscribe   = "subscribe"
	EventUnsubscribe = "unsubscribe"
	// EventUserInfoModified: WeChat removed a risky name or avatar, and asks to
	// refresh or drop the copy.
	EventUserInfoModified = "user_info_modified"
	// EventRevoke: the person withdrew consent; Field("RevokeInfo") says to what,
	// e.g. 205 for name and avatar.
	EventRevoke = "user_authorization_revoke"
	// EventCancellation: the person closed the WeChat account.
	EventCancellation = "user_authorization_cancellation"
)

// Message is one message or event, either from a person to an account or from
// WeChat itself.
type Message struct {
	ToUserName   string    // account, as its original id (gh_…)
	FromUserName string    // sender; see OpenID for the person
	CreateTime   time.Time // in whole seconds; zero if there was none
	MsgType      string    // "text", "event", …; empty in pushes to a third-party platform
	Event        string    // what happened, if MsgType is "event"
	MsgID        string    // of messages; events have none

	fields map[string]pushField
	sum    [sha256.Size]byte
}

// pushField is one element below the root.
type pushField struct {
	text string
	list bool // it holds further elements instead of text
}

var createTimeForm = regexp.MustCompile(`^[0-9]{1,12}$`)

// ParsePush reads the XML of an [Envelope], strictly: below a root "xml" every
// element with text occurs once, there are no attributes, comments, document
// types or processing instructions, and nothing follows. Lists of elements may
// repeat and nest; they are not made available.
func ParsePush(message []byte) (Message, error) {
	fields, err := readPushXML(message)
	if err != nil {
		return Message{}, err
	}
	m := Message{fields: fields, sum: sha256.Sum256(message)}
	m.ToUserName, m.FromUserName = m.Field("ToUserName"), m.Field("FromUserName")
	m.MsgType, m.MsgID = m.Field("MsgType"), m.Field("MsgId")
	if strings.EqualFold(m.MsgType, "event") { // WeChat's pages write it both ways
		m.Event = m.Field("Event")
	}
	if created, found := fields["CreateTime"]; found {
		if !createTimeForm.MatchString(created.text) {
			return Message{}, refusePush("CreateTime is not a time")
		}
		seconds, _ := strconv.ParseInt(created.text, 10, 64) // twelve digits do not overflow
		m.CreateTime = time.Unix(seconds, 0)
	}
	return m, nil
}

// Field returns the text of an element below the root, "" if there is none. Names
// are case-sensitive: MsgID of some events is something else than MsgId.
func (m Message) Field(name string) string { return m.fields[name].text }

// OpenID is the person whom the message is from or about. In the events about an
// authorization the sender is WeChat's push service and the person is named
// apart; of user_info_modified developers report that the name may be missing,
// which leaves "".
func (m Message) OpenID() string {
	switch m.Event {
	case EventUserInfoModified, EventRevoke, EventCancellation:
		return m.Field("OpenID")
	}
	return m.FromUserName
}

// Key is the same for a message that WeChat sends again because it got no answer
// in time, and different for any other: 64 hex digits. WeChat documents MsgId for
// messages and FromUserName with CreateTime for events; but two people who
// withdraw their consent within one second have these in common, so an event is
// known by the whole of its text.
func (m Message) Key() string {
	if m.MsgID == "" {
		return hex.EncodeToString(m.sum[:])
	}
	return fingerprint([]byte(strconv.Quote(m.ToUserName) + strconv.Quote(m.FromUserName) + m.MsgID))
}

const (
	// maxPushDepth is more than any documented message has, five.
	maxPushDepth = 10
	// maxPushElements is too: what is read before a signature is known to be right
	// must not cost much.
	maxPushElements = 512
)

// readPushXML returns the elements below the root. It exists because
// encoding/xml takes the last of two elements, joins text around comments, and
// passes over whatever stands before and after the root.
func readPushXML(data []byte) (map[string]pushField, error) {
	if len(data) > MaxPush {
		return nil, refusePush("it is too long")
	}
	if bytes.HasPrefix(data, []byte("{")) {
		return nil, refusePush("it is JSON: XML is to be chosen in the console")
	}
	// People write bytes that are no XML, and WeChat passes names on as they are.
	d := xml.NewDecoder(bytes.NewReader(bytes.Map(xmlCharacter, data)))
	fields := map[string]pushField{}
	var (
		depth int
		count int
		ended bool
		name  string
		text  []byte
		list  bool
	)
	for {
		token, err := d.Token()
		if err == io.EOF && ended {
			return fields, nil
		}
		if err != nil { // which could quote the message
			return nil, refusePush("it is not XML")
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
			if count++; count > maxPushElements {
				return nil, refusePush("it has too many elements")
			}
			if token.Name.Space != "" || len(token.Attr) > 0 {
				return nil, refusePush("an element has a prefix or attributes")
			}
			switch {
			case ended || depth == 1 && token.Name.Local != "xml":
				return nil, refusePush("it is not one element xml")
			case depth == 2:
				name, text, list = token.Name.Local, nil, false
			case depth > maxPushDepth:
				return nil, refusePush("it is nested too deep")
			case depth > 2:
				list = true
			}
		case xml.CharData:
			switch {
			case depth == 2:
				text = append(text, token...)
			case depth < 2 && !blank(string(token)):
				return nil, refusePush("there is text between the elements")
			}
		case xml.EndElement:
			depth--
			ended = depth == 0
			if depth != 1 {
				continue
			}
			field := pushField{string(text), list}
			if list {
				if !blank(field.text) {
					return nil, refusePush("an element has both text and elements")
				}
				field.text = ""
			}
			if former, twice := fields[name]; twice && !(former.list && list) {
				return nil, refusePush("an element is there twice")
			}
			fields[name] = field
		default:
			return nil, refusePush("it has a comment, a document type or a processing instruction")
		}
	}
}

func blank(s string) bool { return strings.Trim(s, " \t\r\n") == "" }

// xmlCharacter replaces what is no character of XML 1.0, and with bytes.Map what
// is not UTF-8.
func xmlCharacter(r rune) rune {
	switch {
	case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
		return r
	}
	return '\uFFFD'
}
