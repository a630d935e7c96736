package identity

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stage runs several programs on one store and one queue, one operation after the other, in an order that the test decides. The
// programs are coroutines, so that the same decisions always give the same run.
type stage struct {
	store *memStore
	queue *memQueue
	cast  []*actor
	steps []string // what happened, for the report of a failure
	did   string   // the last operation
	// linger are the entries that have a short life; nil if such a life is over at once.
	linger map[string]bool
	troupe *troupe
}

// newStage returns an empty stage. The coroutines are the troupe's, or its own.
func newStage(t *testing.T, tr *troupe) *stage {
	if tr == nil {
		tr = newTroupe(t)
	}
	return &stage{store: newMemStore(), queue: newMemQueue(), troupe: tr}
}

// troupe keeps coroutines for many runs: new ones for each would cost the race detector gigabytes.
type troupe struct {
	idle []*player
}

// player is a coroutine that runs one program after the other.
type player struct {
	next  func() (struct{}, bool)
	pause func() bool // until the next step
	play  func()      // nil when it has ended
}

func newTroupe(t *testing.T) *troupe {
	tr := &troupe{}
	t.Cleanup(func() {
		for _, p := range tr.idle {
			p.next() // without a program it ends
		}
	})
	return tr
}

func (tr *troupe) hire(play func()) *player {
	if n := len(tr.idle); n > 0 {
		p := tr.idle[n-1]
		tr.idle, p.play = tr.idle[:n-1], play
		return p
	}
	p := &player{play: play}
	p.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		p.pause = func() bool { return yield(struct{}{}) }
		for p.play != nil {
			p.play()
			p.play = nil
			p.pause()
		}
	})
	return p
}

// actor is one program: its store and its queue are the stage's, but each operation waits until it is let through.
type actor struct {
	stage  *stage
	name   string
	player *player // nil: nobody else is there, and it need not wait

	waiting string  // the operation that comes next; empty once the program has ended
	fate    outcome // what becomes of it
	dead    bool    // killed: no operation has an effect any more
	saw     uint64  // all answers so far, which is all that the program's state depends on
}

// Besides those of memStore: the client reports an error, but the program lives on.
const (
	faultBefore = repeat + 1 + iota
	faultAfter
)

var fateNames = map[outcome]string{
	crashBefore: "killed before", crashAfter: "killed after", repeat: "repeated", faultBefore: "failed before", faultAfter: "failed after",
}

// enter starts a program; it runs up to its first operation.
func (s *stage) enter(name string, play func(a *actor)) *actor {
	a := &actor{stage: s, name: name}
	s.cast = append(s.cast, a)
	a.player = s.troupe.hire(func() { play(a) })
	a.resume()
	return a
}

func (a *actor) resume() {
	a.player.next()
	if a.player.play == nil {
		a.waiting = ""
		a.stage.troupe.idle = append(a.stage.troupe.idle, a.player)
	}
}

// step lets the program's next operation happen and runs the program up to the one after it.
func (a *actor) step(fate outcome) {
	line := a.name + ": " + a.waiting
	if fate != proceed {
		line += " (" + fateNames[fate] + ")"
	}
	a.stage.steps = append(a.stage.steps, line)
	a.stage.did = a.waiting
	a.fate = fate
	a.resume()
}

// waiting lists the programs that have not ended.
func (s *stage) waiting() []*actor {
	return slices.DeleteFunc(slices.Clone(s.cast), func(a *actor) bool { return a.waiting == "" })
}

// leave ends all programs, finished or not.
func (s *stage) leave() {
	for _, a := range s.waiting() {
		a.dead = true
		a.resume()
	}
	s.cast = nil
}

// do waits for the operation's turn. The effect says what the store answered.
func (a *actor) do(op, key string, effect func() (string, error)) error {
	if a.dead {
		return errCrash
	}
	if a.player == nil {
		_, err := effect()
		return err
	}
	a.waiting = op + " " + key
	a.player.pause()
	if a.dead {
		return errCrash
	}
	if a.fate == crashBefore || a.fate == crashAfter {
		a.dead = true
	}
	if a.fate == crashBefore || a.fate == faultBefore {
		a.note("failed")
		return errCrash
	}
	answer, err := effect()
	if a.fate == repeat {
		answer, err = effect()
	}
	if a.fate == crashAfter || a.fate == faultAfter {
		answer, err = "failed", errCrash
	}
	a.note(answer)
	return err
}

func (a *actor) note(answer string) {
	a.saw = maphash.String(seed, fmt.Sprintf("%x %s %s", a.saw, a.waiting, answer))
}

var seed = maphash.MakeSeed()

func (a *actor) Get(ctx context.Context, key string) (v []byte, found bool, err error) {
	err = a.do("get", key, func() (string, error) {
		v, found, err = a.stage.store.Get(ctx, key)
		return string(v), err
	})
	return v, found, err
}

