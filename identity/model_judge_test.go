package identity

import (
	"errors"
	"fmt"
	"slices"
)

// evidence says which accounts, ids and unionids may be one user: those that some login or some operator put together.
type evidence map[string]string

func (e evidence) find(s string) string {
	for e[s] != "" && e[s] != s {
		s = e[s]
	}
	return s
}

func (e evidence) join(a, b string) {
	if a, b = e.find(a), e.find(b); a != b {
		e[a] = b
	}
}

func (e evidence) joined(a, b string) bool { return e.find(a) == e.find(b) }

func (w *storm) evidence() evidence {
	e := evidence{}
	for _, x := range w.acts {
		switch x.kind {
		case "resolve", "learn":
			if x.unionID != "" {
				e.join(x.seat.openID, x.unionID)
			}
			if x.user != nil {
				e.join(x.seat.openID, x.user.ID)
			}
		case "merge":
			e.join(x.id, x.other)
		}
		for _, id := range x.fresh {
			e.join(id, x.seat.openID)
		}
	}
	return e
}

// judge ends the storm and compares what happened with what must hold after any order and any crash.
func (w *storm) judge() string {
	if len(w.again) > 0 {
		return w.again[0]
	}
	for _, check := range []func() string{
		w.judgeErrors, w.judgeQueue, w.finish, w.judgeUsers, w.judgeSplits, w.judgeSessions, w.judgeBlocks, w.judgeEvents, w.judgeErasure,
	} {
		if problem := check(); problem != "" {
			return problem
		}
	}
	return ""
}

// unfinished tells that programs died in the storm.
func (w *storm) unfinished() bool { return w.mode.kills || w.mode.faults }

func (w *storm) judgeErrors() string {
	allowed := map[string][]error{
		"merge":        {ErrErased, ErrSame},
		"split":        {ErrErased, ErrNoAccount, ErrOnlyAccount},
		"block":        {ErrErased},
		"unblock":      {ErrErased},
		"end sessions": {ErrErased},
	}
	for _, x := range w.acts {
		if x.killed && w.unfinished() || x.err == nil {
			continue
		}
		if !slices.ContainsFunc(allowed[x.kind], func(err error) bool { return errors.Is(x.err, err) }) {
			return fmt.Sprintf("%v", x)
		}
	}
	for _, x := range w.acts {
		switch {
		case x.user != nil && x.merged == x.user.ID:
			return fmt.Sprintf("%v: the user that remains was reported as the one that is no more", x)
		case x.kind == "resolve" && x.ok() && x.user.Account(x.seat.appID, x.seat.openID) == nil:
			return fmt.Sprintf("%v: the user does not have the account: %+v", x, x.user)
		case x.kind == "resolve" && x.ok() && x.user.Status != StatusActive && x.user.Status != StatusBlocked:
			return fmt.Sprintf("%v", x)
		case x.kind == "split" && (errors.Is(x.err, ErrNoAccount) || errors.Is(x.err, ErrOnlyAccount)):
			for _, id := range x.fresh {
				if w.stage.store.value(accountKey(x.seat.appID, x.seat.openID)) == id {
					return fmt.Sprintf("%v: but %s has it", x, short(id))
				}
			}
		}
	}
	return ""
}

// judgeQueue wants what is decided and not finished to be in the queue.
func (w *storm) judgeQueue() string {
	users, err := w.stage.store.records()
	if err != nil {
		return err.Error()
	}
	for id, u := range users {
		open := false
		switch u.Status {
		case StatusMerged, StatusErased:
			open = len(u.indexKeys()) > 0
		default:
			if s := u.kept.Split; s != nil {
				open = w.stage.store.value(accountKey(s.AppID, s.OpenID)) == id
			}
		}
		if _, queued := w.stage.queue.due[QueueSettle][id]; open && !queued {
			return fmt.Sprintf("nobody knows that %s, which is %s, is not finished", short(id), u.Status)
		}
	}
	return ""
}

