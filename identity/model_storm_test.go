package identity

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// human is one person of the model.
type human struct {
	name     string
	accounts []*seat
	unionids map[string]string // present one by platform
	changed  bool
}

// seat is one account of a person.
type seat struct {
	human    *human
	appID    string
	openID   string
	platform string
	splits   []*act // attempts to give it a user of its own
}

// act is one operation of the storm and what came of it.
type act struct {
	kind       string
	phase      int
	start, end int // by the storm's tick
	at         time.Time
	seat       *seat
	id, other  string // arguments
	unionID    string
	fresh      []string // ids that it made
	err        error
	killed     bool

	user    *User // result
	merged  string
	created bool
	linked  bool
	clash   bool // the account and the unionid have different users
	session *visit
	valid   bool
	notice  Notice
}

func (a *act) String() string {
	s := fmt.Sprintf("%d-%d %s", a.start, a.end, a.kind)
	if a.seat != nil {
		s += " " + a.seat.openID
	}
	if a.unionID != "" {
		s += " " + a.unionID
	}
	for _, id := range []string{a.id, a.other} {
		if id != "" {
			s += " " + short(id)
		}
	}
	if a.session != nil {
		s += fmt.Sprintf(" %v valid %v", a.session, a.valid)
	}
	if a.user != nil {
		s += " -> " + short(a.user.ID) + " " + a.user.Status
	}
	if a.merged != "" {
		s += " merged " + short(a.merged)
	}
	if a.err != nil {
		s += " ! " + a.err.Error()
	}
	return s
}

// ok tells that the operation said it was done.
func (a *act) ok() bool { return a.err == nil && !a.killed }

// visit is a session: what the program that keeps sessions remembers of a login.
type visit struct {
	id    string
	epoch int
	seat  *seat
	login *act
	owner map[int]string // whom it belonged to when each phase began
}

func (v *visit) String() string {
	return fmt.Sprintf("session %s/%d of %s", short(v.id), v.epoch, v.seat.openID)
}

// storm is one run of the model.
type storm struct {
	ctx    context.Context
	rng    *rand.Rand
	stage  *stage
	newID  func() string
	mode   stormMode
	humans []*human
	seats  []*seat
	acts   []*act
	phase  int
	tick   int      // counts beginnings and ends of operations
	ids    []string // handed out
	visits []*visit
	roots  []map[string]string // by phase: whom each id stood for when it began
	owners []map[*seat]string  // by phase: whose each account was when it began
	again  []string            // what the checks between the phases found
	states []map[string]string // by phase: the status of each id's user when it began
}

type stormMode struct {
	kills, faults bool
	quiet         bool // no splits, no erasures, no changed unionids: then accounts of one unionid must end up together
}

func (m stormMode) String() string { return fmt.Sprintf("%+v", struct{ kills, faults, quiet bool }(m)) }

var epoch0 = t0

// now is a time that no other operation has: an event tells by it whose it is.
func (w *storm) now() time.Time { return epoch0.Add(time.Duration(len(w.acts)) * time.Second) }

// perform runs one operation of one program and keeps what came of it.
func (w *storm) perform(a *actor, x *act, do func(d *Directory) error) {
	w.tick++
	x.phase, x.start, x.at, x.end = w.phase, w.tick, w.now(), -1
	w.acts = append(w.acts, x)
	d := w.stage.directory(a, DirectoryConfig{
		Announce: true,
		Now:      func() time.Time { return x.at },
		NewID: func() string {
			id := w.newID()
			x.fresh = append(x.fresh, id)
			return id
		},
	})
	if a != nil {
		a.dead = false
		a.name = fmt.Sprintf("%s %s#%d", a.stage.castName(a), x.kind, len(w.acts)-1)
	}
	x.err = do(d)
	w.tick++
	x.end = w.tick
	x.killed = errors.Is(x.err, errCrash)
}

func (s *stage) castName(a *actor) string { return fmt.Sprint(slices.Index(s.cast, a)) }

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// some picks an id that was handed out, rather one of those that everybody is after.
func (w *storm) some() string {
	if n := len(w.ids); w.rng.IntN(2) == 0 {
		return w.ids[(w.phase*5+w.rng.IntN(2))%n]
	}
	return pick(w.rng, w.ids)
}

