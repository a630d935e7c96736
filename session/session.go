package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Session is one login on one browser or client.
type Session struct {
	// User is the id of the user; Channel, AppID, OpenID and UnionID say which
	// of the user's accounts logged in, Scope with which OAuth scope.
	User    string `json:"user"`
	Channel string `json:"channel"`
	AppID   string `json:"appid"`
	OpenID  string `json:"openid"`
	UnionID string `json:"unionid,omitempty"`
	Scope   string `json:"scope,omitempty"`
	// Epoch is the user's number of sessions endings when this one began: it
	// is over once the user's is higher.
	Epoch int `json:"epoch,omitempty"`

	// CreatedAt is also the time of authentication: a login always makes a
	// new session. LastSeen lags by up to a minute.
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen"`
	ExpiresAt time.Time `json:"expires_at"`

	// key is the place of the record in the store.
	key string
}

// SID names the session to the app and the operator: the hash of its id, from
// which the id cannot be found.
func (s *Session) SID() string { return strings.TrimPrefix(s.key, keyPrefix) }

// ended reports whether the session is over by its own times.
func (s *Session) ended(now time.Time, idle time.Duration) bool {
	return !now.Before(s.ExpiresAt) || !now.Before(s.LastSeen.Add(idle))
}

const (
	keyPrefix     = "s:"
	recordVersion = 1
	maxRecord     = 8 << 10
)

// record is a session in the store. Key repeats where it is stored: a reply
// that belongs to another key (a client library once delivered replies shifted
// by one, CVE-2025-29923) must not log one visitor in as another.
type record struct {
	Version int    `json:"v"`
	Key     string `json:"key"`
	Session
}

func encode(s *Session) ([]byte, error) {
	return json.Marshal(record{Version: recordVersion, Key: s.key, Session: *s})
}

func decode(key string, value []byte) (*Session, error) {
	if len(value) > maxRecord {
		return nil, fmt.Errorf("session: record of %d bytes", len(value))
	}
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("session: unreadable record: %w", err)
	}
	switch {
	case r.Version != recordVersion:
		return nil, fmt.Errorf("session: record has version %d, this program knows %d", r.Version, recordVersion)
	case r.Key != key:
		return nil, errors.New("session: the store answered with another session's record")
	case r.User == "":
		return nil, errors.New("session: record without a user")
	}
	r.Session.key = key
	return &r.Session, nil
}
