package identity

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"
)

// scene is a small case of which every order of operations is tried.
type scene struct {
	name    string
	before  []Login // in peace; the users get the ids that newID gives: 1, 2, …
	prepare func(ctx context.Context, d *Directory) error
	cast    []func(ctx context.Context, d *Directory, r *report) error
	linger  bool // entries that are given a short life stay for a while
	// announce keeps events. Their ids are random, so fewer states are seen to be the same.
	announce bool
	turns    int // tried only up to so many turns, see fork, unless -identity.exhaustive is given
	kills    int // how many of the programs, the first ones, may be killed, one at a time and at any write
	check    func(r *report) string
}

// report is what one run of a scene leaves.
type report struct {
	ctx   context.Context
	stage *stage
	d     *Directory  // in peace, once all is over
	errs  []error     // by program
	bad   string      // what a program saw and must not see
	same  [][2]string // ids that a program was told to be one user
	told  []string    // ids that logins were answered with, by program; empty where it is not kept
}

// user follows merges, for checks.
func (r *report) user(id string) *User {
	u, found, err := r.d.User(r.ctx, id)
	if err != nil || !found {
		return &User{ID: "nobody", Status: fmt.Sprint("missing ", err)}
	}
	return u
}

func (r *report) find(l Login) *User {
	u, found, err := r.d.Find(r.ctx, l.AppID, l.OpenID)
	if err != nil || !found {
		return &User{ID: "nobody", Status: fmt.Sprint("missing ", err)}
	}
	return u
}

// nth is the nth id that ids makes.
func nth(n int) string {
	newID, id := ids(), ""
	for range n {
		id = newID()
	}
	return id
}

// quick asks for less: the race detector, which makes everything ten times as slow, finds nothing in coroutines.
func quick() bool { return testing.Short() || underRace }

var underRace bool

var exhaustive = flag.Bool("identity.exhaustive", false, "try all orders of the larger scenes, too")

