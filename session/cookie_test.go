package session

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCookieAttributes(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Config)
		session string
		login   string
	}{
		{"https", func(c *Config) {}, "__Host-wxgate=TOKEN; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax", "__Host-wxgate-login"},
		{"shared domain", func(c *Config) { c.Domain = "example.com" },
			"__Secure-wxgate=TOKEN; Path=/; Domain=example.com; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax", "__Secure-wxgate-login"},
		{"plain http", func(c *Config) { c.Secure = false }, "wxgate=TOKEN; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax", "wxgate-login"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.change)
			h := http.Header{}
			b.SetCookie(h, "TOKEN")
			if got := h.Get("Set-Cookie"); got != tt.session {
				t.Errorf("session cookie\n%s, want\n%s", got, tt.session)
			}
			h = http.Header{}
			if err := b.Start(h, &Logins{}, Pending{State: NewState()}); err != nil {
				t.Fatal(err)
			}
			name, rest, _ := strings.Cut(h.Get("Set-Cookie"), "=")
			if _, attributes, _ := strings.Cut(rest, "; "); name != tt.login || !strings.Contains(attributes, "Max-Age=600; HttpOnly") {
				t.Errorf("login cookie %s", h.Get("Set-Cookie"))
			}
			h = http.Header{}
			b.ClearCookies(h)
			var names []string
			for _, c := range (&http.Response{Header: h}).Cookies() {
				if c.MaxAge != -1 || c.Value != "" || c.Path != "/" || c.Domain != strings.TrimPrefix(b.jar.domain, ".") || c.Secure != b.jar.secure {
					t.Errorf("a browser would keep its cookie: %s", c)
				}
				names = append(names, c.Name)
			}
			if want := []string{b.jar.session, b.jar.login}; !slices.Equal(names, want) {
				t.Errorf("cleared %v, want %v", names, want)
			}
		})
	}
}