func (w *storm) handOut(id string) {
	if !slices.Contains(w.ids, id) {
		w.ids = append(w.ids, id)
	}
}

func (w *storm) login(a *actor, s *seat, learn, unionid bool) *act {
	x := &act{kind: "resolve", seat: s}
	l := Login{Platform: s.platform, Channel: ChannelMP, AppID: s.appID, OpenID: s.openID, At: w.now()}
	if unionid {
		x.unionID = s.human.unionids[s.platform]
		l.UnionID = x.unionID
	}
	if w.rng.IntN(3) == 0 {
		l.Profile = &Profile{Name: "nick-" + s.human.name}
	}
	w.perform(a, x, func(d *Directory) error {
		var r Resolution
		var err error
		known := true
		if learn {
			x.kind = "learn"
			r, known, err = d.Learn(w.ctx, l)
		} else {
			r, err = d.Resolve(w.ctx, l)
		}
		if err == nil && known {
			x.user, x.created, x.linked, x.merged, x.clash = r.User, r.Created, r.Linked, r.Merged, r.Conflict
		}
		return err
	})
	if x.user != nil {
		w.handOut(x.user.ID)
		if !learn && x.user.Status == StatusActive {
			w.visits = append(w.visits, &visit{x.user.ID, x.user.SessionEpoch(x.user.ID), s, x, map[int]string{}})
		}
	}
	return x
}

// play lets one program do something that the dice decide.
func (w *storm) play(a *actor) {
	rng := w.rng
	onUser := func(kind string, do func(*Directory, string) (*User, error)) {
		x := &act{kind: kind, id: w.some()}
		w.perform(a, x, func(d *Directory) (err error) {
			x.user, err = do(d, x.id)
			return err
		})
	}
	kinds := []struct {
		weight int
		do     func()
	}{
		{22, func() { w.login(a, pick(rng, w.seats), false, rng.IntN(2) == 0) }},
		{4, func() { w.login(a, pick(rng, w.seats), true, true) }},
		{12, func() {
			x := &act{kind: "merge", id: w.some(), other: w.some()}
			w.perform(a, x, func(d *Directory) (err error) {
				x.user, x.merged, err = d.Merge(w.ctx, x.id, x.other)
				return err
			})
		}},
		{8, func() { w.split(a) }},
		{4, func() { onUser("block", func(d *Directory, id string) (*User, error) { return d.Block(w.ctx, id) }) }},
		{3, func() {
			onUser("unblock", func(d *Directory, id string) (*User, error) { return d.Unblock(w.ctx, id) })
		}},
		{5, func() {
			onUser("end sessions", func(d *Directory, id string) (*User, error) { return d.EndSessions(w.ctx, id) })
		}},
		{3, func() {
			x := &act{kind: "revoke", seat: pick(rng, w.seats)}
			w.perform(a, x, func(d *Directory) (err error) {
				x.user, _, err = d.Revoke(w.ctx, Revocation{x.seat.appID, x.seat.openID, "reason"})
				return err
			})
		}},
		{2, func() {
			x := &act{kind: "clear profile", seat: pick(rng, w.seats)}
			w.perform(a, x, func(d *Directory) (err error) {
				x.user, _, err = d.ClearProfile(w.ctx, x.seat.appID, x.seat.openID)
				return err
			})
		}},
		{3, func() {
			if w.mode.quiet {
				return
			}
			onUser("erase", func(d *Directory, id string) (*User, error) { return d.Erase(w.ctx, id) })
		}},
		{3, func() {
			x := &act{kind: "settle", id: w.some()}
			w.perform(a, x, func(d *Directory) error { return d.Settle(w.ctx, x.id) })
		}},
		{4, func() { w.work(a) }},
		{3, func() {
			x := &act{kind: "user", id: w.some()}
			w.perform(a, x, func(d *Directory) (err error) {
				var found bool
				if x.user, found, err = d.User(w.ctx, x.id); err == nil && !found {
					return ErrNotFound
				}
				return err
			})
		}},
		{3, func() {
			x := &act{kind: "find", seat: pick(rng, w.seats)}
			w.perform(a, x, func(d *Directory) (err error) {
				x.user, _, err = d.Find(w.ctx, x.seat.appID, x.seat.openID)
				return err
			})
		}},
		{10, func() {
			if len(w.visits) > 0 {
				w.use(a, pick(rng, w.visits))
			}
		}},
		{6, func() { w.deliver(a, w.some()) }},
	}
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	n := rng.IntN(sum)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			k.do()
			return
		}
	}
}

