package identity

import (
	"testing"
	"time"
)

// What WeChat tells without a login is learned, but nobody was here.
func TestLearn(t *testing.T) {
	d, s := newTestDirectory()
	silent, l := login("an", 1, false), login("an", 1, true).after(24*time.Hour)
	if r, known, err := d.Learn(t.Context(), l); err != nil || known || r.User != nil || len(s.m) != 0 {
		t.Errorf("an unknown account: %+v, %v, %v", r, known, err)
	}
	mustResolve(t, d, silent)
	if _, _, err := d.Revoke(t.Context(), Revocation{silent.AppID, silent.OpenID, "reason"}); err != nil {
		t.Fatal(err)
	}
	r, known, err := d.Learn(t.Context(), l)
	if err != nil || !known || r.User.Unionids["default"] != "u-an" || r.Created || r.Linked {
		t.Fatalf("%+v, %v, %v", r, known, err)
	}
	if !r.User.Withdrawn() {
		t.Error("the person took the consent back and has not logged in since, but it does not say so")
	}
	if seen := r.User.Accounts[0].LastSeen; !seen.Equal(t0) {
		t.Errorf("last seen %v, though the only login was at %v", seen, t0)
	}
	if back := mustResolve(t, d, silent.after(48*time.Hour)); back.User.Withdrawn() || !back.User.Accounts[0].LastSeen.Equal(t0.Add(48*time.Hour)) {
		t.Errorf("after a login: %+v", back.User)
	}
	// It may show that two users are one person.
	mustResolve(t, d, login("an", 2, false))
	if r, known, err = d.Learn(t.Context(), login("an", 2, true)); err != nil || !known || r.Merged != nth(2) || r.User.ID != nth(1) {
		t.Errorf("%+v, %v, %v", r, known, err)
	}
}
