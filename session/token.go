package session

import (
	"encoding/base64"
	"strings"

	"github.com/gorilla/securecookie"
)

// Key finds the store key that a token stands for, or false for anything that
// we did not make. It asks no store, so garbage costs no look-up.
func (m *Manager) Key(token string) (key string, ok bool) {
	id, ok := m.id(token)
	if !ok {
		return "", false
	}
	return sessionKey(id), true
}

func (m *Manager) id(token string) (id string, ok bool) {
	if token == "" || len(token) > maxCookieValue || securecookie.DecodeMulti(sessionCookieName, token, &id, m.tokens...) != nil {
		return "", false
	}
	return id, true
}

// A token's id ends with the id of the session's user, encrypted, so that who
// looks for the session can read both records at once. It is a guess at best:
// only the record says whose the session is. It is a part of the id, so replicas
// that know nothing of it find the same record.
const (
	hintMark   = "."
	hintRecord = "session user"
)

func (m *Manager) hint(user string) string {
	return hintMark + base64.RawURLEncoding.EncodeToString(m.sealer.seal([]byte(user), hintRecord))
}

// Hint is the user that a token's session probably has; empty for tokens that
// do not say, or not readably.
func (m *Manager) Hint(token string) (user string) {
	id, _ := m.id(token)
	_, text, _ := strings.Cut(id, hintMark)
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	plain, _ := m.sealer.open(sealed, hintRecord)
	return string(plain)
}