func (w *storm) split(a *actor) {
	if w.mode.quiet {
		return
	}
	// Rather one that can be split off.
	seats := w.seats
	var crowded []*seat
	for _, s := range seats {
		if owner := w.owners[w.phase][s]; owner != "" {
			n := 0
			for _, o := range w.owners[w.phase] {
				if o == owner {
					n++
				}
			}
			if n > 1 {
				crowded = append(crowded, s)
			}
		}
	}
	if len(crowded) > 0 {
		seats = crowded
	}
	s := pick(w.rng, seats)
	id := w.owners[w.phase][s]
	if id == "" || w.rng.IntN(6) == 0 {
		id = w.some()
	}
	x := &act{kind: "split", seat: s, id: id}
	s.splits = append(s.splits, x)
	w.perform(a, x, func(d *Directory) error {
		former, fresh, err := d.Split(w.ctx, id, s.appID, s.openID)
		if err == nil {
			x.user, x.other = former, fresh.ID
			w.handOut(fresh.ID)
		}
		return err
	})
}

// work is what the program does beside the requests: it finishes what is due.
func (w *storm) work(a *actor) {
	due := w.stage.queue.ids(QueueSettle, w.phaseStart())
	if len(due) == 0 {
		return
	}
	x := &act{kind: "work", id: pick(w.rng, due)}
	w.perform(a, x, func(d *Directory) error {
		if err := d.Settle(w.ctx, x.id); err != nil {
			return err
		}
		// Somebody may have taken note of another change of this user in the meantime.
		if w.stage.queue.due[QueueSettle][x.id].After(w.phaseStart()) {
			return nil
		}
		return d.queue.Done(w.ctx, QueueSettle, x.id)
	})
}

// phaseStart is a time after which only this phase's changes are due.
func (w *storm) phaseStart() time.Time {
	for _, x := range w.acts {
		if x.phase == w.phase {
			return x.at.Add(settleAfter - time.Second)
		}
	}
	return far
}

// use asks whether a session is still valid, as every request does.
func (w *storm) use(a *actor, v *visit) *act {
	x := &act{kind: "use", session: v}
	w.perform(a, x, func(d *Directory) error {
		u, found, err := d.Current(w.ctx, v.id, v.seat.appID, v.seat.openID)
		if err == nil && found {
			x.user, x.valid = u, v.valid(u)
		}
		return err
	})
	return x
}

// valid is what the program that keeps sessions has to ask.
func (v *visit) valid(u *User) bool {
	a := u.Account(v.seat.appID, v.seat.openID)
	// An account that came to the user after the session's login is one that was erased in between.
	return u.Status == StatusActive && v.epoch >= u.SessionEpoch(v.id) && a != nil && !a.FirstSeen.After(v.login.at)
}

// deliver tells the app the oldest event of a user.
func (w *storm) deliver(a *actor, id string) *act {
	x := &act{kind: "deliver", id: id}
	w.perform(a, x, func(d *Directory) error {
		list, err := d.Notices(w.ctx, id)
		if err != nil || len(list) == 0 {
			return err
		}
		x.notice = list[0]
		return d.Delivered(w.ctx, id, x.notice.ID)
	})
	return x
}

// peace runs operations of which nobody else is in the way.
func (w *storm) peace() *Directory {
	return w.stage.directory(nil, DirectoryConfig{Announce: true, Now: w.now, NewID: w.newID})
}

// begin starts a phase: it notes what stands for what.
func (w *storm) begin() {
	w.phase = len(w.roots)
	d := w.peace()
	roots, owners, states := map[string]string{}, map[*seat]string{}, map[string]string{}
	for _, id := range w.ids {
		u, found, err := d.User(w.ctx, id)
		if err != nil || !found {
			w.again = append(w.again, fmt.Sprintf("phase %d: id %s leads to nobody: %v", w.phase, short(id), err))
			continue
		}
		roots[id], states[id] = u.ID, u.Status
	}
	for _, s := range w.seats {
		u, found, err := d.Find(w.ctx, s.appID, s.openID)
		if err != nil {
			w.again = append(w.again, fmt.Sprintf("phase %d: account %s: %v", w.phase, s.openID, err))
		}
		if found {
			owners[s] = u.ID
			states[u.ID] = u.Status
		}
	}
	w.roots, w.owners, w.states = append(w.roots, roots), append(w.owners, owners), append(w.states, states)
	for _, v := range w.visits {
		w.use(nil, v)
		if u := w.acts[len(w.acts)-1].user; u != nil {
			v.owner[w.phase] = u.ID
		}
	}
}