// finish lets everything come to rest and everybody log in once more.
func (w *storm) finish() string {
	if err := settleAll(w.ctx, w.peace(), w.stage.queue); err != nil {
		return err.Error()
	}
	w.stage.expire()
	w.begin()
	if len(w.again) > 0 {
		return w.again[0]
	}
	if !w.unfinished() {
		if problem := audit(w.stage.store, clean); problem != "" {
			return "before the last logins: " + problem
		}
	}
	for _, s := range w.seats {
		if x := w.login(nil, s, false, true); x.err != nil {
			return fmt.Sprintf("the last login: %v", x)
		}
	}
	if err := settleAll(w.ctx, w.peace(), w.stage.queue); err != nil {
		return err.Error()
	}
	w.stage.expire()
	w.begin()
	if len(w.again) > 0 {
		return w.again[0]
	}
	left := died(w.unfinished())
	if left > clean && slices.ContainsFunc(w.humans, func(h *human) bool { return h.changed }) {
		left = deadFirstLogins // whose unionid does not come back
	}
	return audit(w.stage.store, left)
}

// judgeUsers wants one user for each account, and none for two that nothing puts together.
func (w *storm) judgeUsers() string {
	e := w.evidence()
	roots, owners := w.roots[w.phase], w.owners[w.phase]
	for i, s := range w.seats {
		for _, o := range w.seats[:i] {
			if owners[s] == owners[o] && !e.joined(s.openID, o.openID) {
				return fmt.Sprintf("%s is the user of %s and of %s", short(owners[s]), s.openID, o.openID)
			}
			clash := func(s *seat) bool { return w.lastLogin(s).clash }
			if w.mode.quiet && s.human == o.human && s.platform == o.platform && owners[s] != owners[o] && !clash(s) && !clash(o) {
				return fmt.Sprintf("%s has two users, %s and %s", s.human.name, short(owners[s]), short(owners[o]))
			}
		}
		for _, id := range w.ids {
			if roots[id] == owners[s] && !e.joined(id, s.openID) {
				return fmt.Sprintf("the id %s leads to the user of %s", short(id), s.openID)
			}
		}
		for _, x := range w.acts {
			if x.seat != s || x.user == nil || x.kind != "resolve" || len(s.splits) > 0 {
				continue
			}
			if root := roots[x.user.ID]; root != owners[s] && w.states[w.phase][root] != StatusErased {
				return fmt.Sprintf("%v, but the account's user is %s", x, short(owners[s]))
			}
		}
	}
	for _, x := range w.acts {
		if x.kind == "merge" && x.ok() && roots[x.id] != roots[x.other] {
			return fmt.Sprintf("%v, but %s is %s and %s is %s", x, short(x.id), short(roots[x.id]), short(x.other), short(roots[x.other]))
		}
	}
	return ""
}

func (w *storm) lastLogin(s *seat) *act {
	for _, x := range slices.Backward(w.acts) {
		if x.seat == s && x.kind == "resolve" {
			return x
		}
	}
	return nil
}

// judgeSplits wants users that were taken apart to stay so until an operator merges something.
func (w *storm) judgeSplits() string {
	for _, x := range w.acts {
		if x.kind != "split" || !x.ok() {
			continue
		}
		merges := slices.ContainsFunc(w.acts, func(m *act) bool { return m.kind == "merge" && (m.end > x.start || m.end < 0) })
		if roots := w.roots[w.phase]; !merges && roots[x.id] == roots[x.other] {
			return fmt.Sprintf("%v: they are one again: %s", x, short(roots[x.id]))
		}
	}
	return ""
}

// judgeSessions wants sessions to end when they were ended, and not to otherwise.
func (w *storm) judgeSessions() string {
	e := w.evidence()
	touched := map[string]bool{}
	var ends []*act
	for _, x := range w.acts {
		switch x.kind {
		case "end sessions", "block", "erase":
			touched[e.find(x.id)] = true
		case "revoke":
			touched[e.find(x.seat.openID)] = true
		default:
			continue
		}
		if x.ok() && x.user != nil && !w.unblocked(e, x) {
			ends = append(ends, x)
		}
	}
	for _, x := range w.acts {
		if x.kind != "use" || !x.ok() {
			continue
		}
		v := x.session
		if !x.valid && !touched[e.find(v.id)] {
			return fmt.Sprintf("%v, though nobody ended it", x)
		}
		for _, end := range ends {
			if x.valid && end.start >= v.login.end && end.end <= x.start && w.covers(end, v) {
				return fmt.Sprintf("%v, though it was ended: %v", x, end)
			}
		}
	}
	return ""
}

