package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// QueueSettle is the due-queue of users whose change is decided but not finished. Its ids are user ids; [Directory.Settle] finishes.
const QueueSettle = "settle"

// settleAfter is when somebody else may finish what whoever decided it is about to finish at once.
const settleAfter = 30 * time.Second

// merge says, in the record of a user that is no more, who that user is now and why.
type merge struct {
	Into     string `json:"into"`
	Was      string `json:"was"` // the status until then
	Evidence Event  `json:"evidence"`
	Notice   Notice `json:"notice,omitzero"`
}

var (
	// ErrSame refuses to merge a user with itself.
	ErrSame = errors.New("identity: both ids are the same user")
	// ErrNoAccount refuses to split off an account that the user does not have.
	ErrNoAccount = errors.New("identity: the user has no such account")
	// ErrOnlyAccount refuses to split off the only account of a user.
	ErrOnlyAccount = errors.New("identity: the account is the only one of the user")
)

// Merge makes two users one by an operator's decision. Sessions, accounts and unionids of from, and its id, are the remaining
// user's from then on. It overrules an earlier split. Blocked is blocked: if one of them is, the remaining user is.
// Errors: [ErrNotFound], [ErrErased], [ErrSame], [ErrContended], [ErrRecord], or what the store says.
func (d *Directory) Merge(ctx context.Context, into, from string) (u *User, merged string, err error) {
	other := ""
	err = again(func() error {
		winner, err := d.living(ctx, into)
		if err != nil {
			return err
		}
		loser, err := d.living(ctx, from)
		if err != nil {
			return err
		}
		if winner.user.ID == loser.user.ID {
			if merged != "" {
				u = winner.user // an attempt of ours did it
				return nil
			}
			return ErrSame
		}
		merged, other = loser.user.ID, winner.user.ID
		if err := d.unite(ctx, winner, loser, Event{Time: d.now()}); err != nil {
			return err
		}
		s, err := d.living(ctx, into)
		u = s.user
		return err
	})
	if u != nil && u.ID == merged {
		merged = other // the opposite was decided at the same moment, and won
	}
	return u, merged, err
}

// living is reach for changes: the user must be there.
func (d *Directory) living(ctx context.Context, id string) (stored, error) {
	s, found, err := d.reach(ctx, id)
	switch {
	case err != nil:
		return s, err
	case !found:
		return s, ErrNotFound
	case s.user.Status == StatusErased:
		return s, ErrErased
	}
	return s, nil
}

// apart tells that an operator took these users apart, so that a unionid must not put them together again.
func apart(a, b *User) bool {
	names := func(a, b *User) bool {
		return slices.ContainsFunc(a.kept.Apart, func(id string) bool { return id == b.ID || slices.Contains(b.Aliases, id) })
	}
	return names(a, b) || names(b, a)
}

// unite merges from into into. One write decides: the one that turns the record of from into a pointer. It is made only if that
// record is still what was read, so of several decisions about one user exactly one is made. Everything after it can be finished by
// whoever comes by, see follow, and the queue makes sure that somebody does: the survivor takes over what the record still holds, the
// index is pointed to it, and the record is emptied.
//
// Nothing of this is atomic over two users. The survivor may be merged away or erased at the same moment; then the pointer leads
// on, or to a tombstone. Two users that are merged into each other at the same moment are a ring, which follow opens.
func (d *Directory) unite(ctx context.Context, into, from stored, evidence Event) error {
	if err := d.settleLater(ctx, from.user.ID); err != nil {
		return err
	}
	at := evidence.Time
	notice, err := d.newNotice(ctx, NoticeMerged, into.user.ID, at)
	if err != nil {
		return err
	}
	u := from.user
	evidence.Type, evidence.From = EventMerged, u.ID
	u.kept.Merge = &merge{Into: into.user.ID, Was: u.Status, Evidence: evidence, Notice: notice}
	u.Status = StatusMerged
	u.Yunxin.Epoch++ // whoever still has its token must not go on beside the survivor's
	// The survivor must be able to hold it all: nothing could be undone any more.
	whole, err := decodeUser(into.user.ID, into.raw)
	if err != nil {
		return err
	}
	whole.take(u)
	if _, err := encodeUser(whole); err != nil {
		return err
	}
	if err := d.replace(ctx, from, u); err != nil {
		return err
	}
	return d.Settle(ctx, u.ID)
}

// absorb lets the survivor take over what the record of a merged user holds, once.
func (d *Directory) absorb(ctx context.Context, survivor stored, from *User) error {
	m := from.kept.Merge
	// Scheduled anew, because the survivor may be another one than when the merge was decided.
	if err := d.note(ctx, m.Notice, survivor.user.ID); err != nil {
		return err
	}
	_, err := d.modifyRecord(ctx, survivor, func(u *User) error {
		switch {
		case u.Status == StatusMerged:
			return errAgain
		case slices.Contains(u.Aliases, from.ID):
			return ErrNoChange
		case u.Status == StatusErased:
			u.bury(from)
		default:
			u.take(from)
		}
		return nil
	})
	return err
}

// bury lets a tombstone take over what it must: the ids, and what the app has to hear of a user that was merged into it. No
// openid comes along.
func (u *User) bury(from *User) {
	u.takeAliases(from)
	u.takeEpochs(from)
	u.takeParting(from)
	u.takeNotices(from)
	for i := range u.kept.Outbox {
		u.kept.Outbox[i].Account = nil
	}
}

