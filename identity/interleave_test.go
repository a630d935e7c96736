package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// gate is one login's view of the shared store. Every operation waits until the scheduler lets it happen, so that a seed decides
// the order of all operations of all logins.
type gate struct {
	Store
	id    int
	asks  chan<- int
	grant chan outcome
}

func (g *gate) pass(effect func() error) error {
	g.asks <- g.id
	switch <-g.grant {
	case crashBefore:
		return errCrash
	case crashAfter:
		if err := effect(); err != nil {
			return err
		}
		return errCrash
	}
	return effect()
}

func (g *gate) Get(ctx context.Context, key string) (v []byte, found bool, err error) {
	err = g.pass(func() error { v, found, err = g.Store.Get(ctx, key); return err })
	return v, found, err
}

func (g *gate) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	return oneByOne(ctx, g, keys)
}

func (g *gate) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (ok bool, err error) {
	err = g.pass(func() error { ok, err = g.Store.Create(ctx, key, value, ttl); return err })
	return ok, err
}

func (g *gate) Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (ok bool, err error) {
	err = g.pass(func() error { ok, err = g.Store.Replace(ctx, key, old, new, ttl); return err })
	return ok, err
}

func (g *gate) Delete(ctx context.Context, key string) error {
	return g.pass(func() error { return g.Store.Delete(ctx, key) })
}

type answer struct {
	Resolution
	err error
}

// interleave runs the logins at the same time, each on a directory of its own, one store operation after the other in an order that
// rng decides. With crashes, about one operation in twelve kills its login.
func interleave(ctx context.Context, rng *rand.Rand, store Store, newID func() string, logins []Login, crashes bool) []answer {
	answers := make([]answer, len(logins))
	gates := make([]*gate, len(logins))
	asks, done := make(chan int), make(chan int)
	for i, l := range logins {
		gates[i] = &gate{Store: store, id: i, asks: asks, grant: make(chan outcome)}
		d := NewDirectory(DirectoryConfig{Store: gates[i], NewID: newID})
		go func() {
			answers[i].Resolution, answers[i].err = d.Resolve(ctx, l)
			done <- i
		}()
	}
	var waiting []int
	for running, left := len(logins), len(logins); left > 0; {
		for ; running > 0; running-- {
			select {
			case i := <-asks:
				waiting = append(waiting, i)
			case <-done:
				left--
			}
		}
		if left == 0 {
			break
		}
		slices.Sort(waiting) // the goroutines' own order must not matter
		n := rng.IntN(len(waiting))
		i := waiting[n]
		waiting = slices.Delete(waiting, n, n+1)
		o := proceed
		if crashes && rng.IntN(12) == 0 {
			o = crashBefore + outcome(rng.IntN(2))
		}
		running++
		gates[i].grant <- o
	}
	return answers
}

// person is one human being of the model.
type person struct {
	name     string
	accounts int
	silent   bool // some of the logins bring no unionid
}

// account is one of a person's accounts, with a login that brings the unionid.
type account struct {
	person person
	login  Login
}

func TestResolveInterleavings(t *testing.T) {
	seeds := 1000
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		crashes := seed%2 == 1
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		people := []person{
			{"one", 1, true},                                       // one account, with and without unionid
			{"all", 3, false},                                      // several accounts, always with unionid
			{"mix", 2 + rng.IntN(2), true},                         // several accounts, with and without
			{"too", 1 + rng.IntN(2), rng.IntN(2) == 0},             // anything
			{"one" + fmt.Sprint(rng.IntN(3)), 1, rng.IntN(2) == 0}, // a name that begins like another
		}
		var logins []Login
		accounts := map[string]account{} // by openid
		for range 6 + rng.IntN(14) {
			p := people[rng.IntN(len(people))]
			l := login(p.name, rng.IntN(p.accounts), true).after(time.Duration(rng.IntN(120)) * time.Second)
			accounts[l.OpenID] = account{p, l}
			if p.silent && rng.IntN(2) == 0 {
				l.UnionID = ""
			}
			if rng.IntN(3) == 0 {
				l.Profile = &Profile{Name: p.name}
			}
			logins = append(logins, l)
		}
		store, newID := newMemStore(), ids()
		// One part at the same time, the next part at the same time after it.
		half := rng.IntN(len(logins) + 1)
		answers := interleave(t.Context(), rng, store, newID, logins[:half], crashes)
		answers = append(answers, interleave(t.Context(), rng, store, newID, logins[half:], crashes)...)
		// And everybody once more in peace, with the unionid.
		d := NewDirectory(DirectoryConfig{Store: store, NewID: newID})
		for _, openid := range slices.Sorted(maps.Keys(accounts)) {
			l := accounts[openid].login.after(3 * time.Minute)
			r, err := d.Resolve(t.Context(), l)
			logins, answers = append(logins, l), append(answers, answer{r, err})
		}
		if problem := judge(logins, answers, accounts, store, crashes); problem != "" {
			t.Fatalf("seed %d: %s", seed, problem)
		}
	}
}

