package identity

import (
	"path/filepath"
	"sync"
	"testing"

	"wxgate/session/boltstore"
)

// On the embedded store, with real transactions: fifty logins at once through three accounts of one person tell each account one user
// only, those with a unionid the same, and a restart changes nothing.
func TestResolveOnEmbeddedStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.db")
	store, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	directories := []*Directory{NewDirectory(DirectoryConfig{Store: store}), NewDirectory(DirectoryConfig{Store: store})}
	answers := make([]answer, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i].Resolution, answers[i].err = directories[i%2].Resolve(t.Context(), login("an", i%3, i%3 > 0 || i%2 == 0))
		})
	}
	wg.Wait()
	told := map[string]string{} // whom each account's answers stand for in the end
	for i, a := range answers {
		if a.err != nil {
			t.Fatal(a.err)
		}
		user, found, err := directories[0].User(t.Context(), a.User.ID)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		account := login("an", i%3, false).OpenID
		if had := told[account]; had != "" && had != user.ID {
			t.Errorf("account %s is user %s and user %s", account, had, user.ID)
		}
		told[account] = user.ID
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if told["o-an-1"] != told["o-an-2"] {
		t.Errorf("two accounts that came with one unionid have two users: %v", told)
	}
	if store, err = boltstore.Open(path, boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	d := NewDirectory(DirectoryConfig{Store: store})
	for n := range 3 {
		l := login("an", n, false)
		if r := mustResolve(t, d, l); r.User.ID != told[l.OpenID] || r.Created {
			t.Errorf("after a restart account %d got %+v", n, r)
		}
	}
}
