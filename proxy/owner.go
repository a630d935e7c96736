package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"wxgate/identity"
	"wxgate/session"
)

// changeOwner is called before the browser is given the session of a token. If
// the browser was not this user's before, the app's cookies in it are somebody
// else's.
//
// The former session cannot be asked who that was: most often it is over, and
// its record with it, which is why somebody logs in. So the login cookie keeps
// a mark of the last user, longer than sessions live. A browser without a mark
// (new, logged out, keys changed, or known from before ClearCookies was set)
// may hold anybody's cookies: they go. What the app loses by that it lost
// anyway or makes again.
func (s *Server) changeOwner(v *visit, logins *session.Logins, token string) {
	if len(s.cfg.ClearCookies) == 0 {
		return
	}
	former := logins.Owner
	logins.Owner = ""
	if l, err := s.sessions.get(v.r.Context(), token); err == nil && l != nil {
		logins.Owner = ownerMark(l.user.ID)
		if former != "" && ownedBy(l.user, former) {
			return
		}
	}
	s.clearAppCookies(v)
}

// ownedBy also knows a user by an id that was merged into theirs.
func ownedBy(u *identity.User, mark string) bool {
	return mark == ownerMark(u.ID) || slices.ContainsFunc(u.Aliases, func(id string) bool { return mark == ownerMark(id) })
}

// ownerMark tells users of one browser apart. It is short, because every
// request carries it, and no id, because it is for comparing only.
func ownerMark(userID string) string {
	sum := sha256.Sum256([]byte("wxgate last user of a browser\x00" + userID))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
