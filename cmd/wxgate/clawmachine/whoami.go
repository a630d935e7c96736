package clawmachine

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// whoami shows a request as it reached the app. A real app would keep the
// assertion to itself: whoever holds it is believed by the app until it expires.
type whoami struct {
	Verified bool   `json:"verified"`
	Reason   string `json:"reason,omitempty"` // why not; a name from reasons
	Detail   string `json:"detail,omitempty"` // the verifier's own words

	Player    *playerJSON    `json:"player"` // null unless verified
	Assertion *assertionJSON `json:"assertion"`
	Checked   checkedJSON    `json:"checked"`
	Headers   []headerJSON   `json:"headers"`
	Cookies   []string       `json:"cookies"` // names only
}

type playerJSON struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Avatar  string `json:"avatar,omitempty"`
	Visitor bool   `json:"visitor"`
	Named   bool   `json:"named"` // the name comes from a profile
}

// assertionJSON is decoded without being believed, so that a forged one can be seen too.
type assertionJSON struct {
	Raw    string          `json:"raw"`
	Header json.RawMessage `json:"header,omitempty"`
	Claims json.RawMessage `json:"claims,omitempty"`
}

// checkedJSON is what the assertion was checked against.
type checkedJSON struct {
	JWKS     string `json:"jwks"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
}

type headerJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Group string `json:"group"` // identity, client or request
}

// headerGroups are the headers worth showing, beside all X-Wxgate-*.
var headerGroups = map[string]string{
	"X-Forwarded-For": "client", "X-Forwarded-Host": "client", "X-Forwarded-Proto": "client",
	"X-Real-Ip": "client", "User-Agent": "client",
	"X-Request-Id": "request", "Traceparent": "request",
}

func (a *App) serveWhoami(w http.ResponseWriter, r *http.Request) {
	out := whoami{
		Checked: checkedJSON{JWKS: a.config.JWKSURL, Issuer: a.config.Issuer, Audience: a.config.Audience},
		Headers: shownHeaders(r),
		Cookies: []string{},
	}
	for _, c := range r.Cookies() {
		out.Cookies = append(out.Cookies, c.Name)
	}
	if raw := r.Header.Get(assertionHeader); raw != "" {
		out.Assertion = decodeAssertion(raw)
	}
	c, err := a.verifier.verify(r.Context(), r.Header)
	if err != nil {
		out.Reason, out.Detail = reasonFor(err), err.Error()
	} else {
		p := a.playerOf(c)
		out.Verified = true
		out.Player = &playerJSON{
			ID: p.id, Name: p.name, Avatar: p.avatar, Visitor: p.visitor, Named: !p.visitor && displayName(c.Name) != "",
		}
	}
	writeJSON(w, http.StatusOK, out)
}

func shownHeaders(r *http.Request) []headerJSON {
	list := []headerJSON{{Name: "Host", Value: r.Host, Group: "client"}}
	for name, values := range r.Header {
		group, shown := headerGroups[textproto.CanonicalMIMEHeaderKey(name)]
		if strings.HasPrefix(name, "X-Wxgate-") {
			group, shown = "identity", true
		}
		if !shown {
			continue
		}
		for _, v := range values {
			list = append(list, headerJSON{Name: name, Value: v, Group: group})
		}
	}
	slices.SortStableFunc(list, func(a, b headerJSON) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func decodeAssertion(raw string) *assertionJSON {
	out := &assertionJSON{Raw: raw}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return out
	}
	if b := decode(parts[0]); json.Valid(b) {
		out.Header = b
	}
	if b := decode(parts[1]); json.Valid(b) {
		out.Claims = b
	}
	return out
}

// serveMachines lists the machines; this house has one.
func (a *App) serveMachines(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"machines": []summary{a.room.summary()}})
}

func (a *App) serveShelf(w http.ResponseWriter, r *http.Request) {
	if c, ok := a.identify(w, r); ok {
		writeJSON(w, http.StatusOK, a.room.shelf(c.Subject))
	}
}

func (a *App) serveCheer(w http.ResponseWriter, r *http.Request) {
	c, ok := a.identify(w, r)
	if !ok {
		return
	}
	if !a.room.cheer(c.Subject) {
		writeError(w, http.StatusConflict, "nobody_to_cheer", "only for somebody else's round, and once a second")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