func (u *User) takeAliases(from *User) {
	for _, id := range append([]string{from.ID}, from.Aliases...) {
		if id != u.ID && !slices.Contains(u.Aliases, id) {
			u.Aliases = append(u.Aliases, id)
		}
	}
}

// takeParting leaves out what came back.
func (u *User) takeParting(from *User) {
	mine := func(id string) bool { return id == u.ID || slices.Contains(u.Aliases, id) }
	for key, to := range from.kept.Parting {
		if !mine(to) {
			u.part(key, to)
		}
	}
	maps.DeleteFunc(u.kept.Parting, func(key, to string) bool {
		return mine(to) || slices.ContainsFunc(u.Accounts, func(a Account) bool { return accountKey(a.AppID, a.OpenID) == key })
	})
}

func (u *User) part(key, to string) {
	if u.kept.Parting == nil {
		u.kept.Parting = map[string]string{}
	}
	u.kept.Parting[key] = to
}

func (u *User) takeNotices(from *User) {
	for _, n := range from.kept.Outbox {
		u.post(n)
	}
	if n := from.kept.Merge.Notice; n.ID != "" {
		n.User, n.From, n.Into = u.ID, from.ID, u.ID
		if accid := from.Yunxin.Accid; accid != u.Yunxin.Accid && accid != from.ID {
			n.FromAccid = accid
		}
		u.post(n)
	}
}

// take makes everything of a merged user u's own.
func (u *User) take(from *User) {
	m := from.kept.Merge
	u.takeAliases(from)
	for _, a := range from.Accounts {
		have := u.Account(a.AppID, a.OpenID)
		if have == nil {
			u.Accounts = append(u.Accounts, a)
			continue
		}
		if a.FirstSeen.Before(have.FirstSeen) {
			have.FirstSeen = a.FirstSeen
		}
		if a.LastSeen.After(have.LastSeen) {
			have.LastSeen = a.LastSeen
		}
	}
	for platform, unionID := range from.Unionids {
		switch have := u.Unionids[platform]; have {
		case unionID:
		case "":
			u.Unionids[platform] = unionID
		default:
			u.keepFormer(unionKey(platform, unionID))
		}
	}
	for _, key := range from.kept.Former {
		u.keepFormer(key)
	}
	if u.Profile == nil || from.Profile != nil && from.Profile.UpdatedAt.After(u.Profile.UpdatedAt) {
		u.Profile = from.Profile
	}
	if imported := from.Yunxin.Accid != "" && from.Yunxin.Accid != from.ID; imported && u.Yunxin.State == YunxinNone && u.Yunxin.Accid == "" {
		// The survivor has no account yet; the app knows the person by this one.
		u.Yunxin = from.Yunxin
	}
	for _, id := range from.kept.Apart {
		u.keepApart(id)
	}
	u.kept.Apart = slices.DeleteFunc(u.kept.Apart, func(id string) bool { return id == u.ID || slices.Contains(u.Aliases, id) })
	u.takeEpochs(from)
	u.takeParting(from)
	u.History = append(u.History, from.History...)
	slices.SortStableFunc(u.History, func(a, b Event) int { return a.Time.Compare(b.Time) })
	u.boundHistory()
	if m.Evidence.Type != "" { // else the record was emptied, and taken over before
		u.AddEvent(m.Evidence)
	}
	u.takeNotices(from)
	if m.Was == StatusBlocked && u.Status == StatusActive {
		u.Status = StatusBlocked
		u.Yunxin.Epoch++
		u.AddEvent(Event{Time: m.Evidence.Time, Type: EventBlocked, From: from.ID})
		if m.Notice.ID != "" {
			u.post(Notice{ID: m.Notice.followUp(), Type: NoticeBlocked, Time: m.Notice.Time, User: u.ID})
		}
	}
	if u.Profile != nil && u.Profile.UpdatedAt.Before(u.last(EventRevoked)) {
		u.Profile = nil // the other user's profile does not bring back what the person took back
	}
	u.kept.Withdrawn = u.kept.Withdrawn && from.kept.Withdrawn
}

func (u *User) keepFormer(unionKey string) {
	if !slices.Contains(u.kept.Former, unionKey) {
		u.kept.Former = append(u.kept.Former, unionKey)
	}
}

func (u *User) keepApart(id string) {
	if !slices.Contains(u.kept.Apart, id) {
		u.kept.Apart = append(u.kept.Apart, id)
	}
}

// takeEpochs makes sessions that may come to from until now, and may come to u from now on, valid or not as they were.
func (u *User) takeEpochs(from *User) {
	for _, id := range append([]string{from.ID}, from.Aliases...) {
		u.setEpoch(id, from.kept.Epochs[id])
	}
	for id, n := range from.kept.Epochs {
		u.setEpoch(id, n)
	}
}

func (u *User) setEpoch(id string, n int) {
	if have, ok := u.kept.Epochs[id]; ok && n <= have {
		return // even a 0 is kept: it says that sessions with this id may come here
	}
	if u.kept.Epochs == nil {
		u.kept.Epochs = map[string]int{}
	}
	u.kept.Epochs[id] = n
}

func (d *Directory) settleLater(ctx context.Context, id string) error {
	if d.queue == nil {
		return nil
	}
	if err := d.queue.Schedule(ctx, QueueSettle, id, d.now().Add(settleAfter)); err != nil {
		return fmt.Errorf("identity: noting an unfinished change: %w", err)
	}
	return nil
}
