package clawmachine

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
)

// assertionHeader is the only header this app believes.
const assertionHeader = "X-Wxgate-Assertion"

// claims are the parts of an assertion that the app uses.
type claims struct {
	jwt.RegisteredClaims
	Name     string `json:"name"`
	Picture  string `json:"picture"`
	Snapshot bool   `json:"snapshot"` // a visitor of a WeChat snapshot page: nobody in particular
	Yunxin   struct {
		Accid string `json:"accid"`
	} `json:"yunxin"`
}

// verifier checks assertions.
type verifier struct {
	keys   *keySet
	parser *jwt.Parser
}

func newVerifier(c Config) *verifier {
	return &verifier{
		keys: newKeySet(c.JWKSURL, c.HTTP, c.now, c.Logger),
		parser: jwt.NewParser(
			// Naming the methods keeps out "none", and HMAC keyed with a public key.
			jwt.WithValidMethods([]string{"ES256", "EdDSA", "RS256"}),
			jwt.WithIssuer(c.Issuer),
			jwt.WithAudience(c.Audience),
			jwt.WithExpirationRequired(),
			jwt.WithStrictDecoding(),
			jwt.WithTimeFunc(c.now),
		),
	}
}

var (
	errMissing  = errors.New("the request carries no assertion")
	errSeveral  = errors.New("the request carries more than one assertion")
	errNoKeyID  = errors.New("the assertion names no key")
	errNoPerson = errors.New("the assertion names nobody")
)

// verify returns the claims of the request's assertion, once they are proven.
func (v *verifier) verify(ctx context.Context, h http.Header) (*claims, error) {
	values := h.Values(assertionHeader)
	switch {
	case len(values) == 0 || values[0] == "":
		return nil, errMissing
	case len(values) > 1:
		return nil, errSeveral
	}
	var c claims
	_, err := v.parser.ParseWithClaims(values[0], &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if kid == "" {
			return nil, errNoKeyID
		}
		return v.keys.key(ctx, kid)
	})
	if err != nil {
		return nil, err
	}
	if c.Subject == "" {
		return nil, errNoPerson
	}
	return &c, nil
}

// reasons names, for the page, why an assertion was refused. First match wins.
var reasons = []struct {
	err  error
	name string
}{
	{errMissing, "missing"},
	{errSeveral, "several"},
	{errNoKeys, "keys_unavailable"},
	{errUnknownKey, "unknown_key"},
	{errNoKeyID, "unknown_key"},
	{jwt.ErrTokenMalformed, "malformed"},
	{jwt.ErrTokenSignatureInvalid, "bad_signature"},
	{jwt.ErrTokenExpired, "expired"},
	{jwt.ErrTokenNotValidYet, "not_yet_valid"},
	{jwt.ErrTokenInvalidIssuer, "wrong_issuer"},
	{jwt.ErrTokenInvalidAudience, "wrong_audience"},
	{jwt.ErrTokenRequiredClaimMissing, "incomplete"},
	{errNoPerson, "incomplete"},
}

func reasonFor(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "unverifiable"
}

// player is what the game knows of a person.
type player struct {
	id      string // user id; never leaves the server
	name    string
	avatar  string // http(s) URL, or empty
	visitor bool   // may watch, not play
}

func (a *App) playerOf(c *claims) player {
	p := player{id: c.Subject, name: displayName(c.Name), avatar: c.Picture, visitor: c.Snapshot}
	if u, err := url.Parse(c.Picture); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		p.avatar = ""
	}
	switch {
	case p.visitor:
		p.name = "游客"
	case p.name == "":
		p.name = a.config.DefaultName(p.id)
	}
	return p
}

// displayName makes a WeChat nickname fit to be shown to others: no control or
// direction characters (the joiner inside emoji stays), 20 characters at most.
func displayName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\u200d' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if runes := []rune(s); len(runes) > 20 {
		s = string(runes[:19]) + "…"
	}
	return s
}

// identify answers 401 and reports false unless the request is proven to come from somebody.
func (a *App) identify(w http.ResponseWriter, r *http.Request) (*claims, bool) {
	c, err := a.verifier.verify(r.Context(), r.Header)
	if err != nil {
		a.config.Logger.Debug("refused an assertion", "path", r.URL.Path, "reason", reasonFor(err))
		writeError(w, http.StatusUnauthorized, "unverified", reasonFor(err))
		return nil, false
	}
	return c, true
}
