package session

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// PairLife is how long a PC's QR code can be answered by a phone, and how long
// the answer then waits for the PC.
const PairLife = 2 * time.Minute

// Pair is a login that a PC's browser began and a phone shall confirm. All of it
// is sealed into the QR code, so that nothing has to be stored for a visitor of
// whom nobody knows anything yet.
type Pair struct {
	// Binding is BindingOf the state that the PC's browser keeps in its login
	// cookie: nobody else can take the login.
	Binding string
	// Number, 0 to 255, is shown on the PC and has to be found on the phone.
	Number int
	// Client, Device (at most 32 bytes) and Started say to the person with the
	// phone where the login comes from.
	Client  netip.Addr
	Device  string
	Started time.Time
	// Profile asks for a user with name and avatar.
	Profile bool
}

// Expired reports that no phone may answer any more.
func (p Pair) Expired(now time.Time) bool { return !now.Before(p.Started.Add(PairLife)) }

const (
	pairRecord  = "pair"
	pairPrefix  = "p:"
	pairVersion = 1
	maxDevice   = 32
	maxPairText = 512
)

// SealPair makes the text of the QR code's address: letters, digits, "-" and
// "_". It is packed by hand, because every byte makes the code finer and harder
// to scan.
func (m *Manager) SealPair(p Pair) (string, error) {
	binding, err := base64.RawURLEncoding.DecodeString(p.Binding)
	if err != nil || len(p.Device) > maxDevice || p.Number < 0 || p.Number > 255 {
		return "", errors.New("session: this pair cannot be sealed")
	}
	flags := byte(0)
	if p.Profile {
		flags = 1
	}
	client := p.Client.AsSlice()
	b := []byte{pairVersion, flags, byte(p.Number), byte(len(client))}
	b = append(b, client...)
	b = append(b, byte(len(p.Device)))
	b = append(b, p.Device...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Started.Unix()))
	b = append(b, binding...)
	return base64.RawURLEncoding.EncodeToString(m.sealer.seal(b, pairRecord)), nil
}

// OpenPair reads what SealPair made, expired or not.
func (m *Manager) OpenPair(text string) (p Pair, ok bool) {
	if len(text) > maxPairText {
		return Pair{}, false
	}
	// The text is also the name of the answer: a token with two spellings could
	// be answered twice.
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != text {
		return Pair{}, false
	}
	b, ok := m.sealer.open(sealed, pairRecord)
	if !ok || len(b) < 4 || b[0] != pairVersion {
		return Pair{}, false
	}
	p.Profile, p.Number = b[1]&1 != 0, int(b[2])
	client, rest, ok := cutSized(b[3:])
	if !ok {
		return Pair{}, false
	}
	p.Client, _ = netip.AddrFromSlice(client)
	device, rest, ok := cutSized(rest)
	if !ok || len(rest) < 8 {
		return Pair{}, false
	}
	p.Device = string(device)
	p.Started = time.Unix(int64(binary.BigEndian.Uint64(rest)), 0)
	p.Binding = base64.RawURLEncoding.EncodeToString(rest[8:])
	return p, true
}

// cutSized takes a field from the front of b whose first byte is its length.
func cutSized(b []byte) (field, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}

// PairWord is what became of a Pair on the phone.
type PairWord string

const (
	PairConfirmed PairWord = "confirmed"
	PairRefused   PairWord = "refused"  // the person said no
	PairMistaken  PairWord = "mistaken" // the person chose another number
)

// PairAnswer is the one answer to a Pair. Phone is the store key of the session
// that gave it. The PC's session is made from that one, so that whatever ends it
// in between (a logout, a block) ends the pairing with it.
type PairAnswer struct {
	Word  PairWord `json:"word"`
	Phone string   `json:"phone"`
}

// AnswerPair stores the answer to a Pair by its text; first tells whether there
// was none before. The answer outlives the text's own life, so that there is
// never a second one.
func (m *Manager) AnswerPair(ctx context.Context, text string, a PairAnswer) (first bool, err error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	key := pairPrefix + hash(text)
	return m.store.Create(ctx, key, m.sealer.seal(plain, key), PairLife)
}

// PairAnswered finds the answer to a Pair by its text.
func (m *Manager) PairAnswered(ctx context.Context, text string) (a PairAnswer, found bool, err error) {
	key := pairPrefix + hash(text)
	value, found, err := m.store.Get(ctx, key)
	if err != nil || !found {
		return PairAnswer{}, false, err
	}
	plain, ok := m.sealer.open(value, key)
	if !ok {
		return PairAnswer{}, false, errors.New("session: the answer to a pair does not open")
	}
	if err := json.Unmarshal(plain, &a); err != nil {
		return PairAnswer{}, false, fmt.Errorf("session: unreadable answer to a pair: %w", err)
	}
	return a, true, nil
}
