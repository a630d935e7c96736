package identity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// schedule runs the tasks at the same time, each on a directory of its own, one store operation after the other in an order that rng
// decides. With crashes, about one operation in twelve kills its task.
func schedule(rng *rand.Rand, store Store, newID func() string, tasks []func(d *Directory) error, crashes bool) []error {
	errs := make([]error, len(tasks))
	gates := make([]*gate, len(tasks))
	asks, done := make(chan int), make(chan int)
	for i, task := range tasks {
		gates[i] = &gate{Store: store, id: i, asks: asks, grant: make(chan outcome)}
		d := NewDirectory(DirectoryConfig{Store: gates[i], NewID: newID, Now: func() time.Time { return t0.Add(time.Hour) }})
		go func() {
			errs[i] = task(d)
			done <- i
		}()
	}
	var waiting []int
	for running, left := len(tasks), len(tasks); left > 0; {
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
		slices.Sort(waiting)
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
	return errs
}

// Imports and logins about the same few people, at the same time, in any order and with crashes: nobody has two users, no two users
// have one account, unionid or accid, every id that was told leads somewhere, and the next import of the same lines has nothing to write.
func TestImportInterleavings(t *testing.T) {
	seeds := 1000
	if testing.Short() {
		seeds = 150
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 11))
		crashes := seed%2 == 1
		store, newID := newMemStore(), ids()
		people := []string{"an", "bo", "cy"}
		var logins []Login
		var lines []string
		for range 3 + rng.IntN(4) {
			l := login(people[rng.IntN(3)], rng.IntN(2), rng.IntN(2) == 0)
			logins = append(logins, l)
		}
		for range 2 + rng.IntN(4) {
			p := people[rng.IntN(3)]
			var parts []string
			if rng.IntN(2) == 0 {
				parts = append(parts, fmt.Sprintf(`"id":"%s"`, testID(p[:1])))
			}
			var accounts []string
			for n := range 2 {
				if rng.IntN(2) == 0 {
					accounts = append(accounts, fmt.Sprintf(`{"channel":"mp","appid":"wx%d","openid":"o-%s-%d"}`, n, p, n))
				}
			}
			if len(accounts) == 0 || rng.IntN(2) == 0 {
				parts = append(parts, fmt.Sprintf(`"unionids":{"default":"u-%s"}`, p))
			}
			if rng.IntN(2) == 0 {
				parts = append(parts, `"yunxin":{"accid":"accid-`+p+`"}`)
			}
			if rng.IntN(4) == 0 {
				parts = append(parts, `"aliases":["`+testID(string(p[0]+10))+`"]`)
			}
			parts = append(parts, `"accounts":[`+strings.Join(accounts, ",")+`]`)
			lines = append(lines, "{"+strings.Join(parts, ",")+"}")
		}
		var mu sync.Mutex
		var told []string
		run := func(d *Directory, line string) (ImportReport, error) {
			return d.Import(context.Background(), strings.NewReader(line), ImportOptions{Workers: 1})
		}
		var tasks []func(d *Directory) error
		for _, l := range logins {
			tasks = append(tasks, func(d *Directory) error {
				r, err := d.Resolve(context.Background(), l)
				if err == nil {
					mu.Lock()
					told = append(told, r.User.ID)
					mu.Unlock()
				}
				return err
			})
		}
		for _, line := range lines {
			tasks = append(tasks, func(d *Directory) error { _, err := run(d, line); return err })
		}
		for i, err := range schedule(rng, store, newID, tasks, crashes) {
			if err != nil && !(crashes && errors.Is(err, errCrash)) {
				t.Fatalf("seed %d: task %d: %v", seed, i, err)
			}
		}
		// In peace: everybody logs in, then the lines once more, then again without effect.
		d := migration(store)
		for _, l := range logins {
			l.At = t0.Add(2 * time.Hour)
			r := mustResolve(t, d, l)
			told = append(told, r.User.ID)
		}
		all := strings.Join(lines, "\n")
		for range 2 { // a line may be refused until another one made its user
			if _, err := d.Import(t.Context(), strings.NewReader(all), ImportOptions{Workers: 1}); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		before := snapshot(store)
		r, err := d.Import(t.Context(), strings.NewReader(all), ImportOptions{Workers: 1})
		if err != nil || r.Created+r.Updated > 0 {
			t.Fatalf("seed %d: the last run %+v, %v\n%s", seed, r, err, all)
		}
		if problem := judgeImport(t.Context(), d, store, told); problem != "" {
			t.Fatalf("seed %d: %s\n%s\n%v", seed, problem, all, before)
		}
	}
}

