package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestImportMalformed(t *testing.T) {
	id, other := testID("a"), testID("b")
	account := `{"channel":"mp","appid":"wx1","openid":"o"}`
	tests := []struct{ line, want string }{
		{`nonsense`, "not JSON"},
		{`{`, "not JSON: it ends too early"},
		{`{"id":"` + id + `"} {}`, "more than one"},
		{`{"id":"` + id + `"}]`, "more than one"},
		{`[]`, "the line is a JSON array"},
		{`"x"`, "the line is a JSON string"},
		{`null`, "neither id"},
		{`{}`, "neither id"},
		{`{"profile":{"name":"x","avatar":""}}`, "neither id"},
		{`{"id":7}`, "id is a JSON number"},
		{`{"id":"` + id + `","created_at":"yesterday"}`, "RFC 3339"},
		{`{"id":"` + id + `","created_at":7}`, "RFC 3339"},
		{`{"id":"` + id + `","created_at":"1960-01-01T00:00:00Z"}`, "created_at is before 1970"},
		{`{"id":"` + id + `","created_at":"9999-12-31T23:59:59-20:00"}`, "in the future"},
		{`{"id":"` + id + `","unionid":"u"}`, `unknown field "unionid"`},
		{`{"id":"` + id + `","accounts":[{"channel":"mp","appid":"wx1","openid":"o","unionid":"u"}]}`, `unknown field "unionid"`},
		{`{"id":"` + id + `","yunxin":{"accid":{}}}`, "yunxin.accid is a JSON object"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":1e99}}`, "yunxin.epoch is a JSON number, which"},
		{`{"id":"player7"}`, "id is not a user id"},
		{`{"id":"` + strings.ToUpper(id) + `"}`, "id is not a user id"},
		{`{"id":"` + id + `","status":"gone"}`, "unknown status"},
		{`{"id":"` + id + `","status":"merged"}`, "aliases"},
		{`{"status":"erased","accounts":[` + account + `]}`, "without id"},
		{`{"id":"` + id + `","status":"erased","accounts":[` + account + `]}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","unionids":{"default":"u"}}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","profile":{"name":"","avatar":""}}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","yunxin":{"accid":"x","state":"none"}}`, "personal data"},
		{`{"id":"` + id + `","status":"erased","former":[{"platform":"default","unionid":"u"}]}`, "personal data"},
		{`{"accounts":[{"channel":"web2","appid":"wx1","openid":"o"}]}`, "accounts[0]: unknown channel"},
		{`{"accounts":[{"appid":"wx1","openid":"o"}]}`, "accounts[0]: unknown channel"},
		{`{"accounts":[` + account + `,{"channel":"mp","openid":"o"}]}`, "accounts[1]: no appid"},
		{`{"accounts":[{"channel":"mp","appid":"wx1"}]}`, "accounts[0]: no openid"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o o"}]}`, "accounts[0]: openid has"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"` + strings.Repeat("o", 129) + `"}]}`, "accounts[0]: openid has"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"ö"}]}`, "accounts[0]: openid has"},
		{`{"accounts":[` + account + `,` + account + `]}`, "accounts[1] is there twice"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o","first_seen":"2222-01-01T00:00:00Z"}]}`, "accounts[0].first_seen"},
		{`{"accounts":[{"channel":"mp","appid":"wx1","openid":"o","last_seen":"2222-01-01T00:00:00Z"}]}`, "accounts[0].last_seen"},
		{`{"unionids":{"default":""}}`, "unionids"},
		{`{"unionids":{"":"u"}}`, "unionids"},
		{`{"unionids":{"default":"u\n"}}`, "unionids"},
		{`{"id":"` + id + `","former":[{"platform":"default","unionid":""}]}`, "former[0]"},
		{`{"id":"` + id + `","former":[{"unionid":"u"}]}`, "former[0]"},
		{`{"id":"` + id + `","profile":{"name":"x","updated_at":"2222-01-01T00:00:00Z"}}`, "profile.updated_at"},
		{`{"id":"` + id + `","aliases":["` + id + `"]}`, "aliases"},
		{`{"id":"` + id + `","aliases":["x"]}`, "aliases"},
		{`{"id":"` + id + `","aliases":["` + other + `","` + other + `"]}`, "aliases"},
		{`{"id":"` + id + `","apart":[""]}`, "apart"},
		{`{"id":"` + id + `","epochs":{"x":1}}`, "epochs"},
		{`{"id":"` + id + `","epochs":{"` + id + `":-1}}`, "epochs"},
		{`{"id":"` + id + `","epochs":{"` + id + `":4294967296}}`, "epochs"},
		{`{"id":"` + id + `","history":[{"type":"created"}]}`, "history[0]"},
		{`{"id":"` + id + `","history":[{"time":"2026-01-01T00:00:00Z"}]}`, "history[0]"},
		{`{"id":"` + id + `","history":[{"time":"2026-01-01T00:00:00Z","type":"c d"}]}`, "history[0]"},
		{`{"id":"` + id + `","history":[{"time":"2226-01-01T00:00:00Z","type":"created"}]}`, "history[0]"},
		{`{"id":"` + id + `","yunxin":{"accid":"` + strings.Repeat("x", 33) + `"}}`, "yunxin.accid"},
		{`{"id":"` + id + `","yunxin":{"accid":"a/b"}}`, "yunxin.accid"},
		{`{"id":"` + id + `","yunxin":{"accid":".."}}`, "yunxin.accid"},
		{`{"id":"` + id + `","yunxin":{"accid":"\u212a"}}`, "yunxin.accid"}, // the Kelvin sign, whose lower case is k
		{`{"id":"` + id + `","yunxin":{"state":"ready"}}`, "without accid"},
		{`{"id":"` + id + `","yunxin":{"state":"blocked"}}`, "without accid"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","state":"great"}}`, "yunxin.state"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":-1}}`, "epoch"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":1,"token_epoch":2}}`, "epoch"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","epoch":2147483648}}`, "epoch"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","token_key":"a b"}}`, "yunxin has"},
		{`{"id":"` + id + `","yunxin":{"accid":"x","name":"` + strings.Repeat("x", 1025) + `"}}`, "yunxin has"},
		{`{"id":"` + id + `","yunxin":{"accid":"` + other + `"}}`, "looks like the id of a user"},
		{strings.Repeat("[", 20000), "not JSON"},
		{`{"id":"` + id + `","profile":{"name":"` + strings.Repeat("x", maxLine) + `"}}`, "longer than"},
		{`{"id":"` + id + `","apart":[` + strings.TrimSuffix(strings.Repeat(`"aaaaaaaaaaaaaaaaaaaaaaaaaa",`, 10), ",") + `]}`, "apart"},
		{`{"id":"` + id + `","former":[` + strings.TrimSuffix(strings.Repeat(`{"platform":"p","unionid":"x"},`, 1), ",") + `],"aliases":[` + manyIDs(10000) + `]}`, "more than 262144"},
	}
	var lines strings.Builder
	var want []LineError
	for n, tt := range tests {
		fmt.Fprintf(&lines, "{\"accounts\":[{\"channel\":\"mp\",\"appid\":\"wx1\",\"openid\":\"good-%d\"}]}\n\n%s\n", n, tt.line)
		want = append(want, LineError{3*n + 3, tt.want})
	}
	s := newMemStore()
	r, err := migration(s).Import(t.Context(), strings.NewReader(lines.String()), ImportOptions{})
	if err != nil || r.Lines != 2*len(tests) || r.Failed != len(tests) || r.Created != len(tests) || r.Through != 3*len(tests) {
		t.Errorf("report %+v, %v", r, err)
	}
	for n, e := range r.Errors {
		if n < len(want) && (e.Line != want[n].Line || !strings.Contains(e.Error, want[n].Error)) {
			t.Errorf("line %d: %s, want line %d: %s\n%.200s", e.Line, e.Error, want[n].Line, want[n].Error, tests[n].line)
		}
		if len(e.Error) > 250 || strings.Contains(e.Error, "User.") || strings.Contains(e.Error, "Go ") {
			t.Errorf("line %d: %s", e.Line, e.Error)
		}
	}
	if users := s.keys("u:"); len(users) != len(tests) || len(s.keys("")) != 2*len(tests) {
		t.Errorf("the store holds %d keys, %d users", len(s.keys("")), len(users))
	}
}

func manyIDs(n int) string {
	var list []string
	for i := range n {
		list = append(list, `"`+manyID("crowd", i)+`"`)
	}
	return strings.Join(list, ",")
}

func TestImportReadsLines(t *testing.T) {
	line := func(n int) string {
		return fmt.Sprintf(`{"id":"%s","profile":{"name":"n","avatar":""}}`, testID(string(rune('a'+n))))
	}
	for _, tt := range []struct {
		name, input string
		want        ImportReport
	}{
		{"empty", "", ImportReport{}},
		{"blank lines", "\n \n\t\r\n", ImportReport{Through: 3}},
		{"no last newline", line(0) + "\n" + line(1), ImportReport{Lines: 2, Created: 2, Through: 2}},
		{"Windows", "\ufeff" + line(0) + "\r\n\r\n" + line(1) + "\r\n", ImportReport{Lines: 2, Created: 2, Through: 3}},
		{"at the limit", `{"id":"` + testID("a") + `"` + strings.Repeat(" ", maxLine-36) + "}\n" + line(1), ImportReport{Lines: 2, Created: 2, Through: 2}},
		{"over the limit", line(0) + "\n" + `{"id":"` + testID("a") + `"` + strings.Repeat(" ", maxLine-35) + "}\n" + line(1), ImportReport{Lines: 3, Created: 2, Failed: 1, Through: 3}},
		{"over the limit at the end", line(0) + "\n" + strings.Repeat("x", maxLine+1), ImportReport{Lines: 2, Created: 1, Failed: 1, Through: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				var r io.Reader = strings.NewReader(tt.input)
				if chunked && len(tt.input) < 1000 {
					r = iotest.OneByteReader(r)
				}
				got, err := migration(newMemStore()).Import(t.Context(), r, ImportOptions{Workers: 2})
				if err != nil {
					t.Fatal(err)
				}
				if got.Errors == nil || len(got.Errors) != got.Failed {
					t.Errorf("errors %v", got.Errors)
				}
				got.Errors = nil
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("(-got +want)\n%s", diff)
				}
			}
		})
	}
}

func TestImportKeepsAHundredErrors(t *testing.T) {
	r := mustImport(t, newMemStore(), strings.Repeat("x\n", 5000), ImportReport{Lines: 5000, Failed: 5000, Through: 5000})
	if len(r.Errors) != maxLineErrors || !slices.IsSortedFunc(r.Errors, func(a, b LineError) int { return a.Line - b.Line }) {
		t.Errorf("%d errors: %+v", len(r.Errors), r.Errors)
	}
}

// However slow the store is, no more is read than may be in memory.
func TestImportReadsNoFurtherThanItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		slow := make(chan struct{})
		s.hook = func(string, string) outcome { <-slow; return proceed }
		const size, n = 400 << 10, 100
		line := `{"id":"` + testID("a") + `"` + strings.Repeat(" ", size) + "}\n"
		read := 0
		lines := readerFunc(func(p []byte) (int, error) {
			if read == n*len(line) {
				return 0, io.EOF
			}
			at := read % len(line)
			k := copy(p, line[at:])
			read += k
			return k, nil
		})
		done := make(chan error)
		go func() {
			_, err := migration(s).Import(t.Context(), lines, ImportOptions{})
			done <- err
		}()
		synctest.Wait()
		if limit := maxPending + maxLine + 64<<10; read > limit || read < maxPending/2 {
			t.Errorf("%d bytes are read, want at most %d", read, limit)
		}
		close(slow)
		if err := <-done; err != nil || read != n*len(line) {
			t.Errorf("%d bytes read at the end, %v", read, err)
		}
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The report's names are part of the admin API.
func TestImportReportJSON(t *testing.T) {
	r := mustImport(t, newMemStore(), "x\n", ImportReport{Lines: 1, Failed: 1, Through: 1})
	got, _ := json.Marshal(r)
	want := `{"lines":1,"created":0,"updated":0,"unchanged":0,"failed":1,"errors":[{"line":1,"error":"not JSON: invalid character 'x' looking for beginning of value"}],"through":1}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// When something stops an import, its report says up to where nothing is missing, and running it again completes it.
func TestImportStops(t *testing.T) {
	var b strings.Builder
	next := ids()
	const n = 2000
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":%q,\"accounts\":[{\"channel\":\"mp\",\"appid\":\"wx1\",\"openid\":\"o%d\"}]}\n", next(), i+1)
	}
	lines := b.String()
	for _, tt := range []struct {
		name string
		want error
		stop func(s *memStore, cancel context.CancelFunc) io.Reader
	}{
		{"store", errCrash, func(s *memStore, _ context.CancelFunc) io.Reader {
			s.hook = func(op, key string) outcome {
				if op == "create" && key == "a:wx1/o1000" {
					return crashBefore
				}
				return proceed
			}
			return strings.NewReader(lines)
		}},
		{"context", context.Canceled, func(s *memStore, cancel context.CancelFunc) io.Reader {
			s.hook = func(op, key string) outcome {
				if op == "create" && key == "a:wx1/o1000" {
					cancel()
					return crashBefore
				}
				return proceed
			}
			return strings.NewReader(lines)
		}},
		{"reader", io.ErrUnexpectedEOF, func(*memStore, context.CancelFunc) io.Reader {
			return io.MultiReader(strings.NewReader(lines[:len(lines)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newMemStore()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := migration(s).Import(ctx, tt.stop(s, cancel), ImportOptions{Workers: 16})
			s.hook = nil
			if err == nil || !errors.Is(err, tt.want) && !errors.Is(err, errCrash) || !strings.Contains(err.Error(), fmt.Sprintf("up to %d ", r.Through)) {
				t.Errorf("error %v", err)
			}
			if r.Through >= n || r.Lines < r.Through || r.Lines >= n || tt.name == "reader" && r.Through != strings.Count(lines[:len(lines)/2], "\n") {
				t.Errorf("%+v", r)
			}
			for i := 1; i <= r.Through; i++ {
				if s.value(fmt.Sprintf("a:wx1/o%d", i)) == "" {
					t.Fatalf("line %d is missing, through %d", i, r.Through)
				}
			}
			again := mustImportAny(t, s, lines)
			if again.Created+again.Updated+again.Unchanged != n || again.Unchanged < r.Through || len(s.keys("a:")) != n {
				t.Errorf("%+v", again)
			}
		})
	}
}

func mustImportAny(t testing.TB, s Store, lines string) ImportReport {
	t.Helper()
	r, err := migration(s).Import(t.Context(), strings.NewReader(lines), ImportOptions{})
	if err != nil || r.Failed > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}