// explore tries every order of the operations of a scene's programs, first as they are, then with each of those that may be killed
// ending before each of its writes.
//
// Of orders that differ only in operations that do not touch each other, it tries one (sleep sets: P. Godefroid, Partial-Order
// Methods for the Verification of Concurrent Systems, 1996), and from a state that was seen before it goes only where it did not go
// from there. Both lose no end.
func explore(t *testing.T, sc scene) {
	t.Helper()
	base := newStage(t, nil)
	newID := ids()
	d := base.directory(nil, DirectoryConfig{Announce: sc.announce, NewID: newID})
	for _, l := range sc.before {
		mustResolve(t, d, l)
	}
	if sc.prepare != nil {
		if err := sc.prepare(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case *exhaustive:
		sc.turns = 0
	case quick():
		sc.turns, sc.kills = 1, 0
	}
	runs, ends := 0, 0
	for victim := -1; victim < sc.kills; victim++ {
		if victim >= 0 && !*exhaustive {
			sc.turns = 1
		}
		for writes := 0; ; writes++ {
			e := &explorer{scene: sc, turns: sc.turns, base: base, victim: victim, writes: writes, seen: map[uint64]uint{}, ends: map[uint64]bool{}}
			for more := true; more; {
				var problem string
				if more, problem = e.run(t.Context()); problem != "" {
					t.Fatal(problem)
				}
				runs++
			}
			ends += len(e.ends)
			if !e.killed {
				break // the victim has no more writes than that
			}
		}
	}
	if ends == 0 {
		t.Fatal("no run came to its end")
	}
	t.Logf("%d runs, %d ends", runs, ends)
}

type explorer struct {
	scene  scene
	base   *stage
	victim int // which program is killed, -1: none
	writes int // after how many writes
	killed bool
	path   []*fork
	seen   map[uint64]uint // by state: the programs that were not tried from there
	ends   map[uint64]bool
	turns  int // the greatest number of turns that is tried; 0: any
}

// fork is a point of the run at which several programs may go on. Sets of programs are bits.
type fork struct {
	waiting uint
	before  int // who went last
	turns   int // how often somebody had to wait who could have gone on
	chosen  int
	todo    uint // still to be tried
	sleep   uint // need not be tried: what they would do next was tried before something that does not touch it
}

// run takes the order of the path up to its last fork, and a new one from there. It tells whether there is another one.
func (e *explorer) run(ctx context.Context) (more bool, problem string) {
	s := newStage(nil, e.base.troupe)
	s.store.m = maps.Clone(e.base.store.m)
	if e.scene.linger {
		s.linger = map[string]bool{}
	}
	for name, due := range e.base.queue.due {
		s.queue.due[name] = maps.Clone(due)
	}
	r := &report{ctx: ctx, stage: s, errs: make([]error, len(e.scene.cast)), told: make([]string, len(e.scene.cast))}
	for i, play := range e.scene.cast {
		n := 0
		s.enter(fmt.Sprint(i), func(a *actor) {
			d := s.directory(a, DirectoryConfig{Announce: e.scene.announce, NewID: func() string { n++; return nth(100*(i+1) + n) }})
			r.errs[i] = play(ctx, d, r)
		})
	}
	defer s.leave()
	written := 0
	for depth := 0; ; depth++ {
		for i, a := range s.cast {
			if i == e.victim && a.waiting != "" && written == e.writes && !strings.HasPrefix(a.waiting, "get") {
				a.step(crashBefore)
				e.killed = true
			}
		}
		var waiting uint
		for i, a := range s.cast {
			if a.waiting != "" {
				waiting |= 1 << i
			}
		}
		if waiting == 0 {
			break
		}
		if depth == len(e.path) && !e.branch(s, waiting) {
			return e.back(), ""
		}
		f := e.path[depth]
		a := s.cast[f.chosen]
		if f.chosen == e.victim && !strings.HasPrefix(a.waiting, "get") {
			written++
		}
		a.step(proceed)
	}
	if end := maphash.String(seed, fmt.Sprint(s.content(), r.errs, r.bad, r.told)); !e.ends[end] {
		e.ends[end] = true
		if problem := e.judge(r, e.killed); problem != "" {
			return false, fmt.Sprintf("%s: %s%v", e.scene.name, problem, s)
		}
	}
	return e.back(), ""
}

// branch adds a fork to the path unless everything that can follow was tried.
func (e *explorer) branch(s *stage, waiting uint) bool {
	f := &fork{before: -1}
	if len(e.path) > 0 {
		last := e.path[len(e.path)-1]
		f.before, f.turns = last.chosen, last.turns
		if last.before >= 0 && last.before != last.chosen && last.waiting&(1<<last.before) != 0 {
			f.turns++
		}
		for i, a := range s.cast {
			if last.sleep&(1<<i) != 0 && !touches(a.waiting, s.did) {
				f.sleep |= 1 << i
			}
		}
	}
	f.waiting = waiting
	state := s.hash()
	if e.turns > 0 {
		f.sleep = 0
		if f.turns == e.turns && f.before >= 0 && waiting&(1<<f.before) != 0 {
			f.sleep = waiting &^ (1 << f.before)
		}
		state = maphash.String(seed, fmt.Sprint(state, f.turns, f.before))
	}
	f.todo = waiting &^ f.sleep
	if left, again := e.seen[state]; again {
		f.todo = waiting & left &^ f.sleep
		f.sleep &= left
		if e.turns > 0 {
			f.todo = 0
		}
	}
	e.seen[state] = f.sleep
	if f.todo == 0 {
		return false
	}
	f.next()
	e.path = append(e.path, f)
	return true
}

func (f *fork) next() {
	f.chosen = bits.TrailingZeros(f.todo)
	f.todo &^= 1 << f.chosen
}

// back goes to the last fork at which something is left to be tried.
func (e *explorer) back() bool {
	for len(e.path) > 0 {
		f := e.path[len(e.path)-1]
		f.sleep |= 1 << f.chosen
		if f.todo != 0 {
			f.next()
			return true
		}
		e.path = e.path[:len(e.path)-1]
	}
	return false
}

// touches tells whether the order of two operations matters.
func touches(a, b string) bool {
	opA, keyA, _ := strings.Cut(a, " ")
	opB, keyB, _ := strings.Cut(b, " ")
	return keyA == keyB && (opA != "get" || opB != "get")
}

func (e *explorer) judge(r *report, killed bool) string {
	r.d = r.stage.directory(nil, DirectoryConfig{Announce: e.scene.announce, NewID: func() string { return nth(1000 + len(r.stage.store.m)) }})
	for i, err := range r.errs {
		switch {
		case err == nil, killed && errors.Is(err, errCrash), errors.Is(err, ErrErased), errors.Is(err, ErrSame):
		case errors.Is(err, ErrOnlyAccount), errors.Is(err, ErrNoAccount):
		default:
			return fmt.Sprintf("program %d: %v", i, err)
		}
	}
	if r.bad != "" {
		return r.bad
	}
	if err := settleAll(r.ctx, r.d, r.stage.queue); err != nil {
		return err.Error()
	}
	r.stage.expire()
	left := clean
	if killed {
		left = deadFirstLogins
	}
	if problem := audit(r.stage.store, left); problem != "" {
		return problem
	}
	for _, id := range r.stage.store.keys("u:") {
		if _, found, err := r.d.User(r.ctx, id[2:]); err != nil || !found {
			return fmt.Sprintf("user %s: %v, %v", short(id), found, err)
		}
	}
	for _, ids := range r.same {
		if a, b := r.user(ids[0]), r.user(ids[1]); a.ID != b.ID {
			return fmt.Sprintf("%s is %s, %s is %s", short(ids[0]), short(a.ID), short(ids[1]), short(b.ID))
		}
	}
	if e.scene.check != nil {
		return e.scene.check(r)
	}
	return ""
}

// a session as it was handed out before the scene, and what it is worth now.
func (r *report) session(d *Directory, id string, epoch int, l Login) (valid bool, u *User, err error) {
	u, found, err := d.Current(r.ctx, id, l.AppID, l.OpenID)
	if err != nil || !found {
		return false, nil, err
	}
	v := visit{id: id, epoch: epoch, seat: &seat{appID: l.AppID, openID: l.OpenID}, login: &act{at: t0.Add(time.Hour)}}
	return v.valid(u), u, nil
}

// The shapes of programs.

type program = func(ctx context.Context, d *Directory, r *report) error

func merges(into, from int) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		u, merged, err := d.Merge(ctx, nth(into), nth(from))
		if err == nil {
			r.same = append(r.same, [2]string{nth(into), nth(from)})
		}
		if err == nil && u.ID == merged {
			r.bad = fmt.Sprintf("merging %d into %d gave %s and says that %s is no more", from, into, short(u.ID), short(merged))
		}
		return err
	}
}

