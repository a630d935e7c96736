package identity

import (
	"fmt"
	"testing"
	"time"
)

// ahead reads keys as a caller does who has something else to ask at that moment.
func (s *memStore) ahead(keys ...string) Read {
	r := Read{}
	for _, key := range keys {
		r[key] = nil
		if v, ok := s.m[key]; ok {
			r[key] = v
		}
	}
	return r
}

func TestHaving(t *testing.T) {
	d, s := newTestDirectory()
	l := login("an", 1, true)
	check := func(what string, reads, writes int, do func() error) {
		t.Helper()
		s.reads, s.writes = 0, 0
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if s.reads != reads || s.writes != writes {
			t.Errorf("%s: %d reads, %d writes, want %d, %d", what, s.reads, s.writes, reads, writes)
		}
	}
	id := ""
	resolve := func(d *Directory, l Login) func() error {
		return func() error {
			r, err := d.Resolve(t.Context(), l)
			if err != nil {
				return err
			}
			if id == "" {
				id = r.User.ID
			}
			if r.User.ID != id {
				return fmt.Errorf("got %s, want %s", r.User.ID, id)
			}
			return nil
		}
	}
	read := s.ahead(l.Keys()...)
	check("first login", 0, 3, resolve(d.Having(read), l))
	if len(read) != 2 {
		t.Errorf("the caller's values are %v", read)
	}
	// What was true before it is not any more: nothing is written by it.
	check("the same again, with what was read before", 3, 3, resolve(d.Having(read), l))
	check("returning", 1, 0, resolve(d.Having(s.ahead(l.Keys()...)), l))
	check("a half of it", 2, 0, resolve(d.Having(s.ahead(l.Keys()[1])), l))
	check("all of it", 0, 0, resolve(d.Having(s.ahead(append(l.Keys(), RecordKey(id))...)), l))
	check("an hour later", 0, 1, resolve(d.Having(s.ahead(append(l.Keys(), RecordKey(id))...)), l.after(time.Hour)))
	check("nothing", 2, 0, resolve(d.Having(nil), l))

	current := func(d *Directory) func() error {
		return func() error {
			u, found, err := d.Current(t.Context(), id, l.AppID, l.OpenID)
			if err == nil && (!found || u.ID != id) {
				err = fmt.Errorf("got %+v", u)
			}
			return err
		}
	}
	check("current", 0, 0, current(d.Having(s.ahead(RecordKey(id)))))
	check("current by another's", 1, 0, current(d.Having(s.ahead(RecordKey(nth(99))))))

	// A merge in between: the record that was read leads to the survivor.
	other := mustResolve(t, d, login("bo", 1, false)).User.ID
	if _, _, err := d.Merge(t.Context(), other, id); err != nil {
		t.Fatal(err)
	}
	was := id
	id = other
	check("merged, both known", 0, 0, func() error {
		u, found, err := d.Having(s.ahead(RecordKey(was), RecordKey(other))).Current(t.Context(), was, l.AppID, l.OpenID)
		if err == nil && (!found || u.ID != other) {
			err = fmt.Errorf("got %+v", u)
		}
		return err
	})
	if RecordKey("../x") != "" {
		t.Error("what cannot be an id has a record")
	}
}

// Somebody else's value under a key is found out, as it is with the store itself.
func TestHavingAnothersRecord(t *testing.T) {
	d, s := newTestDirectory()
	an, bo := mustResolve(t, d, login("an", 1, false)).User.ID, mustResolve(t, d, login("bo", 1, false)).User.ID
	if u, _, err := d.Having(Read{RecordKey(an): s.m[RecordKey(bo)]}).Current(t.Context(), an, "wx1", "o-an-1"); err == nil {
		t.Errorf("got %+v", u)
	}
}

func TestAlong(t *testing.T) {
	d, s := newTestDirectory()
	key := func(id string) string { return "x:" + id }
	l := login("an", 1, true)
	read := Read{}
	r := mustResolve(t, d.Along(key, read), l)
	if len(read) != 0 {
		t.Errorf("a new user's record was read: %v", read)
	}
	s.set("x:"+r.User.ID, "its own")
	s.reads = 0
	if again := mustResolve(t, d.Having(s.ahead(l.Keys()...)).Along(key, read), l); again.User.ID != r.User.ID || s.reads != 1 {
		t.Errorf("got %+v after %d reads", again, s.reads)
	}
	if len(read) != 1 || string(read["x:"+r.User.ID]) != "its own" {
		t.Errorf("read along: %q", read)
	}
	// Absence is known, too, and of whomever a user was merged into.
	other := mustResolve(t, d, login("bo", 1, false)).User.ID
	if _, _, err := d.Merge(t.Context(), other, r.User.ID); err != nil {
		t.Fatal(err)
	}
	clear(read)
	if got := mustResolve(t, d.Along(key, read), l); got.User.ID != other {
		t.Errorf("got %s", got.User.ID)
	}
	if v, known := read["x:"+other]; !known || v != nil {
		t.Errorf("read along: %q", read)
	}
	s.hook = func(string, string) outcome { return crashBefore }
	if _, _, err := d.Along(key, read).User(t.Context(), other); err == nil {
		t.Error("no error")
	}
}