func TestCookieValues(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, nil},
		{"alone", []string{"wxgate=a"}, []string{"a"}},
		{"between others", []string{"x=1; wxgate=a; y=2"}, []string{"a"}},
		{"two lines, as HTTP/2 sends them", []string{"x=1", "wxgate=a"}, []string{"a"}},
		{"doubled", []string{"wxgate=a; wxgate=b", "wxgate=c"}, []string{"a", "b", "c"}},
		{"other names around it", []string{"xwxgate=a; wxgate-login=b; wxgatex=c; Wxgate=d; __Host-wxgate=e"}, nil},
		{"spaces", []string{"  wxgate =  a  ;"}, []string{"a"}},
		{"no value", []string{"wxgate; wxgate="}, []string{""}},
		{"value with =", []string{"wxgate=a=b=="}, []string{"a=b=="}},
		{"no name", []string{"=wxgate=a"}, nil},
		{"in 3000 others", []string{strings.Repeat("x=1; ", 3000) + "wxgate=a"}, []string{"a"}},
		{"eight of them", []string{strings.Repeat("wxgate=a;", 8)}, slices.Repeat([]string{"a"}, 8)},
		{"too many of them", []string{strings.Repeat("wxgate=a;", 9)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, cookieValues(cookies(tt.lines...), "wxgate")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCutCookies(t *testing.T) {
	tests := []struct {
		name        string
		lines, want []string
	}{
		{"none", nil, nil},
		{"not ours", []string{"a=1;b=2 ; c", "  d=\"x; y\" "}, []string{"a=1;b=2 ; c", "  d=\"x; y\" "}},
		{"only ours", []string{"__Host-wxgate=a; __Host-wxgate-login=b"}, nil},
		{"first", []string{"wxgate=a; x=1; y=2"}, []string{"x=1; y=2"}},
		{"middle", []string{"x=1; wxgate=a; y=2"}, []string{"x=1; y=2"}},
		{"last", []string{"x=1; y=2; wxgate=a"}, []string{"x=1; y=2"}},
		{"every spelling", []string{"__Host-wxgate=1; __Host-wxgate-login=2; __Secure-wxgate=3; __Secure-wxgate-login=4; wxgate=5; wxgate-login=6; x=1"}, []string{"x=1"}},
		{"doubled", []string{"wxgate=a; x=1; wxgate=b"}, []string{"x=1"}},
		{"spaces in the name", []string{"x=1; \twxgate =a"}, []string{"x=1"}},
		{"bare name", []string{"x=1; wxgate"}, []string{"x=1"}},
		{"names that only look alike", []string{"wxgatex=1; xwxgate=2; wxgate.x=3; Wxgate=4"}, []string{"wxgatex=1; xwxgate=2; wxgate.x=3; Wxgate=4"}},
		{"a line of its own", []string{"x=1", "wxgate=a", "y=2"}, []string{"x=1", "y=2"}},
		{"an empty line stays", []string{"", "wxgate=a"}, []string{""}},
		{"value of another cookie", []string{"x=wxgate"}, []string{"x=wxgate"}},
		{"behind 3000 others", []string{strings.Repeat("x=1; ", 3000) + "wxgate=a"}, []string{strings.Repeat("x=1; ", 2999) + "x=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := cookies(tt.lines...)
			if tt.lines == nil {
				h = http.Header{}
			}
			given := slices.Clone(tt.lines)
			CutCookies(h)
			if diff := cmp.Diff(tt.want, h["Cookie"]); diff != "" {
				t.Error(diff)
			}
			if _, there := h["Cookie"]; there && tt.want == nil {
				t.Error("an empty Cookie header is left")
			}
			if !slices.Equal(given, tt.lines) {
				t.Error("the incoming request's lines were written into")
			}
		})
	}
}

func TestDropSetCookies(t *testing.T) {
	h := http.Header{"Set-Cookie": {
		"a=1; Path=/", "__Host-wxgate=evil; Path=/", "b=2", " wxgate-login = x", "wxgatex=3", "wxgate", "__Secure-wxgate=", "c=wxgate=1",
		"=wxgate=nameless", " = __Host-wxgate-login=nameless", "=d",
	}}
	lines := h["Set-Cookie"]
	given := slices.Clone(lines)
	DropSetCookies(h)
	if diff := cmp.Diff([]string{"a=1; Path=/", "b=2", "wxgatex=3", "c=wxgate=1", "=d"}, h["Set-Cookie"]); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(given, lines) {
		t.Error("the app's answer was written into")
	}
	h = http.Header{"Set-Cookie": {"wxgate=evil"}}
	if DropSetCookies(h); h["Set-Cookie"] != nil {
		t.Errorf("left %q", h["Set-Cookie"])
	}
}

// FuzzCookie holds the cutting of our cookies against the standard library's
// reading of the same header.
func FuzzCookie(f *testing.F) {
	f.Add("a=1; wxgate=x; b=2", "wxgate-login=y")
	f.Add("__Host-wxgate=x", "c=\"q; wxgate=z\"")
	f.Add(";;wxgate =; =wxgate=1;wxgate", "\t__Secure-wxgate-login\t=\"\"")
	f.Fuzz(func(t *testing.T, first, second string) {
		read := func(h http.Header) (ours, others []string) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = h
			for _, c := range r.Cookies() {
				if own(c.Name) {
					ours = append(ours, c.String())
				} else {
					others = append(others, c.String())
				}
			}
			return ours, others
		}
		h := cookies(first, second)
		_, before := read(h)
		CutCookies(h)
		ours, after := read(h)
		if len(ours) != 0 {
			t.Fatalf("the app would see %q in %q", ours, h["Cookie"])
		}
		if !slices.Equal(before, after) {
			t.Fatalf("the app's cookies became %q, were %q", after, before)
		}
		for _, name := range cookieNames {
			if v := cookieValues(h, name); v != nil {
				t.Fatalf("%s is left with %q", name, v)
			}
		}
		once := slices.Clone(h["Cookie"])
		if CutCookies(h); !slices.Equal(once, h["Cookie"]) {
			t.Fatalf("cutting twice gives %q, once %q", h["Cookie"], once)
		}
	})
}

// cutSlowly is cutLine cookie by cookie.
func cutSlowly(line string) (rest string, cut bool) {
	for part := range strings.SplitSeq(line, ";") {
		name, _, _ := strings.Cut(part, "=")
		switch {
		case own(strings.TrimSpace(name)):
			cut = true
		case rest != "":
			rest += ";" + part
		case cut:
			rest = strings.TrimLeft(part, " \t")
		default:
			rest = part
		}
	}
	if !cut {
		return line, false
	}
	return strings.TrimSpace(rest), true
}

func FuzzCutLine(f *testing.F) {
	for _, line := range []string{
		"", ";", "wxgate", "wxgate;", ";wxgate", "a;wxgate", "wxgate=1;wxgate-login=2", ";;a;wxgate", "; ;a; wxgate=1;; ;b;", "wxgate; ; \t;;a; ",
		"a=1; __Host-wxgate=x; b=2; wxgate=y; c=3", "a; wxgate;", " ;wxgate;a", "\u00a0;wxgate;\u00a0a\u00a0",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rest, cut := cutLine(line)
		if wanted, cutToo := cutSlowly(line); rest != wanted || cut != cutToo {
			t.Errorf("%q became %q (%v), cookie by cookie %q (%v)", line, rest, cut, wanted, cutToo)
		}
	})
}

