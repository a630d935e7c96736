package identity

import (
	"fmt"
	"slices"
)

// judgeEvents wants every change to be told exactly once, in the order of the user's changes, and nothing else.
func (w *storm) judgeEvents() string {
	d := w.peace()
	users, err := w.stage.store.records()
	if err != nil {
		return err.Error()
	}
	pointed := map[string]bool{}
	for _, key := range append(w.stage.store.keys("a:"), w.stage.store.keys("n:")...) {
		pointed[w.stage.store.value(key)] = true
	}
	nobodys := func(id string) bool {
		u := users[id]
		return u == nil || u.Status != StatusMerged && u.Status != StatusErased && !pointed[id] && !slices.Contains(w.ids, id)
	}

	// What was told, then what is still to be told.
	var all []Notice
	seen := map[string]bool{}
	deliveries := map[string]*act{}
	for _, x := range w.byEnd() {
		if x.kind != "deliver" || x.notice.ID == "" {
			continue
		}
		if first := deliveries[x.notice.ID]; first != nil && first.ok() && first.end <= x.start {
			return fmt.Sprintf("%v: told again after %v: %+v", x, first, x.notice)
		}
		if first := deliveries[x.notice.ID]; first == nil || !first.ok() {
			deliveries[x.notice.ID] = x
		}
		if !seen[x.notice.ID] {
			seen[x.notice.ID] = true
			all = append(all, x.notice)
		}
	}
	for id, u := range users {
		if u.Status == StatusMerged {
			if len(u.kept.Outbox) > 0 {
				return fmt.Sprintf("%s was merged and keeps %v", short(id), u.kept.Outbox)
			}
			continue
		}
		list, err := d.Notices(w.ctx, id)
		if err != nil {
			return err.Error()
		}
		if nobodys(id) && len(list) > 0 {
			return fmt.Sprintf("events of %s, whose first login was lost: %+v", short(id), list)
		}
		if !nobodys(id) && len(list) != len(u.kept.Outbox) {
			return fmt.Sprintf("%s does not tell its events: %+v", short(id), u.kept.Outbox)
		}
		mine := map[string]bool{}
		for _, n := range list {
			if x := deliveries[n.ID]; x != nil && x.ok() {
				return fmt.Sprintf("%v: but it is still there: %+v", x, n)
			}
			if mine[n.ID] {
				return fmt.Sprintf("%s tells twice: %+v", short(id), n)
			}
			mine[n.ID] = true
			if !seen[n.ID] {
				seen[n.ID] = true
				all = append(all, n)
			}
		}
	}

	if problem := w.judgeOrder(all); problem != "" {
		return problem
	}
	count := func(match func(Notice) bool) (n int) {
		for _, e := range all {
			if match(e) {
				n++
			}
		}
		return n
	}
	for id, u := range users {
		want := map[string]int{NoticeCreated: 1}
		if nobodys(id) {
			want[NoticeCreated] = 0
		}
		if u.Status == StatusMerged {
			want[NoticeMerged] = 1
		}
		if u.Status == StatusErased {
			want[NoticeErased] = 1
		}
		for kind, match := range map[string]func(Notice) bool{
			NoticeCreated: func(n Notice) bool { return n.User == id },
			NoticeMerged:  func(n Notice) bool { return n.From == id },
			NoticeErased:  func(n Notice) bool { return n.User == id },
		} {
			if got := count(func(n Notice) bool { return n.Type == kind && match(n) }); got != want[kind] {
				return fmt.Sprintf("%s, which is %s, has %d events %s, want %d", short(id), u.Status, got, kind, want[kind])
			}
		}
	}
	for _, x := range w.acts {
		kind, want := "", 0
		switch {
		case x.kind == "resolve" || x.kind == "learn":
			if kind = NoticeLinked; x.linked {
				want = 1
			}
		case x.kind == "block":
			kind = NoticeBlocked
			if x.user != nil && slices.ContainsFunc(x.user.History, func(e Event) bool { return e.Type == EventBlocked && e.Time.Equal(x.at) }) {
				want = 1
			}
		case x.kind == "revoke":
			if kind = NoticeRevoked; x.user != nil {
				want = 1
			}
		case x.kind == "erase":
			if kind = NoticeErased; x.user != nil && x.user.Status != StatusErased {
				want = 1
			}
		default:
			continue
		}
		got := count(func(n Notice) bool { return n.Type == kind && n.Time.Equal(x.at) })
		if got != want && !((x.killed || w.mode.faults && x.kind == "erase") && got <= 1) {
			return fmt.Sprintf("%v: %d events %s, want %d", x, got, kind, want)
		}
	}
	return ""
}

func (w *storm) byEnd() []*act {
	return slices.SortedStableFunc(slices.Values(w.acts), func(a, b *act) int { return a.end - b.end })
}

// judgeOrder wants the events about one user in the order of the operations that they tell of, as far as those came one after the
// other.
func (w *storm) judgeOrder(all []Notice) string {
	source := map[int64]*act{}
	for _, x := range w.acts {
		source[x.at.Unix()] = x
	}
	for i, n := range all {
		if source[n.Time.Unix()] == nil {
			return fmt.Sprintf("an event of no operation: %+v", n)
		}
		for _, later := range all[i+1:] {
			if n.User != later.User {
				continue
			}
			if later.Type == NoticeCreated {
				return fmt.Sprintf("%+v comes after %+v", later, n)
			}
			if x, y := source[n.Time.Unix()], source[later.Time.Unix()]; y.ok() && y.end <= x.start && y != x {
				return fmt.Sprintf("%+v of %v comes before %+v of %v", n, x, later, y)
			}
		}
	}
	return ""
}
