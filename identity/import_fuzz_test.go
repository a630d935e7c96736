package identity

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// Whatever a line holds: it is refused in few words, or imported; and then the second time finds nothing to do, and a copy by way of
// an export is the same.
func FuzzImportLine(f *testing.F) {
	for _, c := range importCases {
		f.Add([]byte(strings.NewReplacer("{new}", testID("x"), "{an}", testID("b")).Replace(c.line)))
	}
	for _, line := range []string{
		`{"id":"` + testID("a") + `","status":"blocked","profile":{"name":"\ud83d\udc69\u200d","avatar":"http://x/"},"withdrawn":true,"apart":["` + testID("b") + `"],"epochs":{"` + testID("a") + `":3}}`,
		`{"id":"` + testID("a") + `","history":[{"time":"2026-01-01T00:00:00.9+08:00","type":"created"},{"time":"2025-01-01T00:00:00Z","type":"created"}]}`,
		`{"id":"` + testID("a") + `","former":[{"platform":"default","unionid":"u"},{"platform":"default","unionid":"u"}],"unionids":{"default":"u"}}`,
		`{"id":"x","id":"` + testID("a") + `","ID":"` + testID("b") + `"}`,
		`{"accounts":[{"channel":"web","appid":"a/b","openid":"%2F"}],"unionids":{"a/b":"%2f","%":"/"}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsAny(text, "\n") {
			return
		}
		s := newMemStore()
		d := migration(s)
		if _, err := d.parseLine(text, d.now()); err != nil {
			var reason refused
			if !errors.As(err, &reason) || len(err.Error()) > 250 || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		r, err := d.Import(t.Context(), bytes.NewReader(text), ImportOptions{Workers: 1})
		if err != nil || r.Created+r.Failed != 1 {
			t.Fatalf("%q: %+v, %v", text, r, err)
		}
		if r.Failed > 0 {
			if len(s.m) > 0 {
				t.Fatalf("%q: refused, but %v", text, snapshot(s))
			}
			return
		}
		s.writes = 0
		if r, err := d.Import(t.Context(), bytes.NewReader(text), ImportOptions{Workers: 1}); err != nil || r.Unchanged != 1 || s.writes > 0 {
			t.Fatalf("%q: again %+v, %v, %d writes", text, r, err, s.writes)
		}
		lines, target := exported(t, s), newMemStore()
		mustImport(t, target, strings.Join(lines, ""), ImportReport{Lines: 1, Created: 1, Through: 1})
		if again := exported(t, target); !slices.Equal(again, lines) {
			t.Fatalf("%q: %s", text, cmp.Diff(lines, again))
		}
	})
}
