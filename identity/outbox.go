package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// QueueNotices is the due-queue of events that wait for the app. Its ids are made by [NoticeKey].
const QueueNotices = "hooks"

// The types of events about users.
const (
	NoticeCreated = "user.created"
	NoticeLinked  = "user.linked"
	NoticeMerged  = "user.merged"
	NoticeRevoked = "user.revoked"
	NoticeBlocked = "user.blocked"
	NoticeErased  = "user.erased"
)

// Notice is an event that the app is to be told. It is kept inside the record of the user that it is about and written together
// with the change that it tells of, so there is never one without the other, and the order of a user's events is that of its changes.
type Notice struct {
	ID   string    `json:"id"` // the same at every attempt, so that the app can tell a repetition; begins with its time
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	User string    `json:"user"`
	From string    `json:"from,omitempty"` // user.merged: who is no more; user.created: whom the user was split from
	Into string    `json:"into,omitempty"` // user.merged: who remains
	// FromAccid is the imported account at Yunxin that the merged user had and that pages do not get any more.
	FromAccid string      `json:"from_accid,omitempty"`
	Reason    string      `json:"reason,omitempty"`  // user.revoked: WeChat's name of the event
	Account   *NoticeFrom `json:"account,omitempty"` // the account that it came from, where there is one
}

// NoticeFrom names an account.
type NoticeFrom struct {
	Channel string `json:"channel,omitempty"`
	AppID   string `json:"appid"`
	OpenID  string `json:"openid"`
}

// newNotice begins an event and takes note of it in the queue. Without events it is empty, and post drops it.
func (d *Directory) newNotice(ctx context.Context, kind, userID string, at time.Time) (Notice, error) {
	if !d.announce {
		return Notice{}, nil
	}
	n := Notice{ID: noticeID(at), Type: kind, Time: at.UTC().Truncate(time.Second), User: userID}
	return n, d.note(ctx, n, userID)
}

func (d *Directory) note(ctx context.Context, n Notice, userID string) error {
	if n.ID == "" {
		return nil
	}
	if err := d.queue.Schedule(ctx, QueueNotices, NoticeKey(userID, n.ID), d.now()); err != nil {
		return fmt.Errorf("identity: noting an event: %w", err)
	}
	return nil
}

// post puts an event into the record, once.
func (u *User) post(n Notice) {
	if n.ID == "" || slices.ContainsFunc(u.kept.Outbox, func(o Notice) bool { return o.ID == n.ID }) {
		return
	}
	u.kept.Outbox = append(u.kept.Outbox, n)
}

// NoticeKey is an event's id in the queue: whose record holds it, and which it is.
func NoticeKey(userID, noticeID string) string { return "u/" + userID + "/" + noticeID }

// ParseNoticeKey reads what [NoticeKey] made, with the time when the event began. Other entries of the queue are not ok.
func ParseNoticeKey(key string) (userID, noticeID string, began time.Time, ok bool) {
	kind, rest, _ := strings.Cut(key, "/")
	userID, noticeID, _ = strings.Cut(rest, "/")
	raw, err := idEncoding.DecodeString(noticeID)
	if kind != "u" || !ValidID(userID) || err != nil || len(raw) != 16 {
		return "", "", time.Time{}, false
	}
	return userID, noticeID, time.UnixMilli(int64(binary.BigEndian.Uint64(raw) >> 16)), true
}

// followUp is the id of a second event that came of the same change: whoever finishes the change makes the same one. It has no
// entry in the queue and needs none, because any entry of a user brings all its events.
func (n Notice) followUp() string {
	raw, err := idEncoding.DecodeString(n.ID)
	if err != nil || len(raw) != 16 {
		return ""
	}
	sum := sha256.Sum256(raw)
	return idEncoding.EncodeToString(append(raw[:6:6], sum[:10]...))
}

// noticeID is 48 bits of time in milliseconds and 80 random ones, in the alphabet of user ids.
func noticeID(at time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(at.UnixMilli())<<16)
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}

// Notices returns the events that the app has not acknowledged about this user, oldest first; those of users merged into it are
// among them. A user whose first login never finished has none yet: nobody knows of it, and another one may win.
// Errors: [ErrRecord], or what the store says.
func (d *Directory) Notices(ctx context.Context, id string) ([]Notice, error) {
	var list []Notice
	err := again(func() error {
		s, found, err := d.reach(ctx, id)
		if err != nil || !found {
			return err
		}
		list = s.user.kept.Outbox
		if len(list) == 0 || list[0].Type != NoticeCreated || list[0].Account == nil {
			return nil
		}
		for _, a := range s.user.Accounts {
			e, err := d.lookup(ctx, accountKey(a.AppID, a.OpenID), d.now())
			if err != nil || e.owned() && e.owner.user.ID == s.user.ID {
				return err
			}
		}
		if len(s.user.Accounts) > 0 {
			list = nil
		}
		return nil
	})
	return list, err
}

// Delivered takes an event that the app acknowledged out of the record. Doing so twice is fine.
func (d *Directory) Delivered(ctx context.Context, id, noticeID string) error {
	return again(func() error {
		s, found, err := d.reach(ctx, id)
		if err != nil || !found {
			return err
		}
		_, err = d.modifyRecord(ctx, s, func(u *User) error {
			if u.Status == StatusMerged {
				return errAgain
			}
			i := slices.IndexFunc(u.kept.Outbox, func(n Notice) bool { return n.ID == noticeID })
			if i < 0 {
				return ErrNoChange
			}
			u.kept.Outbox = slices.Delete(u.kept.Outbox, i, i+1)
			return nil
		})
		return err
	})
}
