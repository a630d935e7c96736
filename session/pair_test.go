package session

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func samePair(a, b Pair) string {
	return cmp.Diff(a, b, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }))
}

func TestPairRoundTrip(t *testing.T) {
	b := newBench(t)
	m := b.manager(t)
	for name, p := range map[string]Pair{
		"IPv4":      {Binding: BindingOf("a"), Number: 42, Client: netip.MustParseAddr("203.0.113.0"), Device: "Windows · Chrome", Started: time.Unix(1800000000, 0)},
		"IPv6":      {Binding: BindingOf("b"), Number: 10, Client: netip.MustParseAddr("2001:db8:1::"), Started: time.Unix(4102444800, 0), Profile: true},
		"no client": {Binding: BindingOf("c"), Number: 99, Device: strings.Repeat("x", maxDevice), Started: time.Unix(1800000000, 0)},
	} {
		text, err := m.SealPair(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, ok := m.OpenPair(text)
		if diff := samePair(p, got); !ok || diff != "" {
			t.Errorf("%s: came back %v, %s", name, ok, diff)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(text) > 200 {
			t.Errorf("%s: %d characters, unfit for the address in a QR code: %s", name, len(text), text)
		}
		if b.store.calls() != 0 {
			t.Error("sealing a pair stored something")
		}
	}
	for name, p := range map[string]Pair{
		"device too long": {Binding: BindingOf("a"), Device: strings.Repeat("x", maxDevice+1)},
		"number too big":  {Binding: BindingOf("a"), Number: 256},
		"no binding":      {Binding: "!"},
	} {
		if _, err := m.SealPair(p); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestPairIsSealed(t *testing.T) {
	b := newBench(t)
	m := b.manager(t)
	p := Pair{Binding: BindingOf("a"), Number: 42, Device: "Windows", Started: time.Unix(1800000000, 0)}
	text, err := m.SealPair(p)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || strings.Contains(string(raw), "Windows") {
		t.Error("the pair can be read")
	}
	for i := range raw {
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		if _, ok := m.OpenPair(base64.RawURLEncoding.EncodeToString(changed)); ok {
			t.Fatalf("opens with byte %d changed", i)
		}
	}
	ticket, err := m.SealTicket(Ticket{Host: "play.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"empty": "", "cut": text[:len(text)-1], "another spelling": text[:9] + "\n" + text[9:], "padded": text + "=",
		"a ticket": ticket, "huge": strings.Repeat("A", 1<<20),
	} {
		if _, ok := m.OpenPair(other); ok {
			t.Errorf("%s: opens", name)
		}
	}
	if _, ok := b.manager(t, secrets(newSecret)).OpenPair(text); ok {
		t.Error("opens with another secret")
	}
	if _, ok := b.manager(t, secrets(newSecret, oldSecret)).OpenPair(text); !ok {
		t.Error("does not open after a rotation")
	}
}

func TestPairExpires(t *testing.T) {
	start := time.Unix(1800000000, 0)
	p := Pair{Started: start}
	if p.Expired(start.Add(PairLife - time.Nanosecond)) {
		t.Error("over before its time")
	}
	if !p.Expired(start.Add(PairLife)) {
		t.Error("not over at its time")
	}
}

func TestPairIsAnsweredOnce(t *testing.T) {
	b := newBench(t)
	m := b.manager(t)
	ctx := t.Context()
	if _, found, err := m.PairAnswered(ctx, "token"); found || err != nil {
		t.Fatalf("answered before: %v %v", found, err)
	}
	want := PairAnswer{Word: PairRefused, Phone: "s:phone"}
	if first, err := m.AnswerPair(ctx, "token", want); !first || err != nil {
		t.Fatalf("first answer: %v %v", first, err)
	}
	if first, err := m.AnswerPair(ctx, "token", PairAnswer{Word: PairConfirmed, Phone: "s:other"}); first || err != nil {
		t.Errorf("second answer: %v %v", first, err)
	}
	got, found, err := m.PairAnswered(ctx, "token")
	if !found || err != nil || got != want {
		t.Errorf("answer is %v %v %v, want %v", got, found, err, want)
	}
	if all := b.store.all(); strings.Contains(all, "token") || strings.Contains(all, "phone") {
		t.Errorf("the store shows the token or the phone: %s", all)
	}

	// What somebody put into the store, or moved there from another pair, is no
	// answer.
	b.store.values[pairPrefix+hash("moved")] = b.store.values[pairPrefix+hash("token")]
	b.store.values[pairPrefix+hash("forged")] = []byte(`{"word":"confirmed","phone":"s:phone"}`)
	for _, text := range []string{"moved", "forged"} {
		if a, found, err := m.PairAnswered(ctx, text); found || err == nil {
			t.Errorf("%s: answered %v", text, a)
		}
	}
	b.store.fail["Get"], b.store.fail["Create"] = errGone, errGone
	if _, found, err := m.PairAnswered(ctx, "token"); found || err == nil {
		t.Error("an outage reads as no answer")
	}
	if first, err := m.AnswerPair(ctx, "again", want); first || err == nil {
		t.Error("an outage reads as an answer")
	}
}
