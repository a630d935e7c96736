package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A store of keys cannot say which sessions a user has, so each user id has a
// list of them. It is written before the session, so that no session is
// missing from it: the operator must see all, and an erasure must find all. An
// entry without a session is harmless; it goes when its time is over.
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
		l, _, _, err := m.list(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, e := range l.Entries {
			s, _, found, err := m.read(ctx, keyPrefix+e.SID)
			if err != nil {
				return nil, err
			}
			if found {
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
		err := m.changeList(ctx, id, func(all []listed) (keep, end []listed) { return nil, all })
		if err != nil {
			return err
		}
	}
	return nil
}

// enlist notes a session that is about to begin.
func (m *Manager) enlist(ctx context.Context, s *Session) error {
	fresh := listed{s.SID(), s.ExpiresAt.Unix() + 1}
	return m.changeList(ctx, s.User, func(all []listed) (keep, end []listed) {
		all = append(all, fresh)
		extra := max(0, len(all)-maxListed)
		return all[extra:], all[:extra]
	})
}

// changeList replaces a user's list by what change keeps of it, without what is
// over. The sessions that change ends are deleted first: whatever happens in
// between, none that lives is off the list.
func (m *Manager) changeList(ctx context.Context, userID string, change func([]listed) (keep, end []listed)) error {
	for range listAttempts {
		l, old, found, err := m.list(ctx, userID)
		if err != nil {
			return err
		}
		keep, end := change(l.Entries)
		for _, e := range end {
			if err := m.store.Delete(ctx, keyPrefix+e.SID); err != nil {
				return err
			}
		}
		if len(keep) == 0 && !found {
			return nil
		}
		l.Entries = keep
		done, err := m.replaceList(ctx, l, old, found)
		if err != nil || done {
			return err
		}
	}
	return errors.New("session: too many logins of one user at once")
}

func (m *Manager) replaceList(ctx context.Context, l list, old []byte, found bool) (done bool, err error) {
	value, err := json.Marshal(l)
	if err != nil {
		return false, err
	}
	life, now := listRest, m.now()
	for _, e := range l.Entries {
		life = max(life, time.Unix(e.Ends, 0).Sub(now))
	}
	if !found {
		return m.store.Create(ctx, l.Key, value, life)
	}
	return m.store.Replace(ctx, l.Key, old, value, life)
}

// list reads a user's list, without the entries whose time is over. A user
// without one has an empty one.
func (m *Manager) list(ctx context.Context, userID string) (l list, value []byte, found bool, err error) {
	l = list{Version: listVersion, Key: listPrefix + userID}
	value, found, err = m.store.Get(ctx, l.Key)
	if err != nil || !found {
		return l, nil, false, err
	}
	var stored list
	if len(value) > maxList {
		return l, nil, false, fmt.Errorf("session: a list of %d bytes", len(value))
	}
	if err := json.Unmarshal(value, &stored); err != nil {
		return l, nil, false, fmt.Errorf("session: unreadable list: %w", err)
	}
	switch {
	case stored.Version != listVersion:
		return l, nil, false, fmt.Errorf("session: a list has version %d, this program knows %d", stored.Version, listVersion)
	case stored.Key != l.Key:
		return l, nil, false, errors.New("session: the store answered with another user's list")
	}
	now := m.now().Unix()
	for _, e := range stored.Entries {
		if e.Ends > now {
			l.Entries = append(l.Entries, e)
		}
	}
	return l, value, true, nil
}
