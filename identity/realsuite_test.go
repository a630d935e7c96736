package identity

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session/boltstore"
	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

// realStore is a back end as users of this package have it.
type realStore interface {
	Store
	Queue
	Lister
	TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, max int) ([]string, error)
	Close() error
}

func openBolt(t *testing.T) realStore {
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "users.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openCluster(t *testing.T) realStore {
	masters := storetest.StartCluster(t, "")
	s, err := redisstore.Open("redis+cluster://"+masters[0].Addr+","+masters[1].Addr, redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The same life of many people on each back end, three replicas at work: keys of one person lie on different nodes of a Redis Cluster,
// so nothing may count on more than one key.
func TestUsersOnRealStores(t *testing.T) {
	for name, open := range map[string]func(*testing.T) realStore{"bolt": openBolt, "Redis Cluster": openCluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live(t, open(t))
		})
	}
}

const realPeople = 12

func live(t *testing.T, store realStore) {
	ctx := t.Context()
	var replicas []*Directory
	for range 3 {
		replicas = append(replicas, NewDirectory(DirectoryConfig{Store: store, Queue: store, Announce: true}))
	}
	parallel := func(do func(d *Directory, i int) error) {
		t.Helper()
		errs := make([]error, len(replicas)*realPeople)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = do(replicas[i%len(replicas)], i/len(replicas)) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	who := func(person int) string { return fmt.Sprint("p", person) }
	// Phone without unionid and PC with it, on all replicas at once; then the phone's unionid.
	for _, round := range []struct {
		account int
		union   bool
	}{{1, false}, {2, true}, {1, true}} {
		parallel(func(d *Directory, i int) error {
			_, err := d.Resolve(ctx, login(who(i), round.account, round.union))
			return err
		})
	}
	d := replicas[0]
	one := make([]string, realPeople)
	for i := range one {
		phone, pc := mustResolve(t, d, login(who(i), 1, false)), mustResolve(t, d, login(who(i), 2, true))
		if phone.User.ID != pc.User.ID || len(pc.User.Accounts) != 2 {
			t.Fatalf("%s is %+v and %+v", who(i), phone.User, pc.User)
		}
		one[i] = pc.User.ID
	}
	// Neighbours are merged, in both directions at the same moment; every third person is split, every fifth erased.
	parallel(func(d *Directory, i int) error {
		into, from := one[i&^1], one[i|1]
		if i%2 == 1 {
			into, from = from, into
		}
		if _, _, err := d.Merge(ctx, into, from); err != nil && err != ErrSame {
			return err
		}
		return nil
	})
	for i := 0; i < realPeople; i += 2 {
		a, _, err := d.User(ctx, one[i])
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := d.User(ctx, one[i+1])
		if err != nil || a.ID != b.ID || len(a.Accounts) != 4 {
			t.Fatalf("merged: %+v, %+v, %v", a, b, err)
		}
	}
	former, fresh, err := d.Split(ctx, one[0], "wx2", login(who(0), 2, true).OpenID)
	if err != nil || len(former.Accounts) != 3 || len(fresh.Accounts) != 1 {
		t.Fatalf("split: %+v, %+v, %v", former, fresh, err)
	}
	if r := mustResolve(t, d, login(who(0), 2, true)); r.User.ID != fresh.ID {
		t.Errorf("the split account came back as %s, not %s", r.User.ID, fresh.ID)
	}
	if _, err := d.Erase(ctx, one[2]); err != nil {
		t.Fatal(err)
	}
	due, err := store.TakeDue(ctx, QueueSettle, time.Now().Add(time.Hour), time.Minute, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range due {
		if err := d.Settle(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, person := range []int{2, 3} {
		for _, openID := range []string{login(who(person), 1, true).OpenID, login(who(person), 1, true).UnionID} {
			if err := store.List(ctx, "u:", func(key string, value []byte) error {
				if bytes.Contains(value, []byte(openID)) {
					t.Errorf("%s still names %s", key, openID)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// It can be carried to another store and back.
	lines, err := exportLines(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	other := newMemStore()
	report, err := NewDirectory(DirectoryConfig{Store: other, Queue: &dueQueue{}}).Import(ctx, strings.NewReader(strings.Join(lines, "")), ImportOptions{})
	if err != nil || report.Failed > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	copied, err := exportLines(ctx, other)
	slices.Sort(copied)
	if err != nil || !slices.Equal(lines, copied) {
		t.Errorf("the copy differs: %v\n%s\n%s", err, lines, copied)
	}
}
