package identity

import (
	"errors"
	"fmt"
	"time"
)

// Login is what WeChat said about the person who just logged in. Everything in it must come from WeChat's own answer to us, never
// from the browser: whoever controls OpenID or UnionID controls which user this is.
type Login struct {
	Platform string // open-platform account that UnionID belongs to; required with UnionID
	Channel  string // one of the Channel constants
	AppID    string
	OpenID   string
	UnionID  string    // empty if WeChat did not tell; silent logins never tell
	Profile  *Profile  // nil if WeChat did not tell; an empty one says that the person consented but has nothing to show
	At       time.Time // zero means now

	told bool // not a login: the person is not here
}

// ErrLogin refuses a login that lacks a required part or has one that WeChat cannot have sent.
var ErrLogin = errors.New("identity: unusable login")

const (
	// maxWeChatID bounds appid, openid, unionid and platform name in bytes. WeChat's have 18 to 28.
	maxWeChatID = 128
	// seenInterval is how stale last_seen and the profile's time may become before a login is worth a write.
	seenInterval = time.Hour
)

// check refuses malformed logins and cleans the profile. The errors name the field and never its content.
func (d *Directory) check(l Login) (Login, error) {
	switch l.Channel {
	case ChannelMP, ChannelWeb, ChannelMobile, ChannelMini, ChannelComponent:
	default:
		return l, fmt.Errorf("%w: unknown channel", ErrLogin)
	}
	for _, part := range []struct{ name, value string }{
		{"appid", l.AppID}, {"openid", l.OpenID}, {"unionid", l.UnionID}, {"platform", l.Platform},
	} {
		if len(part.value) > maxWeChatID || !visibleASCII(part.value) {
			return l, fmt.Errorf("%w: %s has impossible characters or more than %d bytes", ErrLogin, part.name, maxWeChatID)
		}
	}
	switch {
	case l.AppID == "":
		return l, fmt.Errorf("%w: no appid", ErrLogin)
	case l.OpenID == "":
		return l, fmt.Errorf("%w: no openid", ErrLogin)
	case l.UnionID != "" && l.Platform == "":
		return l, fmt.Errorf("%w: a unionid without its platform", ErrLogin)
	}
	if l.At.IsZero() {
		l.At = d.now()
	}
	l.At = l.At.UTC().Truncate(time.Second)
	if l.Profile != nil {
		l.Profile = &Profile{Name: CleanName(l.Profile.Name), Avatar: CleanAvatar(l.Profile.Avatar), UpdatedAt: l.At}
	}
	return l, nil
}

// Keys are the index entries that decide about a login: the account's and, with a unionid, that one's. [Directory.Resolve] reads them
// first, in one round trip.
func (l Login) Keys() []string {
	keys := []string{accountKey(l.AppID, l.OpenID)}
	if l.UnionID != "" {
		keys = append(keys, unionKey(l.Platform, l.UnionID))
	}
	return keys
}

// visibleASCII accepts what may stand in keys and header values without any doubt about its reading.
func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// apply brings u up to date and tells whether anything changed, and whether the account is new to u.
func (l Login) apply(u *User, takeUnionid bool) (changed, linked bool) {
	if a := u.Account(l.AppID, l.OpenID); a == nil {
		u.Accounts = append(u.Accounts, Account{l.Channel, l.AppID, l.OpenID, l.At, l.At})
		delete(u.kept.Parting, accountKey(l.AppID, l.OpenID))
		e := Event{Time: l.At, Type: EventLinked, Channel: l.Channel, AppID: l.AppID, OpenID: l.OpenID}
		if takeUnionid {
			e.Platform, e.UnionID = l.Platform, l.UnionID
		}
		u.AddEvent(e)
		changed, linked = true, true
	} else if !l.told && (a.Channel != l.Channel || l.At.Sub(a.LastSeen) >= seenInterval) {
		a.Channel = l.Channel
		if l.At.After(a.LastSeen) {
			a.LastSeen = l.At
		}
		changed = true
	}
	if former := u.Unionids[l.Platform]; takeUnionid && former != l.UnionID {
		// The former unionid's index entry stays: it can only ever mean this person, and two accounts bound to different open
		// platforms may go on reporting both.
		if former != "" {
			u.keepFormer(unionKey(l.Platform, former))
		}
		u.Unionids[l.Platform] = l.UnionID
		u.AddEvent(Event{Time: l.At, Type: EventUnionid, AppID: l.AppID, OpenID: l.OpenID, Platform: l.Platform, UnionID: l.UnionID, From: former})
		changed = true
	}
	if l.Profile != nil {
		p := *l.Profile
		if u.Profile != nil && p.Name == "" {
			// WeChat has sent empty nicknames for people who have one; a known name is better than none.
			p.Name = u.Profile.Name
		}
		if u.Profile == nil || p.Name != u.Profile.Name || p.Avatar != u.Profile.Avatar || p.UpdatedAt.Sub(u.Profile.UpdatedAt) >= seenInterval {
			u.Profile = &p
			changed = true
		}
	}
	if u.kept.Withdrawn && !l.told {
		u.kept.Withdrawn, changed = false, true
	}
	return changed, linked
}