// unblocked tells that the operation is a block that somebody may have undone: it keeps sessions out, but does not end them.
func (w *storm) unblocked(e evidence, block *act) bool {
	return block.kind == "block" && slices.ContainsFunc(w.acts, func(x *act) bool {
		return x.kind == "unblock" && x.phase >= block.phase && e.joined(x.id, block.id)
	})
}

// covers tells that an operation certainly ended a session.
func (w *storm) covers(end *act, v *visit) bool {
	if v.seat.splitIn(end.phase) {
		return false
	}
	whose := func(id string) string {
		if root := w.roots[end.phase][id]; root != "" {
			return root
		}
		return id
	}
	owner := v.owner[end.phase]
	if owner == "" {
		owner = whose(v.id)
	}
	if end.kind != "revoke" {
		return whose(end.id) == owner
	}
	return end.seat == v.seat || w.owners[end.phase][end.seat] == owner && !end.seat.splitIn(end.phase)
}

func (s *seat) splitIn(phase int) bool {
	return slices.ContainsFunc(s.splits, func(x *act) bool { return x.phase == phase })
}

// judgeBlocks wants blocked users to stay blocked, whatever they are merged with.
func (w *storm) judgeBlocks() string {
	e := w.evidence()
	for _, b := range w.acts {
		if b.kind != "block" || !b.ok() || w.unblocked(e, b) {
			continue
		}
		erased := slices.ContainsFunc(w.acts, func(x *act) bool { return x.kind == "erase" && x.phase >= b.phase && e.joined(x.id, b.id) })
		for p := b.phase + 1; p < len(w.states); p++ {
			if w.states[p][b.id] == StatusActive {
				return fmt.Sprintf("%v, but it is active in phase %d", b, p)
			}
			for _, s := range w.seats {
				before := w.owners[b.phase][s]
				if before == "" || before != w.roots[b.phase][b.id] || erased || s.splitIn(b.phase) {
					continue
				}
				if w.states[p][w.owners[p][s]] == StatusActive {
					return fmt.Sprintf("%v, but %s is %s in phase %d, who is active", b, s.openID, short(w.owners[p][s]), p)
				}
			}
		}
	}
	return ""
}

// judgeErasure erases a person at last, wherever the storm has put them, and looks for what is left.
func (w *storm) judgeErasure() string {
	h := w.humans[0]
	d := w.peace()
	var texts []string
	for _, x := range w.acts {
		if x.seat == nil || x.seat.human != h || x.user == nil {
			continue
		}
		if _, err := d.Erase(w.ctx, x.user.ID); err != nil {
			return fmt.Sprintf("erasing %s: %v", short(x.user.ID), err)
		}
	}
	if err := settleAll(w.ctx, d, w.stage.queue); err != nil {
		return err.Error()
	}
	w.stage.expire()
	for _, s := range h.accounts {
		texts = append(texts, s.openID)
	}
	texts = append(texts, "u-"+h.name, "nick-"+h.name)
	if w.unfinished() {
		w.sweep()
	}
	if left := w.stage.store.grep(texts...); left != "" {
		return "after the erasure of " + h.name + " " + left
	}
	return audit(w.stage.store, died(w.unfinished()))
}

// sweep takes away what programs left that died: records that nobody has, and entries that lead to tombstones.
func (w *storm) sweep() {
	s := w.stage.store
	users, err := s.records()
	if err != nil {
		panic(err)
	}
	pointed := map[string]bool{}
	for _, key := range append(s.keys("a:"), s.keys("n:")...) {
		if id := s.value(key); users[id] != nil && users[id].Status == StatusErased {
			delete(s.m, key)
		} else {
			pointed[id] = true
		}
	}
	for id, u := range users {
		if u.Status != StatusErased && u.Status != StatusMerged && !pointed[id] {
			delete(s.m, userKey(id))
		}
	}
}