func erases(n int) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		was, err := d.Erase(ctx, nth(n))
		if err != nil {
			return err
		}
		return d.Settle(ctx, was.ID)
	}
}

func splits(n int, l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		former, fresh, err := d.Split(ctx, nth(n), l.AppID, l.OpenID)
		if err == nil && (former == nil || fresh == nil) {
			r.bad = "a split without users"
		}
		return err
	}
}

func logsIn(l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		res, err := d.Resolve(ctx, l)
		if err == nil && (res.User.Account(l.AppID, l.OpenID) == nil || res.Merged == res.User.ID) {
			r.bad = fmt.Sprintf("the login got %+v", res)
		}
		return err
	}
}

func learns(l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		_, _, err := d.Learn(ctx, l)
		return err
	}
}

func settles(id string) program {
	return func(ctx context.Context, d *Directory, _ *report) error { return d.Settle(ctx, id) }
}

func blocks(n int) program {
	return func(ctx context.Context, d *Directory, _ *report) error {
		_, err := d.Block(ctx, nth(n))
		return err
	}
}

// ends ends all sessions of a user and then uses those that the user may have had before.
func ends(n int, logins map[string]Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		ended, err := d.EndSessions(ctx, nth(n))
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(logins)) {
			if ended.Account(logins[id].AppID, logins[id].OpenID) == nil {
				continue // split off before
			}
			if valid, u, err := r.session(d, id, 0, logins[id]); err != nil || valid {
				if valid {
					r.bad = fmt.Sprintf("a session of %s that was ended is valid as %s", short(id), short(u.ID))
				}
				return err
			}
		}
		return nil
	}
}

// uses wants a session to be valid all the time.
func uses(id string, l Login) program {
	return func(ctx context.Context, d *Directory, r *report) error {
		valid, u, err := r.session(d, id, 0, l)
		if err == nil && !valid {
			r.bad = fmt.Sprintf("a session of %s is not valid: %+v", short(id), u)
		}
		return err
	}
}
