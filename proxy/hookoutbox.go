package proxy

import (
	"context"
	"log/slog"
	"time"

	"wxgate/identity"
	"wxgate/wechat/component"
)

// outbox is a kind of record that holds events for the app beside what it is
// about. All kinds announce theirs in one queue and differ in nothing else here.
type outbox struct {
	// whose is what the log calls the owner of such a record.
	whose string
	// parse reads an entry of the queue, if it is of this kind.
	parse func(key string) (owner, event string, ok bool)
	// events are those that were not acknowledged, the oldest first.
	events func(ctx context.Context, owner string) ([]hookEvent, error)
	// delivered takes one out of the record. Doing so twice is fine.
	delivered func(ctx context.Context, owner, event string) error
}

// hookOwner is a record that holds events.
type hookOwner struct {
	box *outbox
	id  string
}

// hookEvent is one event on its way.
type hookEvent struct {
	id, kind string
	time     time.Time
	key      string    // its own entry in the queue
	about    slog.Attr // whom the log names
	body     any       // what the app gets, as JSON
}

func userOutbox(users *identity.Directory) *outbox {
	return &outbox{
		whose: "user",
		parse: func(key string) (owner, event string, ok bool) {
			owner, event, _, ok = identity.ParseNoticeKey(key)
			return owner, event, ok
		},
		events: func(ctx context.Context, owner string) (list []hookEvent, err error) {
			notices, err := users.Notices(ctx, owner)
			for _, n := range notices {
				// The user of an event is not the owner of the record where that
				// took over the events of one who was merged into it.
				list = append(list, hookEvent{n.ID, n.Type, n.Time, identity.NoticeKey(n.User, n.ID), slog.String("user", n.User), n})
			}
			return list, err
		},
		delivered: users.Delivered,
	}
}

func authorizerOutbox(platform *component.Platform) *outbox {
	return &outbox{
		whose: "appid",
		parse: component.ParseNoticeKey,
		events: func(ctx context.Context, owner string) (list []hookEvent, err error) {
			notices, err := platform.Notices(ctx, owner)
			for _, n := range notices {
				list = append(list, hookEvent{n.ID, n.Type, n.Time, component.NoticeKey(n.AppID, n.ID), slog.String("appid", n.AppID), n})
			}
			return list, err
		},
		delivered: platform.Delivered,
	}
}