// judge compares what happened with what must hold for any order and any crash.
func judge(logins []Login, answers []answer, accounts map[string]account, store *memStore, crashes bool) string {
	d := NewDirectory(DirectoryConfig{Store: store})
	now := func(id string) string { // whom an id stands for in the end
		u, found, err := d.User(context.Background(), id)
		if err != nil || !found {
			return fmt.Sprintf("nobody (%v)", err)
		}
		return u.ID
	}
	told := map[string]string{}           // user id that each account was told
	users := map[person]map[string]bool{} // user ids of each person
	personOf := map[string]person{}       // whom each user stands for
	created := map[string]int{}
	conflict := map[person]bool{}
	for i, a := range answers {
		if a.err != nil {
			if !crashes || !errors.Is(a.err, errCrash) {
				return fmt.Sprintf("login %d: %v", i, a.err)
			}
			continue
		}
		id, openid := now(a.User.ID), logins[i].OpenID
		if had, ok := told[openid]; ok && had != id {
			return fmt.Sprintf("account %s was user %s and then %s", openid, had, id)
		}
		told[openid] = id
		p := accounts[openid].person
		if had, ok := personOf[id]; ok && had != p {
			return fmt.Sprintf("user %s is both %s and %s", id, had.name, p.name)
		}
		personOf[id] = p
		if users[p] == nil {
			users[p] = map[string]bool{}
		}
		users[p][id] = true
		if a.Created {
			created[a.User.ID]++
		}
		conflict[p] = conflict[p] || a.Conflict
		if a.User.Status != StatusActive || a.User.Account(logins[i].AppID, openid) == nil {
			return fmt.Sprintf("login %d of %s got %+v", i, openid, a.User)
		}
	}
	for id, n := range created {
		if n > 1 {
			return fmt.Sprintf("user %s was created %d times", id, n)
		}
	}
	for p, ids := range users {
		certain := p.accounts == 1 || !p.silent
		if certain && (len(ids) != 1 || conflict[p]) {
			return fmt.Sprintf("%s has %d users, conflict %v", p.name, len(ids), conflict[p])
		}
		if len(ids) > 1 {
			return fmt.Sprintf("%s has %d users", p.name, len(ids))
		}
		for id := range ids {
			if !crashes && !slices.ContainsFunc(slices.Collect(maps.Keys(created)), func(c string) bool { return now(c) == id }) {
				return fmt.Sprintf("user %s of %s was never created", id, p.name)
			}
		}
	}
	for openid, id := range told {
		if got := store.value(accountKey(accounts[openid].login.AppID, openid)); got != id {
			return fmt.Sprintf("the entry of %s leads to %q, not to %s", openid, got, id)
		}
	}
	if !crashes {
		// Without crashes nothing is left over but tombstones.
		pointed := map[string]bool{}
		for _, key := range append(store.keys("a:"), store.keys("n:")...) {
			pointed[store.value(key)] = true
		}
		for _, key := range store.keys("u:") {
			u, err := decodeUser(key[2:], []byte(store.value(key)))
			if err != nil {
				return err.Error()
			}
			if !pointed[u.ID] && u.Status != StatusMerged {
				return fmt.Sprintf("a record that nothing points to: %+v", u)
			}
		}
	}
	return ""
}

// Really parallel, for the race detector: one person's first logins, by two directories on one store.
func TestResolveParallelFirstLogins(t *testing.T) {
	for _, tt := range []struct {
		name  string
		login func(i int) Login
	}{
		{"silent", func(int) Login { return login("an", 1, false) }},
		{"with unionid", func(int) Login { return login("an", 1, true) }},
		{"one account, both kinds", func(i int) Login { return login("an", 1, i%2 == 0) }},
		{"fifty accounts, one unionid", func(i int) Login { return login("an", i, true) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newMemStore()
			directories := []*Directory{
				NewDirectory(DirectoryConfig{Store: s}),
				NewDirectory(DirectoryConfig{Store: s}),
			}
			const n = 50
			answers := make([]answer, n)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					<-start
					answers[i].Resolution, answers[i].err = directories[i%2].Resolve(t.Context(), tt.login(i))
				})
			}
			close(start)
			wg.Wait()
			created := 0
			for i, a := range answers {
				if a.err != nil {
					t.Fatalf("login %d: %v", i, a.err)
				}
				if a.User.ID != answers[0].User.ID || a.Conflict {
					t.Fatalf("login %d: %+v, the first was %s", i, a.Resolution, answers[0].User.ID)
				}
				if a.Created {
					created++
				}
			}
			if created != 1 {
				t.Errorf("created %d times", created)
			}
		})
	}
}
