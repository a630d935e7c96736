package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"wxgate/session"
)

// A PC logs in by the phone where there is no website app, at the host where the
// phone's login runs:
//
//	PC     login ─→ page: QR code of pair/{token}, a number        pair/{token}/wait
//	                                │ scan                               │ confirmed
//	phone             pair/{token} ─→ (silent login) ─→ who asks, from   │
//	                  where, when; which of three numbers? ─→ POST ──────┤
//	PC     next ←─ 303, session ←─ pair/{token} ←────────────────────────┘
//
// The one danger is a QR code that is passed on: somebody begins a login and
// gets another person to confirm it. So the phone's page says who asks and asks
// for a number that is only on the screen of whoever began the login, a wrong
// one ends it, and all of it lives for two minutes.
//
// The token carries everything, sealed, so nothing is stored for a PC that only
// looks at the page. The result belongs to the browser whose login cookie holds
// the state that the token names the hash of: who has read the QR code has
// nothing yet. A decision counts on the host only where it was made: a QR code
// with the address changed to another of our hosts would make the phone's page
// name that one as the site that asks.
type pairing struct {
	s *Server

	mu      sync.Mutex
	waiting int
	perPair map[string]int
}

const (
	// waitTick is how often a waiting PC has the store asked, at most.
	waitTick = time.Second
	// maxWaiting streams are open per process, maxPerPair for one login; beyond
	// it pages ask again and again instead.
	maxWaiting = 4096
	maxPerPair = 2
	// maxPairForm is the size of the phone's answer in bytes.
	maxPairForm = 4 << 10

	pairPath = prefix + "pair/"
)

func newPairing(s *Server) *pairing { return &pairing{s: s, perPair: map[string]int{}} }

// isPairPath reports that a path is the phone's page: a login may lead back to
// it, though it is one of ours.
func isPairPath(path string) bool {
	token, ok := strings.CutPrefix(path, pairPath)
	return ok && token != "" && !strings.ContainsFunc(token, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || r == '-' || r == '_')
	})
}

// begin shows the PC its QR code.
func (p *pairing) begin(v *visit, pending session.Pending, profile bool) {
	n, err := rand.Int(rand.Reader, big.NewInt(90))
	if err != nil {
		p.s.fail(v, internalError, err)
		return
	}
	pair := session.Pair{
		Binding: session.BindingOf(pending.State), Number: 10 + int(n.Int64()), Client: coarse(v.client),
		Device: deviceOf(v.r.UserAgent()), Started: p.s.now(), Profile: profile,
	}
	text, err := p.s.cfg.Sessions.SealPair(pair)
	if err != nil {
		p.s.fail(v, internalError, err)
		return
	}
	p.waitPage(v, text, pair, pending)
}

func (p *pairing) waitPage(v *visit, text string, pair session.Pair, pending session.Pending) {
	address := p.s.hosts.origin(v.host) + pairPath + text
	p.s.page(v, http.StatusOK, pageQRPair, pageData{
		ActionURL: p.again(v, pair, pending), QR: newQRCode(address), Number: pair.Number, PairURL: pairPath + text,
	})
}

// again begins the same login anew, with a fresh QR code.
func (p *pairing) again(v *visit, pair session.Pair, pending session.Pending) string {
	return p.s.loginURL(v.host, loginQuery{
		next: p.s.nextOf(pending), profile: pair.Profile, bind: pending.Bind, via: p.s.viaOf(v, pending),
	})
}

// serve answers everything under pair/; name is what follows it. The token is
// kept out of the log: while it lives, who reads it could show it to a phone.
func (p *pairing) serve(v *visit, name string) {
	v.path = pairPath + "…"
	noStore(v.Header())
	text, wait := strings.CutSuffix(name, "/wait")
	if !isPairPath(pairPath+text) || v.host != p.s.hosts.home(v.host) {
		p.s.fail(v, notFound, nil)
		return
	}
	switch {
	case v.r.Method == http.MethodGet && wait:
		p.wait(v, text)
	case v.r.Method == http.MethodGet:
		p.visit(v, text)
	case v.r.Method == http.MethodPost && !wait:
		p.answer(v, text)
	default:
		v.Header().Set("Allow", map[bool]string{true: "GET", false: "GET, POST"}[wait])
		p.s.fail(v, methodNotAllowed, nil)
	}
}

// asked finds the login of this browser, begun on this host, that a pair is for.
func (p *pairing) asked(v *visit, logins *session.Logins, pair session.Pair) (session.Pending, bool) {
	pending, found := logins.FindBound(pair.Binding)
	return pending, found && p.s.homeOf(pending) == v.host
}

// answerName is what the decision about a token is known by.
func answerName(v *visit, text string) string { return v.host + "/" + text }

// visit tells the two browsers apart by the login cookie.
func (p *pairing) visit(v *visit, text string) {
	pair, ok := p.s.cfg.Sessions.OpenPair(text)
	if !ok {
		p.over(v)
		return
	}
	logins := p.s.cfg.Sessions.Logins(v.r.Header)
	if pending, mine := p.asked(v, logins, pair); mine {
		p.atPC(v, text, pair, logins, pending)
		return
	}
	p.atPhone(v, text, pair)
}

// over is the page of a token that nobody can use any more, or never could.
func (p *pairing) over(v *visit) { p.s.page(v, http.StatusOK, pagePairOver, pageData{}) }

// atPC is the PC's browser, when its page heard that the phone confirmed, or
// when somebody reloads.
func (p *pairing) atPC(v *visit, text string, pair session.Pair, logins *session.Logins, pending session.Pending) {
	a, answered, err := p.s.cfg.Sessions.PairAnswered(v.r.Context(), answerName(v, text))
	switch {
	case err != nil:
		p.s.failPage(v, storeUnavailable, err, pageData{ActionURL: pairPath + text})
	case answered && a.Word == session.PairConfirmed:
		p.finish(v, text, pair, a, logins, pending)
	case answered:
		p.s.page(v, http.StatusOK, pagePairDenied, pageData{ActionURL: p.again(v, pair, pending)})
	case pair.Expired(p.s.now()):
		p.s.page(v, http.StatusOK, pagePairExpired, pageData{ActionURL: p.again(v, pair, pending)})
	default:
		p.waitPage(v, text, pair, pending)
	}
}

// finish makes the PC's session, once over all replicas; the same browser gets
// the same one when it asks again.
func (p *pairing) finish(v *visit, text string, pair session.Pair, a session.PairAnswer, logins *session.Logins, pending session.Pending) {
	log := p.s.log.With("id", v.id, "channel", pending.Channel)
	out, replayed, err := p.s.redeemer.Redeem(v.r.Context(), "pair", text, pending.State, func(ctx context.Context, _ *session.Redemption) session.Outcome {
		word, token, err := p.s.takeOver(ctx, a.Phone)
		if word != "" {
			p.s.metrics.login(pending.Channel, stepFailed)
			log.Error("the login that the phone confirmed came to nothing", "why", word, "error", err)
			return session.Outcome{Failure: word}
		}
		p.s.metrics.login(pending.Channel, stepCompleted)
		return session.Outcome{Token: token}
	})
	switch {
	case errors.Is(err, session.ErrForeignCode), errors.Is(err, session.ErrCodeLost), err == nil && out.Failure == failedCode:
		p.s.page(v, http.StatusOK, pagePairExpired, pageData{ActionURL: p.again(v, pair, pending)})
	case err != nil:
		p.s.failPage(v, storeUnavailable, err, pageData{ActionURL: pairPath + text})
	default:
		p.s.conclude(v, logins, pending, out, replayed)
	}
}
