package session

import (
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

const (
	// visitorPrefix tells a visitor's token from a session's without opening
	// either.
	visitorPrefix = "v."
	visitorName   = "visitor"
	// visitorLife is short: WeChat forgets all that a snapshot page stored
	// as soon as the page is left.
	visitorLife = 30 * time.Minute
)

// visitor is the whole of a snapshot visitor's session: it rests in the cookie
// and nowhere else, because nobody is known to be there.
type visitor struct {
	Channel string `json:"c"`
	AppID   string `json:"a"`
	Created int64  `json:"t"`
}

// NewVisitor makes the token of a snapshot visitor. It costs no storage.
func (m *Manager) NewVisitor(channel, appID string) (token string, err error) {
	sealed, err := m.tokens[0].Encode(visitorName, visitor{channel, appID, m.now().Unix()})
	return visitorPrefix + sealed, err
}

// Visitor reads such a token. The session has no user.
func (m *Manager) Visitor(token string) (*Session, bool) {
	sealed, ok := strings.CutPrefix(token, visitorPrefix)
	if !ok || len(sealed) > maxCookieValue {
		return nil, false
	}
	var v visitor
	if securecookie.DecodeMulti(visitorName, sealed, &v, m.tokens...) != nil {
		return nil, false
	}
	created := time.Unix(v.Created, 0)
	s := &Session{Channel: v.Channel, AppID: v.AppID, CreatedAt: created, LastSeen: created, ExpiresAt: created.Add(visitorLife)}
	s.key = visitorPrefix + hash(token)
	return s, m.now().Before(s.ExpiresAt)
}

// Key is where the session is known: the key of its record, or a name of its
// own for a visitor, who has none.
func (s *Session) Key() string { return s.key }

// SetVisitorCookie gives the browser such a token.
func (m *Manager) SetVisitorCookie(h http.Header, token string) {
	m.jar.set(h, m.jar.session, token, visitorLife)
}
