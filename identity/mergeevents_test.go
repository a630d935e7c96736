package identity

import (
	"slices"
	"testing"
)

// A merge with a blocked user blocks the survivor, and the app hears of that too, once, whoever finishes the merge.
func TestMergeWithBlockedTellsOfIt(t *testing.T) {
	store := newMemStore()
	d := NewDirectory(DirectoryConfig{Store: store, Queue: newMemQueue(), Announce: true, NewID: ids()})
	a, b := mustResolve(t, d, login("an", 1, false)).User.ID, mustResolve(t, d, login("bo", 1, false)).User.ID
	for id, accid := range map[string]string{a: "acc-a", b: "acc-b"} {
		if _, err := d.Update(t.Context(), id, func(u *User) error {
			u.Yunxin = Yunxin{Accid: accid, State: YunxinReady}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Block(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if u, _, err := d.Merge(t.Context(), a, b); err != nil || u.Status != StatusBlocked {
		t.Fatalf("%+v, %v", u, err)
	}
	if err := d.Settle(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	list, err := d.Notices(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	seen := map[string]bool{}
	for _, n := range list {
		types = append(types, n.Type)
		if seen[n.ID] {
			t.Errorf("two events have the id %s", n.ID)
		}
		seen[n.ID] = true
		if _, _, _, ok := ParseNoticeKey(NoticeKey(a, n.ID)); !ok {
			t.Errorf("%s is no id of an event", n.ID)
		}
		if n.Type == NoticeMerged && n.FromAccid != "acc-b" {
			t.Errorf("the former account at Yunxin is %q", n.FromAccid)
		}
	}
	if want := []string{NoticeCreated, NoticeCreated, NoticeBlocked, NoticeMerged, NoticeBlocked}; !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
}