// blow runs one phase of the storm: some programs at the same time.
func (w *storm) blow() {
	rng := w.rng
	for range 2 + rng.IntN(3) {
		n := 1 + rng.IntN(3)
		w.stage.enter("", func(a *actor) {
			for range n {
				w.play(a)
			}
		})
	}
	var last *actor
	for {
		waiting := w.stage.waiting()
		if len(waiting) == 0 {
			break
		}
		next := pick(rng, waiting)
		if last != nil && last.waiting != "" && rng.IntN(3) > 0 {
			next = last // long runs of one program find what short ones do not
		}
		last = next
		next.step(w.fate())
	}
	w.stage.leave()
	w.stage.expire()
}

func (w *storm) fate() outcome {
	switch n := w.rng.IntN(60); {
	case n < 2 && w.mode.kills:
		return crashBefore + outcome(n)
	case n < 5 && w.mode.faults:
		return repeat + outcome(n-2)
	}
	return proceed
}

func runStorm(ctx context.Context, tr *troupe, n uint64) *storm {
	rng := rand.New(rand.NewPCG(n, 4))
	w := &storm{ctx: ctx, rng: rng, stage: newStage(nil, tr), newID: ids()}
	w.mode = stormMode{kills: n%4 == 1 || n%4 == 3, faults: n%4 == 3, quiet: n/4%3 == 2}
	if n%2 == 0 {
		w.stage.linger = map[string]bool{}
	}
	apps := []struct{ id, platform string }{{"wx1", "one"}, {"wx2", "one"}, {"wx3", "two"}, {"wx4", "two"}, {"wx5", "one"}}
	for i := range 2 + rng.IntN(2) {
		h := &human{name: string(rune('a'+i)) + "n"}
		h.unionids = map[string]string{"one": "u-" + h.name + "-one", "two": "u-" + h.name + "-two"}
		for _, k := range rng.Perm(len(apps))[:1+rng.IntN(3)] {
			s := &seat{human: h, appID: apps[k].id, platform: apps[k].platform, openID: fmt.Sprintf("o-%s-%d", h.name, k)}
			h.accounts = append(h.accounts, s)
			w.seats = append(w.seats, s)
		}
		w.humans = append(w.humans, h)
	}
	for _, s := range w.seats {
		w.login(nil, s, false, rng.IntN(3) > 0)
	}
	for range 2 + rng.IntN(2) {
		w.begin()
		w.blow()
		if h := pick(rng, w.humans); !w.mode.quiet && rng.IntN(6) == 0 {
			platform := pick(rng, []string{"one", "two"})
			h.unionids[platform] += "-new"
			h.changed = true
		}
	}
	return w
}

var stormSeed = flag.Int("identity.seed", -1, "run only this seed of the storm and print all of it")
var stormSeeds = flag.Int("identity.seeds", 0, "how many seeds of the storm")

func TestStorm(t *testing.T) {
	seeds := 300
	if quick() {
		seeds = 40
	}
	seeds = cmp.Or(*stormSeeds, seeds)
	from := 0
	if *stormSeed >= 0 {
		from, seeds = *stormSeed, *stormSeed+1
	}
	failed := 0
	tr := newTroupe(t)
	for n := from; n < seeds; n++ {
		w := runStorm(t.Context(), tr, uint64(n))
		problem := w.judge()
		if problem == "" && *stormSeed < 0 {
			continue
		}
		if *stormSeed >= 0 {
			t.Log(w.stage)
			for _, x := range w.acts {
				t.Log(x)
			}
		}
		if problem != "" {
			t.Errorf("seed %d (%v): %s", n, w.mode, problem)
			if failed++; failed >= 10 {
				t.Fatal("enough")
			}
		}
	}
}
