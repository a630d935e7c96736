package session

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// ticketLife is how long a hand-over may take: one redirect.
const ticketLife = time.Minute

// Ticket hands a login over to a host that cannot share cookies with the host
// that WeChat returned to. It is sealed, names the one host that may take it,
// and is worth something only to the browser whose pending login it answers.
type Ticket struct {
	// Host may redeem the ticket; Binding is BindingOf the state that the
	// browser keeps there.
	Host    string `json:"h"`
	Binding string `json:"b"`
	// Source is the key of the session that is handed over. It is looked at
	// again when the ticket is redeemed: it may have been ended since.
	Source string `json:"s"`
	// Expires in Unix seconds.
	Expires int64 `json:"e"`
}

// BindingOf names a state without revealing it.
func BindingOf(state string) string { return hash("binding", state) }

const ticketRecord = "ticket"

// SealTicket makes the ticket's text, fit for a query parameter.
func (m *Manager) SealTicket(t Ticket) (string, error) {
	t.Expires = m.now().Add(ticketLife).Unix()
	plain, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(m.sealer.seal(plain, ticketRecord)), nil
}

// OpenTicket reads a ticket that host may redeem now.
func (m *Manager) OpenTicket(text, host string) (Ticket, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != text {
		return Ticket{}, false // one ticket has one spelling, or it could be redeemed in each
	}
	plain, ok := m.sealer.open(sealed, ticketRecord)
	if !ok {
		return Ticket{}, false
	}
	var t Ticket
	if json.Unmarshal(plain, &t) != nil || t.Host != host || m.now().Unix() >= t.Expires {
		return Ticket{}, false
	}
	return t, true
}