func (a *actor) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	return oneByOne(ctx, a, keys)
}

func (a *actor) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (ok bool, err error) {
	err = a.do("create", key, func() (string, error) {
		ok, err = a.stage.store.Create(ctx, key, value, ttl)
		return fmt.Sprint(ok), err
	})
	return ok && err == nil, err
}

func (a *actor) Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (ok bool, err error) {
	err = a.do("replace", key, func() (string, error) {
		if a.stage.linger == nil {
			ok, err = a.stage.store.Replace(ctx, key, old, new, ttl)
		} else if ok, err = a.stage.store.Replace(ctx, key, old, new, 0); ok {
			a.stage.linger[key] = ttl != 0
		}
		return fmt.Sprint(ok), err
	})
	return ok && err == nil, err
}

func (a *actor) Delete(ctx context.Context, key string) error {
	return a.do("delete", key, func() (string, error) { return "", a.stage.store.Delete(ctx, key) })
}

func (a *actor) Schedule(ctx context.Context, queue, id string, at time.Time) error {
	return a.do("schedule", queue+" "+id, func() (string, error) { return "", a.stage.queue.Schedule(ctx, queue, id, at) })
}

func (a *actor) Done(ctx context.Context, queue, id string) error {
	return a.do("done", queue+" "+id, func() (string, error) { return "", a.stage.queue.Done(ctx, queue, id) })
}

// expire lets what has a short life end.
func (s *stage) expire() {
	for key, short := range s.linger {
		if short {
			delete(s.store.m, key)
		}
	}
	clear(s.linger)
}

// hash names the state that everything further depends on: what is stored, and what each program has seen.
func (s *stage) hash() uint64 {
	sum := s.content()
	for i, a := range s.cast {
		sum = maphash.String(seed, fmt.Sprintf("%x %d %x %s %v", sum, i, a.saw, a.waiting, a.dead))
	}
	return sum
}

// content names what is stored.
func (s *stage) content() uint64 {
	sum := uint64(0)
	for key, value := range s.store.m {
		sum ^= maphash.Bytes(seed, append([]byte(key+"\x00"), value...))
	}
	for key, short := range s.linger {
		if short {
			sum ^= maphash.String(seed, key)
		}
	}
	for _, q := range slices.Sorted(maps.Keys(s.queue.due)) {
		for id := range s.queue.due[q] {
			sum ^= maphash.String(seed, q+"\x00"+id)
		}
	}
	return sum
}

func (s *stage) String() string { return "\n\t" + strings.Join(s.steps, "\n\t") }

// memQueue is a due-queue in memory. Only programs of one stage share it, so it needs no lock.
type memQueue struct {
	due map[string]map[string]time.Time
}

func newMemQueue() *memQueue { return &memQueue{map[string]map[string]time.Time{}} }

func (q *memQueue) Schedule(_ context.Context, queue, id string, at time.Time) error {
	if q.due[queue] == nil {
		q.due[queue] = map[string]time.Time{}
	}
	q.due[queue][id] = at
	return nil
}

func (q *memQueue) Done(_ context.Context, queue, id string) error {
	delete(q.due[queue], id)
	return nil
}

// ids are those that are due, in alphabetical order.
func (q *memQueue) ids(queue string, now time.Time) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(q.due[queue])) {
		if !q.due[queue][id].After(now) {
			out = append(out, id)
		}
	}
	return out
}

// far is after everything.
var far = t0.Add(1000 * time.Hour)

