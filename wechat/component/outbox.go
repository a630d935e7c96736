package component

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// QueueNotices is the due-queue of events that wait for the app; identity has the
// events about users in the same one. Its ids are made by [NoticeKey].
const QueueNotices = "hooks"

// The types of events about accounts.
const (
	NoticeAuthorized   = "authorizer.authorized"
	NoticeUpdated      = "authorizer.updated" // what the account allows has changed
	NoticeUnauthorized = "authorizer.unauthorized"
)

// Notice is an event that the app is to be told. It rests in the record of the
// account that it is about and is written together with the change that it tells
// of; the order of an account's events is that of its changes.
type Notice struct {
	ID        string    `json:"id"` // the same at every attempt
	Type      string    `json:"type"`
	Time      time.Time `json:"time"`
	AppID     string    `json:"appid"`
	Functions []int     `json:"functions,omitempty"` // ids of the permission sets (权限集) that the account granted
}

// newNotice takes note of an event in the queue, before what it tells of is
// written. Without events it is empty, and post drops it.
func (p *Platform) newNotice(ctx context.Context, kind, appid string) (Notice, error) {
	if !p.announce {
		return Notice{}, nil
	}
	n := Notice{ID: strings.ToLower(randomName()), Type: kind, Time: p.now().UTC().Truncate(time.Second), AppID: appid}
	if err := p.queue.Schedule(ctx, QueueNotices, NoticeKey(appid, n.ID), p.now()); err != nil {
		return Notice{}, fmt.Errorf("component: noting an event: %w", err)
	}
	return n, nil
}

func (a *account) post(n Notice) {
	if n.ID != "" {
		a.Events = append(a.Events, n)
	}
}

// NoticeKey is an event's id in the queue: whose record holds it, and which it is.
func NoticeKey(appid, noticeID string) string { return "a/" + appid + "/" + noticeID }

// ParseNoticeKey reads what [NoticeKey] made. Other entries of the queue are not
// ok.
func ParseNoticeKey(key string) (appid, noticeID string, ok bool) {
	rest, ours := strings.CutPrefix(key, "a/")
	appid, noticeID, ok = strings.Cut(rest, "/")
	return appid, noticeID, ours && ok && ValidAppID(appid) && noticeID != "" && !strings.Contains(noticeID, "/")
}

// Notices returns the events that the app has not acknowledged about this account,
// oldest first.
func (p *Platform) Notices(ctx context.Context, appid string) ([]Notice, error) {
	r, _, err := load[tokenRecord](ctx, p, p.accountKey(appid))
	if err != nil || r.Account == nil {
		return nil, err
	}
	return r.Account.Events, nil
}

// Delivered takes an event that the app acknowledged out of the record. Doing so
// twice is fine.
func (p *Platform) Delivered(ctx context.Context, appid, noticeID string) error {
	_, err := p.modifyAccount(ctx, appid, func(r *tokenRecord, found bool) error {
		i := slices.IndexFunc(r.Account.Events, func(n Notice) bool { return n.ID == noticeID })
		if i < 0 {
			return errNoChange
		}
		r.Account.Events = slices.Delete(r.Account.Events, i, i+1)
		return nil
	})
	return err
}
