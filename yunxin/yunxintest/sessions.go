package yunxintest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxSessions bounds the memory of an account whose page logs in again and again.
const maxSessions = 1024

// Session is a connection of a page's SDK, as Login opened it.
type Session struct {
	Device   string // as v2's kick names it
	Token    string // that it logged in with
	AuthType int
	Opened   time.Time // of the simulator's clock
	Kicked   time.Time // zero while it is live
	KickedBy string    // the interface that ended it, such as Block
}

// Live reports that nothing has ended the session.
func (s Session) Live() bool { return s.Kicked.IsZero() }

// Sessions returns an account's sessions, oldest first, live and kicked ones.
// Only the latest thousand are kept.
func (s *Simulator) Sessions(accid string) []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[strings.ToLower(accid)]
	if a == nil {
		return nil
	}
	return slices.Clone(a.sessions)
}

// open adds a live session.
func (s *Simulator) open(a *account, token string, authType int) {
	if len(a.sessions) == maxSessions {
		a.sessions = slices.Delete(a.sessions, 0, maxSessions/4)
	}
	s.devices++
	a.sessions = append(a.sessions, Session{Device: fmt.Sprintf("device-%d", s.devices), Token: token, AuthType: authType, Opened: s.now()})
}

func everybody(Session) bool { return true }

// live returns the live sessions that a kick means.
func (a *account) live(whom func(Session) bool) []Session {
	var list []Session
	for _, session := range a.sessions {
		if session.Live() && whom(session) {
			list = append(list, session)
		}
	}
	return list
}

// kick ends the live sessions that it means and returns them.
func (a *account) kick(by string, now time.Time, whom func(Session) bool) []Session {
	var list []Session
	for i := range a.sessions {
		if session := &a.sessions[i]; session.Live() && whom(*session) {
			session.Kicked, session.KickedBy = now, by
			list = append(list, *session)
		}
	}
	return list
}

func (a *account) count() (live, kicked int) {
	live = len(a.live(everybody))
	return live, len(a.sessions) - live
}
