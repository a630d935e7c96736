package session

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// start begins a login in a browser that sends header, and returns what the
// browser sends from then on.
func (b *bench) start(t *testing.T, header http.Header, p Pending) http.Header {
	t.Helper()
	answer := http.Header{}
	if err := b.Start(answer, b.Logins(header), p); err != nil {
		t.Fatal(err)
	}
	return returned(answer)
}

// finish is a callback that ended well.
func (b *bench) finish(t *testing.T, header http.Header, state string) http.Header {
	t.Helper()
	l := b.Logins(header)
	l.Finish(state, b.clock)
	answer := http.Header{}
	if err := b.WriteLogins(answer, l); err != nil {
		t.Fatal(err)
	}
	return returned(answer)
}

func states(l *Logins) string {
	var all []string
	for _, p := range l.Pending {
		all = append(all, p.State)
	}
	return strings.Join(all, " ")
}

func TestStateForm(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-z]{32}$`)
	seen := map[string]bool{}
	for range 1000 {
		s := NewState()
		if !form.MatchString(s) || seen[s] {
			t.Fatalf("state %q", s)
		}
		seen[s] = true
	}
}

func TestPendingLogin(t *testing.T) {
	b := newBench(t)
	want := Pending{State: NewState(), Channel: "mp", AppID: "wx1", Scope: "snsapi_base", Next: "/a?b=%2F&c=中", Host: "h.example", Again: true}
	h := b.start(t, nil, want)
	if strings.Contains(h.Get("Cookie"), want.State) || strings.Contains(h.Get("Cookie"), "snsapi") {
		t.Error("the cookie can be read by its browser")
	}
	got, found := b.Logins(h).Find(want.State)
	if want.Started = b.clock.Unix(); !found || got != want {
		t.Errorf("came back as %+v, want %+v", got, want)
	}
	// It is still there for the second delivery.
	if _, found := b.Logins(b.finish(t, h, want.State)).Find(want.State); !found {
		t.Error("gone after its first use")
	}
	for _, other := range []string{"", want.State[1:], want.State + "x", strings.ToUpper(want.State), NewState()} {
		if _, found := b.Logins(h).Find(other); found {
			t.Errorf("state %q finds it", other)
		}
	}
	if _, found := (&Logins{}).Find(""); found {
		t.Error("no login is found without a state")
	}
}

func TestPendingAge(t *testing.T) {
	b := newBench(t)
	h := b.start(t, nil, Pending{State: "a"})
	start := b.clock
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{{0, true}, {pendingLife - time.Second, true}, {pendingLife, false}, {24 * time.Hour, false}, {-time.Minute, true}, {-time.Minute - time.Second, false}} {
		b.clock = start.Add(tt.age)
		if _, found := b.Logins(h).Find("a"); found != tt.want {
			t.Errorf("found at the age of %v: %v", tt.age, found)
		}
	}
}

func TestAtMostFivePending(t *testing.T) {
	b := newBench(t)
	var h http.Header
	for _, s := range strings.Split("a b c d e f g", " ") {
		h = b.start(t, h, Pending{State: s})
	}
	if got := states(b.Logins(h)); got != "c d e f g" {
		t.Errorf("pending are %s", got)
	}
}

func TestLongTargets(t *testing.T) {
	b := newBench(t)
	long := "/" + strings.Repeat("x", 1500)
	h := b.start(t, nil, Pending{State: "a", Next: "/"})
	h = b.start(t, h, Pending{State: "b", Next: long})
	h = b.start(t, h, Pending{State: "c", Next: long})
	if got := states(b.Logins(h)); got != "c" && got != "b c" {
		t.Errorf("pending are %s", got)
	}
	for _, c := range strings.Split(h.Get("Cookie"), "; ") {
		if len(c) > 4096 {
			t.Errorf("a cookie of %d bytes: browsers drop it", len(c))
		}
	}
	answer := http.Header{}
	if err := b.Start(answer, &Logins{}, Pending{State: "d", Next: long + long}); !errors.Is(err, ErrTooLong) || answer["Set-Cookie"] != nil {
		t.Errorf("error %v, cookies %q", err, answer["Set-Cookie"])
	}
}

func TestLoginCookieTampered(t *testing.T) {
	b := newBench(t)
	h := b.start(t, nil, Pending{State: "a"})
	name, value, _ := strings.Cut(h.Get("Cookie"), "=")
	refused := 0
	for i := range value {
		altered := []byte(value)
		altered[i] ^= 1
		l := b.Logins(cookies(name + "=" + string(altered)))
		if _, found := l.Find("a"); !found {
			refused++
		} else if states(l) != "a" {
			t.Errorf("byte %d: read as %+v", i, l)
		}
	}
	// The bits behind the end of base64 mean nothing, all others count.
	if refused < len(value)-2 {
		t.Errorf("only %d of %d altered cookies were refused", refused, len(value))
	}
	token, _ := b.login(t, "u1")
	other := newBench(t, secrets(newSecret))
	foreign := other.start(t, nil, Pending{State: "a"}).Get("Cookie")
	for what, h := range map[string]http.Header{
		"garbage": cookies(name + "=%00;" + name + "=abc"), "a session token": cookies(name + "=" + token),
		"oversized": cookies(name + "=" + strings.Repeat("A", 10_000)), "somebody else's secret": cookies(foreign),
		"under the session's name": cookies(b.jar.session + "=" + value),
	} {
		if l := b.Logins(h); len(l.Pending) != 0 {
			t.Errorf("%s is read as %+v", what, l)
		}
	}
	// Garbage in front of it does not hide a genuine one.
	if states(b.Logins(cookies(name+"=garbage; x=1", name+"="+value))) != "a" {
		t.Error("hidden by garbage of the same name")
	}
}

func TestLoginCookieRotation(t *testing.T) {
	b := newBench(t)
	h := b.start(t, nil, Pending{State: "a"})
	for what, m := range map[string]*Manager{
		"newest first":       b.manager(t, secrets(newSecret, oldSecret)),
		"announced, not yet": b.manager(t, secrets(oldSecret, newSecret)),
	} {
		if states(m.Logins(h)) != "a" {
			t.Errorf("%s: the pending login is lost", what)
		}
	}
	if len(b.manager(t, secrets(newSecret)).Logins(h).Pending) != 0 {
		t.Error("readable with another secret")
	}
}

func TestLooping(t *testing.T) {
	long := "/" + strings.Repeat("x", 1500) // two of these fit into no cookie
	for name, next := range map[string]string{"short": "/", "long": long} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var h http.Header
			begun := b.clock
			for i := range 2 {
				if b.Logins(h).Looping(b.clock) {
					t.Fatalf("stopped after %d logins", i)
				}
				s := NewState()
				h = b.start(t, h, Pending{State: s, Next: next})
				h = b.finish(t, h, s)
				h = b.finish(t, h, s) // delivered twice, counted once
				b.clock = b.clock.Add(10 * time.Second)
			}
			if !b.Logins(h).Looping(b.clock) {
				t.Error("not stopped at the third login")
			}
			if b.clock = begun.Add(time.Minute); b.Logins(h).Looping(b.clock) {
				t.Error("still stopped a minute after the first")
			}
		})
	}
}

func TestDoubleDeliveryIsNoLoop(t *testing.T) {
	b := newBench(t)
	h := b.start(t, nil, Pending{State: "a"})
	for range 5 {
		h = b.finish(t, h, "a")
	}
	if b.Logins(h).Looping(b.clock) {
		t.Error("one login, delivered five times, counts as a loop")
	}
}

func TestGivingUpIsNoLoop(t *testing.T) {
	b := newBench(t)
	var h http.Header
	for i := range 20 {
		h = b.start(t, h, Pending{State: NewState(), Next: "/"})
		if b.Logins(h).Looping(b.clock) {
			t.Fatalf("stopped after %d logins that were given up", i+1)
		}
	}
}
