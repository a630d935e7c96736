package identity

import (
	"strings"
	"testing"
	"time"
)

// A user whom the app has known for long is never the one that nobody was told
// of, though the entry of its account got lost (a restore that was killed) and a
// silent login made another user in the meantime.
func TestKnownForLongIsToldOf(t *testing.T) {
	d, s := newTestDirectory()
	old := NewID()
	line := `{"id":"` + old + `","status":"active","created_at":"2020-01-01T00:00:00Z",` +
		`"accounts":[{"channel":"mp","appid":"wx1","openid":"o1","first_seen":"2020-01-01T00:00:00Z","last_seen":"2026-01-01T00:00:00Z"}],` +
		`"unionids":{"default":"n1"},"profile":null,"yunxin":{"accid":"` + old + `","state":"ready"},"aliases":[],` +
		`"history":[{"time":"2020-01-01T00:00:00Z","type":"created","channel":"mp","appid":"wx1","openid":"o1"}]}`
	if _, err := d.Import(t.Context(), strings.NewReader(line), ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), accountKey("wx1", "o1")); err != nil {
		t.Fatal(err)
	}
	l := Login{Platform: "default", Channel: "mp", AppID: "wx1", OpenID: "o1", At: time.Now()}
	if silent := mustResolve(t, d, l); silent.User.ID == old {
		t.Fatal("the account's entry is there")
	}
	l.UnionID = "n1"
	if r := mustResolve(t, d, l); r.User.ID != old || r.User.Yunxin.Accid != old {
		t.Errorf("the person is %s now, with the IM account %q; before that %s", r.User.ID, r.User.Yunxin.Accid, old)
	}
}