func judgeImport(ctx context.Context, d *Directory, store *memStore, told []string) string {
	for _, id := range told {
		if u, found, err := d.User(ctx, id); err != nil || !found || u.Status != StatusActive {
			return fmt.Sprintf("id %s, which was told, leads to %+v, %v", id, u, err)
		}
	}
	person := func(s string) string { // "o-an-1" and "u-an" and "accid-an"
		return strings.Split(s, "-")[1]
	}
	users := map[string]*User{}
	for _, key := range append(store.keys("a:"), store.keys("n:")...) {
		u, found, err := d.User(ctx, store.value(key))
		if err != nil || !found {
			return fmt.Sprintf("%s leads to %+v, %v", key, u, err)
		}
		users[u.ID] = u
	}
	accids := map[string]string{}
	for id, u := range users {
		who := map[string]bool{}
		for _, a := range u.Accounts {
			if owner, found, err := d.Find(ctx, a.AppID, a.OpenID); err == nil && found && owner.ID == id {
				who[person(a.OpenID)] = true
			}
		}
		for _, unionID := range u.Unionids {
			who[person(unionID)] = true
		}
		if len(who) > 1 {
			return fmt.Sprintf("user %s is several people: %+v", id, u)
		}
		if accid := u.Yunxin.Accid; accid != "" {
			if accids[accid] != "" {
				return fmt.Sprintf("users %s and %s share accid %s", accids[accid], id, accid)
			}
			accids[accid] = id
			owner, found, err := d.User(ctx, strings.TrimRight(store.value(accidKey(accid)), "+"))
			if err != nil || !found || owner.ID != id {
				return fmt.Sprintf("accid %s of user %s leads to %+v, %v", accid, id, owner, err)
			}
		}
	}
	return ""
}

// Really parallel, for the race detector: thousands of people log in while they are imported, on two replicas.
func TestImportBesideLogins(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 300
	}
	s := newMemStore()
	var b strings.Builder
	next := ids()
	for i := range n {
		id := ""
		if i%2 == 0 {
			id = `"id":"` + next() + `",`
		}
		fmt.Fprintf(&b, `{%s"accounts":[{"channel":"mp","appid":"wx1","openid":"o-%d-1"},{"channel":"mp","appid":"wx2","openid":"o-%[2]d-2"}],"unionids":{"default":"u-%[2]d"},"yunxin":{"accid":"accid-%[2]d"}}`+"\n", id, i)
	}
	told := make([]string, 3*n)
	var wg sync.WaitGroup
	for _, d := range []*Directory{NewDirectory(DirectoryConfig{Store: s}), NewDirectory(DirectoryConfig{Store: s})} {
		wg.Go(func() {
			if _, err := d.Import(t.Context(), strings.NewReader(b.String()), ImportOptions{Workers: 20}); err != nil {
				t.Error(err)
			}
		})
	}
	for w := range 8 {
		wg.Go(func() {
			d := NewDirectory(DirectoryConfig{Store: s})
			for i := w; i < len(told); i += 8 {
				l := login(fmt.Sprint(i/3), 1+i%3, i%2 == 0)
				r, err := d.Resolve(t.Context(), l)
				if err != nil {
					t.Error(err)
					return
				}
				told[i] = r.User.ID
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if problem := judgeImport(t.Context(), NewDirectory(DirectoryConfig{Store: s}), s, told); problem != "" {
		t.Error(problem)
	}
	for i, id := range told {
		l := login(fmt.Sprint(i/3), 1+i%3, false)
		u, _, err := migration(s).User(t.Context(), id)
		if owner := mustFind(t, s, l.AppID, l.OpenID); err != nil || u.ID != owner.ID {
			t.Fatalf("%s was told user %s, and is %s", l.OpenID, id, owner.ID)
		}
	}
}
