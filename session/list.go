package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A store of keys cannot say which sessions a user has, so each user id has a
// list of them. No session is missing from it whose token anybody has: the
// operator must see all, and an erasure must find all. The two are written
// together, and the token is given away when both are there. An entry without
// a session is harmless, and so is a session whose token nobody was given; they
// go when their time is over.
const (
	listPrefix  = "w:"
	listVersion = 1
	maxList     = 64 << 10 // bytes, room for twice maxListed
	// maxListed is how many sessions may begin for one user id within a
	// session's life. Beyond it the oldest ends.
	maxListed = 500
	// listAttempts bounds the attempts of one login against others of the
	// same user. A lost one means that another login won.
	listAttempts = 100
	// listRest is how long an empty list stays. It is not deleted, because a
	// deletion could not tell whether a login took it up again.
	listRest = time.Second
)

// list is the record under a user id. Key repeats where it is stored, as in a
// session's record.
type list struct {
	Version int      `json:"v"`
	Key     string   `json:"key"`
	Entries []listed `json:"sessions"` // oldest first
}

type listed struct {
	SID  string `json:"sid"`
	Ends int64  `json:"ends"` // Unix seconds, when the session is over at the latest
}

// Sessions loads what is alive of the sessions that began for these user ids,
// in no certain order. Looking does not count as having been seen. Whether
// their users are still who they were is not known here. One read for each id
// and one for each session that began there within a session's life.
func (m *Manager) Sessions(ctx context.Context, userIDs ...string) ([]*Session, error) {
	var all []*Session
	for _, id := range userIDs {
		l, err := m.list(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, e := range l.Entries {
			key := keyPrefix + e.SID
			value, _, err := m.store.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			s, err := m.alive(key, value)
			if err != nil {
				return nil, err
			}
			if s != nil {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// Forget deletes all sessions that began for these user ids, and the lists. It
// is for ids that nobody logs in with any more; else a session that begins at
// this moment may be missed.
func (m *Manager) Forget(ctx context.Context, userIDs ...string) error {
	for _, id := range userIDs {
		err := m.changeList(ctx, id, nil, nil, func(all []listed) (keep, end []listed) { return nil, all })
		if err != nil {
			return err
		}
	}
	return nil
}

// ListKey is where the list of a user's sessions is kept.
func ListKey(userID string) string { return listPrefix + userID }

// enlist stores a session in its user's list, together with other writes, the
// session's own among them. read may hold the list as it was a moment ago.
func (m *Manager) enlist(ctx context.Context, s *Session, read map[string][]byte, with ...Write) error {
	fresh := listed{s.SID(), s.ExpiresAt.Unix() + 1}
	return m.changeList(ctx, s.User, read, with, func(all []listed) (keep, end []listed) {
		if slices.ContainsFunc(all, func(e listed) bool { return e.SID == fresh.SID }) {
			return all, nil
		}
		all = append(all, fresh)
		extra := max(0, len(all)-maxListed)
		return all[extra:], all[:extra]
	})
}

// relist makes sure that a token's session is in its user's list: whoever
// stored the two may have died between them.
func (m *Manager) relist(ctx context.Context, token string) error {
	key, ok := m.Key(token)
	if !ok {
		return nil // made with secrets that are not known here
	}
	value, found, err := m.store.Get(ctx, key)
	if err != nil {
		return err
	}
	// If it is only just being stored, nobody may be left to list it then.
	s := &Session{User: m.Hint(token), ExpiresAt: m.now().Add(m.ttl), key: key}
	if found {
		if s, err = m.alive(key, value); err != nil {
			return err
		}
	}
	if s == nil || s.User == "" {
		return nil
	}
	l, err := m.list(ctx, s.User)
	if err != nil || l.has(s) {
		return err
	}
	return m.enlist(ctx, s, nil)
}

func (l list) has(s *Session) bool {
	return slices.ContainsFunc(l.Entries, func(e listed) bool { return e.SID == s.SID() })
}

// changeList replaces a user's list by what change keeps of it, without what is
// over, and makes the other writes with it. The sessions that change ends are
// deleted first: whatever happens in between, none that lives is off the list.
func (m *Manager) changeList(ctx context.Context, userID string, read map[string][]byte, with []Write, change func([]listed) (keep, end []listed)) error {
	old, known := read[ListKey(userID)]
	for range listAttempts {
		if !known {
			var err error
			if old, _, err = m.store.Get(ctx, ListKey(userID)); err != nil {
				return err
			}
		}
		known = false
		l, err := m.listOf(userID, old)
		if err != nil {
			return err
		}
		keep, end := change(l.Entries)
		for _, e := range end {
			if err := m.store.Delete(ctx, keyPrefix+e.SID); err != nil {
				return err
			}
		}
		if len(keep) == 0 && old == nil {
			return nil
		}
		l.Entries = keep
		w, err := m.listWrite(l, old)
		if err != nil {
			return err
		}
		done, _, err := m.store.Batch(ctx, append([]Write{w}, with...))
		if err != nil {
			return err
		}
		if slices.Contains(done[1:], false) {
			return errors.New("session: fresh id is taken already")
		}
		if done[0] {
			return nil
		}
		with = nil
	}
	return errors.New("session: too many logins of one user at once")
}

func (m *Manager) listWrite(l list, old []byte) (Write, error) {
	value, err := json.Marshal(l)
	life, now := listRest, m.now()
	for _, e := range l.Entries {
		life = max(life, time.Unix(e.Ends, 0).Sub(now))
	}
	w := Write{Op: "create", Key: l.Key, Value: value, TTL: life}
	if old != nil {
		w.Op, w.Old = "replace", old
	}
	return w, err
}

// list reads a user's list.
func (m *Manager) list(ctx context.Context, userID string) (list, error) {
	value, _, err := m.store.Get(ctx, ListKey(userID))
	if err != nil {
		return list{}, err
	}
	return m.listOf(userID, value)
}

// listOf is a user's list without the entries whose time is over. A user
// without one (nil) has an empty one.
func (m *Manager) listOf(userID string, value []byte) (list, error) {
	l := list{Version: listVersion, Key: ListKey(userID)}
	if value == nil {
		return l, nil
	}
	var stored list
	if len(value) > maxList {
		return l, fmt.Errorf("session: a list of %d bytes", len(value))
	}
	if err := json.Unmarshal(value, &stored); err != nil {
		return l, fmt.Errorf("session: unreadable list: %w", err)
	}
	switch {
	case stored.Version != listVersion:
		return l, fmt.Errorf("session: a list has version %d, this program knows %d", stored.Version, listVersion)
	case stored.Key != l.Key:
		return l, errors.New("session: the store answered with another user's list")
	}
	now := m.now().Unix()
	for _, e := range stored.Entries {
		if e.Ends > now {
			l.Entries = append(l.Entries, e)
		}
	}
	return l, nil
}
