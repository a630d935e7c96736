package proxy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

// A PC logs in by the phone where there is a service account only:
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
// nothing yet.
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
	address := p.s.hosts.origin(p.s.hosts.public) + pairPath + text
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
	if !isPairPath(pairPath+text) || v.host != p.s.hosts.public {
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

// visit tells the two browsers apart by the login cookie.
func (p *pairing) visit(v *visit, text string) {
	pair, ok := p.s.cfg.Sessions.OpenPair(text)
	if !ok {
		p.over(v)
		return
	}
	logins := p.s.cfg.Sessions.Logins(v.r.Header)
	if pending, mine := logins.FindBound(pair.Binding); mine {
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
	a, answered, err := p.s.cfg.Sessions.PairAnswered(v.r.Context(), text)
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
	out, replayed, err := p.s.redeemer.Redeem(v.r.Context(), "pair", text, pending.State, func(ctx context.Context) session.Outcome {
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

// phone is the session of the phone that scanned, or nil after it was sent to
// get one, or told why it cannot have one.
func (p *pairing) phone(v *visit, text string, pair session.Pair) *live {
	if b := wechat.Detect(v.r.UserAgent()); !b.InWeChat {
		// Scanned with the camera, or opened where the login cannot run.
		p.s.failPage(v, openInWeChat, nil, pageData{CopyURL: p.s.hosts.origin(p.s.hosts.public) + pairPath + text})
		return nil
	}
	l, err := p.s.session(v)
	wanted := loginQuery{next: pairPath + text}
	switch {
	case err != nil:
		p.s.failPage(v, storeUnavailable, err, pageData{ActionURL: pairPath + text})
	case l != nil && l.snapshot:
		p.s.fail(v, snapshotVisitor, nil)
	case v.r.Method != http.MethodGet && l == nil:
		p.s.failPage(v, loginRequired, nil, pageData{ActionURL: p.s.loginURL(v.host, wanted)})
	case l == nil || l.session.Channel != identity.ChannelMP && l.session.Channel != identity.ChannelComponent:
		p.s.toLogin(v, wanted)
	case l.user.Status == identity.StatusBlocked:
		p.s.fail(v, userBlocked, nil)
	case pair.Profile && l.user.Profile == nil:
		wanted.profile = true
		p.s.toLogin(v, wanted)
	default:
		return l
	}
	return nil
}

// atPhone asks the person with the phone, or says how it ended.
func (p *pairing) atPhone(v *visit, text string, pair session.Pair) {
	now := p.s.now()
	if pair.Expired(now) {
		if l, err := p.s.session(v); err != nil || l == nil {
			p.over(v) // no login would be worth it
			return
		}
	}
	l := p.phone(v, text, pair)
	if l == nil {
		return
	}
	a, answered, err := p.s.cfg.Sessions.PairAnswered(v.r.Context(), text)
	switch {
	case err != nil:
		p.s.failPage(v, storeUnavailable, err, pageData{ActionURL: pairPath + text})
	case answered && a.Phone == l.key:
		p.s.page(v, http.StatusOK, map[session.PairWord]pageID{
			session.PairConfirmed: pagePairDone, session.PairMistaken: pagePairMistaken, session.PairRefused: pagePairRefused,
		}[a.Word], pageData{})
	case answered || pair.Expired(now):
		p.over(v)
	default:
		p.s.page(v, http.StatusOK, pagePairConfirm, pageData{PairURL: pairPath + text, Asks: &pairAsks{
			Device: pair.Device, Place: placeOf(pair.Client), Near: pair.Client.IsValid() && pair.Client == coarse(v.client),
			Seconds: max(0, int(now.Sub(pair.Started)/time.Second)), Choices: choices(text, pair.Number),
		}})
	}
}

// choices are three numbers with the right one among them, in order. They hang
// on the token: loading the page again must not show which one stays.
func choices(text string, right int) []int {
	list := []int{right}
	draw := mathrand.New(mathrand.NewChaCha8(sha256.Sum256([]byte(text))))
	for len(list) < 3 {
		if n := 10 + draw.IntN(90); !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

// answer takes the phone's decision. Only our own page on the phone may send it:
// a link that confirms by being opened would make every chat a trap.
func (p *pairing) answer(v *visit, text string) {
	if !p.s.sameOrigin(v.r) {
		p.s.fail(v, foreignOrigin, nil)
		return
	}
	if !p.s.withinRate(v) {
		return
	}
	pair, ok := p.s.cfg.Sessions.OpenPair(text)
	if !ok || pair.Expired(p.s.now()) {
		p.over(v)
		return
	}
	if _, mine := p.s.cfg.Sessions.Logins(v.r.Header).FindBound(pair.Binding); mine {
		p.s.fail(v, badRequest, errors.New("the browser that asks cannot confirm itself"))
		return
	}
	l := p.phone(v, text, pair)
	if l == nil {
		return
	}
	v.r.Body = http.MaxBytesReader(v, v.r.Body, maxPairForm)
	if err := v.r.ParseForm(); err != nil {
		p.s.fail(v, badRequest, err)
		return
	}
	a := session.PairAnswer{Phone: l.key}
	switch number := v.r.PostForm["number"]; {
	case v.r.PostForm.Get("answer") == "refuse":
		a.Word = session.PairRefused
	case v.r.PostForm.Get("answer") != "confirm" || len(number) != 1:
		p.s.redirect(v, http.StatusSeeOther, pairPath+text) // nothing was decided
		return
	case number[0] == strconv.Itoa(pair.Number):
		a.Word = session.PairConfirmed
	default:
		// One guess only: with three numbers, a second would be worth much.
		a.Word = session.PairMistaken
	}
	first, err := p.s.cfg.Sessions.AnswerPair(v.r.Context(), text, a)
	if err != nil {
		p.s.failPage(v, storeUnavailable, err, pageData{ActionURL: pairPath + text})
		return
	}
	if first && a.Word != session.PairConfirmed {
		p.s.metrics.login(identity.ChannelMP, stepDenied)
	}
	p.s.redirect(v, http.StatusSeeOther, pairPath+text) // its page says what was decided
}