// Where our cookie stands decides what it costs to find and cut it.
func TestCookieAllocations(t *testing.T) {
	const ours = "__Host-wxgate=abcdef"
	for line, most := range map[string]float64{
		"a=1; b=2": 0, ours: 0, "a=1; b=2; " + ours: 1, ours + "; a=1; b=2": 1, "a=1; " + ours + "; b=2": 2,
	} {
		lines := []string{line}
		h := http.Header{}
		if n := testing.AllocsPerRun(100, func() {
			h["Cookie"] = lines
			_ = len(cookieValues(h, "__Host-wxgate"))
			CutCookies(h)
		}); n > most {
			t.Errorf("%q: %v allocations, want %v", line, n, most)
		}
	}
}

func BenchmarkCookies(b *testing.B) {
	token := "__Host-wxgate=" + strings.Repeat("x", 120)
	found := func(h http.Header) int { return len(cookieValues(h, "__Host-wxgate")) }
	for name, line := range map[string]string{"none of ours": "a=1; b=2; c=3", "first": token + "; a=1; b=2", "last": "a=1; b=2; " + token, "middle": "a=1; " + token + "; b=2"} {
		lines := []string{line}
		h := http.Header{}
		b.Run("find/"+name, func(b *testing.B) {
			h["Cookie"] = lines
			b.ReportAllocs()
			for b.Loop() {
				if n := found(h); n > 1 {
					b.Fatal(n)
				}
			}
		})
		b.Run("cut/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h["Cookie"] = lines
				CutCookies(h)
			}
		})
	}
}

// FuzzToken alters a genuine token: whatever comes of it is either the same
// session or none, and nothing is asked of the store.
func FuzzToken(f *testing.F) {
	f.Add("", 0, byte('A'))
	f.Add("AAAA", 20, byte(0))
	f.Add("TVRjd01EQXdNREF3TUh3aUluMHwK", -1, byte('='))
	store := newMemory()
	m, err := NewManager(Config{Store: store, Secrets: [][]byte{newSecret, oldSecret}, TTL: time.Hour, Idle: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	token, s, err := m.Create(f.Context(), Session{User: "u"})
	if err != nil {
		f.Fatal(err)
	}
	before := store.calls()
	f.Fuzz(func(t *testing.T, other string, at int, flip byte) {
		altered := []byte(token)
		if at >= 0 {
			altered[at%len(altered)] ^= flip
		}
		for _, text := range []string{string(altered), other, token + other, other + token} {
			if key, ok := m.Key(text); ok && key != s.key {
				t.Fatalf("%q opens another session", text)
			}
			h := cookies(m.jar.session+"="+text, m.jar.login+"="+text)
			m.Token(h)
			if l := m.Logins(h); len(l.Pending) != 0 {
				t.Fatalf("%q is read as pending logins", text)
			}
			if _, ok := m.OpenTicket(text, "host"); ok {
				t.Fatalf("%q is read as a ticket", text)
			}
		}
		if store.calls() != before {
			t.Fatal("the store was asked")
		}
	})
}
