package proxy

import (
	"crypto/sha256"
	"errors"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

// phone is the session of the phone that scanned, or nil after it was sent to
// get one, or told why it cannot have one.
func (p *pairing) phone(v *visit, text string, pair session.Pair) *live {
	if b := wechat.Detect(v.r.UserAgent()); !b.InWeChat {
		// Scanned with the camera, or opened where the login cannot run.
		p.s.failPage(v, openInWeChat, nil, pageData{CopyURL: p.s.hosts.origin(v.host) + pairPath + text})
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
	case l == nil || !(account{l.session.Channel, l.session.AppID}).insideWeChat():
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
	a, answered, err := p.s.cfg.Sessions.PairAnswered(v.r.Context(), answerName(v, text))
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
	if _, mine := p.asked(v, p.s.cfg.Sessions.Logins(v.r.Header), pair); mine {
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
	first, err := p.s.cfg.Sessions.AnswerPair(v.r.Context(), answerName(v, text), a)
	if err != nil {
		p.s.failPage(v, storeUnavailable, err, pageData{ActionURL: pairPath + text})
		return
	}
	if first && a.Word != session.PairConfirmed {
		p.s.metrics.login(p.s.accountOn(v.host).channel, stepDenied)
	}
	p.s.redirect(v, http.StatusSeeOther, pairPath+text) // its page says what was decided
}