// settleAll finishes what is in the queue, as the program does that runs beside the requests, and says what went wrong.
func settleAll(ctx context.Context, d *Directory, q *memQueue) error {
	for round := 0; len(q.due[QueueSettle]) > 0; round++ {
		if round > 10 {
			return fmt.Errorf("the queue does not become empty: %v", q.due[QueueSettle])
		}
		for _, id := range q.ids(QueueSettle, far) {
			if err := d.Settle(ctx, id); err != nil {
				return fmt.Errorf("settling %s: %w", short(id), err)
			}
			if err := q.Done(ctx, QueueSettle, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// short is the end of a test's id, in which alone they differ.
func short(id string) string {
	if len(id) < 5 {
		return id
	}
	return id[len(id)-5:]
}

// records decodes everything that is stored about users.
func (s *memStore) records() (map[string]*User, error) {
	out := map[string]*User{}
	for _, key := range s.keys("u:") {
		u, err := decodeUser(key[2:], []byte(s.value(key)))
		if err != nil {
			return nil, err
		}
		out[u.ID] = u
	}
	return out, nil
}

// leftovers are what an audit puts up with.
type leftovers int

const (
	clean leftovers = iota
	// deadLogins: records of first logins that never got an index entry, which are nobody's, and entries that a login wrote before it
	// died.
	deadLogins
	// deadFirstLogins: and users whose first account never got its entry, or was given to a silent login, until the unionid comes back.
	deadFirstLogins
)

func died(yes bool) leftovers {
	if yes {
		return deadLogins
	}
	return clean
}

// audit looks at a store in which everything is finished: the index and the records must say the same, and what is no more must
// hold nothing.
func audit(s *memStore, left leftovers) string {
	unfinished := left > clean
	users, err := s.records()
	if err != nil {
		return err.Error()
	}
	pointed := map[string]bool{}
	for _, key := range append(s.keys("a:"), s.keys("n:")...) {
		id := s.value(key)
		u := users[id]
		pointed[id] = true
		switch {
		case u == nil:
			return fmt.Sprintf("%s leads to no record", key)
		case unfinished && (u.Status == StatusErased || u.Status == StatusMerged && key[0] == 'n'):
		case u.Status == StatusErased || u.Status == StatusMerged:
			return fmt.Sprintf("%s leads to %s, which is %s", key, short(id), u.Status)
		case !slices.Contains(u.indexKeys(), key) && !unfinished:
			return fmt.Sprintf("%s leads to %s, whose record does not have it", key, short(id))
		}
	}
	for id, u := range users {
		if len(u.History) > maxHistory {
			return fmt.Sprintf("%s has %d history entries", short(id), len(u.History))
		}
		for _, e := range u.History {
			if e.Type == "" || e.Time.IsZero() {
				return fmt.Sprintf("%s has an empty history entry", short(id))
			}
		}
		switch {
		case u.Status == StatusMerged:
			if root := rootOf(users, id); root == nil {
				return fmt.Sprintf("%s is merged into nobody", short(id))
			} else if root.Status != StatusErased && !slices.Contains(root.Aliases, id) {
				return fmt.Sprintf("%s does not know that %s was merged into it", short(root.ID), short(id))
			}
			fallthrough
		case u.Status == StatusErased:
			if len(u.indexKeys()) > 0 || u.Profile != nil || u.kept.Apart != nil || u.kept.Split != nil {
				return fmt.Sprintf("%s, which is %s, still holds %+v", short(id), u.Status, u)
			}
			continue
		case !pointed[id] && unfinished:
			continue
		}
		if u.kept.Split != nil {
			return fmt.Sprintf("the split of %s is not finished", short(id))
		}
		for _, key := range u.indexKeys() {
			if first := u.History[0]; left == deadFirstLogins && first.Type == EventCreated && key == accountKey(first.AppID, first.OpenID) {
				continue
			}
			if s.value(key) != id {
				return fmt.Sprintf("the record of %s has %s, which leads to %s", short(id), key, short(s.value(key)))
			}
		}
		for _, alias := range u.Aliases {
			if root := rootOf(users, alias); users[alias] == nil || users[alias].Status != StatusMerged || root == nil || root.ID != id {
				return fmt.Sprintf("%s has the alias %s, which is not merged into it", short(id), short(alias))
			}
		}
	}
	return ""
}

// rootOf follows merges in a set of records; nil if they lead nowhere.
func rootOf(users map[string]*User, id string) *User {
	for range len(users) + 1 {
		u := users[id]
		if u == nil || u.Status != StatusMerged {
			return u
		}
		id = u.kept.Merge.Into
	}
	return nil
}

// grep looks for texts in everything that is stored.
func (s *memStore) grep(texts ...string) string {
	for _, key := range s.keys("") {
		for _, text := range texts {
			if strings.Contains(key, text) || strings.Contains(s.value(key), text) {
				return fmt.Sprintf("%q is still in %s: %s", text, key, s.value(key))
			}
		}
	}
	return ""
}

// directory is what an actor, or nobody in particular, works with.
func (s *stage) directory(a *actor, c DirectoryConfig) *Directory {
	if a == nil {
		a = &actor{stage: s}
	}
	c.Store, c.Queue = a, a
	if c.Now == nil {
		c.Now = func() time.Time { return t0 }
	}
	return NewDirectory(c)
}

func TestStageRepeats(t *testing.T) {
	var first []string
	for range 3 {
		s := newStage(t, nil)
		newID := ids()
		for i := range 3 {
			s.enter(fmt.Sprint(i), func(a *actor) {
				d := s.directory(a, DirectoryConfig{NewID: newID})
				if _, err := d.Resolve(t.Context(), login("an", 1, true)); err != nil {
					t.Error(err)
				}
			})
		}
		for i := 0; len(s.waiting()) > 0; i++ {
			w := s.waiting()
			w[i*7%len(w)].step(proceed)
		}
		s.leave()
		if first == nil {
			first = s.steps
		}
		if !slices.Equal(first, s.steps) {
			t.Errorf("the same order of operations gave another run:%v\nthe first was:\n%s", s, strings.Join(first, "\n"))
		}
	}
}
