package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
)

// scopeAuthorize marks, among a browser's pending logins, the authorization of an
// account that it was invited to. It is no login: it names no app, so nothing
// could be exchanged for it at the logins' callback, and what it is found by is
// not what an address holds.
const scopeAuthorize = "authorize"

// The ways for an authorization to end early.
var (
	authorizeOver      = &problem{400, "invalid_code", "The link was opened in another browser, or is too old.", pageAuthorizeOver, outcomeOwn, 0}
	authorizeRefused   = &problem{400, "invalid_code", "The administrator did not agree.", pageAuthorizeRefused, outcomeOwn, 0}
	authorizeCode      = &problem{400, "invalid_code", "WeChat does not accept this authorization code.", pageAuthorizeCode, outcomeError, 0}
	authorizeAway      = &problem{503, "wechat_unavailable", "WeChat does not answer; try again soon.", pageAuthorizeAway, outcomeError, 5}
	authorizeMisset    = &problem{503, "wechat_unavailable", "WeChat refuses this platform; its operator has to act.", pageAuthorizeMisset, outcomeError, 60}
	authorizeTooEarly  = &problem{503, "wechat_unavailable", "This platform is waiting for WeChat; try again in ten minutes.", pageAuthorizeTooEarly, outcomeError, 600}
	authorizeOnPC      = &problem{200, "bad_request", "Open this link in a browser on a computer.", pageAuthorizeOnPC, outcomeOwn, 0}
	authorizeInWeChat  = &problem{200, "bad_request", "Open this link in WeChat.", pageAuthorizeInWeChat, outcomeOwn, 0}
	authorizePreloaded = &problem{400, "bad_request", "This link opens as a page only.", pageBadRequest, outcomeOwn, 0}
)

// authorize shows a customer the page from which WeChat's own is entered. WeChat
// looks at the Referer, so it has to be a page, with a link, that tells its origin.
func (t *thirdParty) authorize(v *visit) {
	if speculative(v.r.Header) {
		t.s.fail(v, authorizePreloaded, nil) // nobody has seen the page yet
		return
	}
	query, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil || len(query["token"]) != 1 || len(query["auth_type"]) > 1 || len(query["biz_appid"]) > 1 {
		t.s.fail(v, badRequest, errors.New("the link is malformed, or a parameter of it is doubled"))
		return
	}
	here := authorizePath + "?" + v.r.URL.RawQuery
	link, err := t.platform.Link(v.r.Context(), query.Get("token"))
	switch {
	case err != nil:
		t.closed(v, err, here)
		return
	case differs(query, "auth_type", strconv.Itoa(link.AuthType)) || differs(query, "biz_appid", link.BizAppID):
		t.s.fail(v, badRequest, errors.New("the link was changed: it says something else than what it was made for"))
		return
	}
	// Nobody takes a link where it does not work.
	switch b := wechat.Detect(v.r.UserAgent()); {
	case link.Mobile && !b.InWeChat:
		address := t.s.location(v.host, here)
		t.s.failPage(v, authorizeInWeChat, nil, pageData{CopyURL: address, QR: newQRCode(address)})
		return
	case !link.Mobile && (b.InWeChat || b.Mobile):
		t.s.failPage(v, authorizeOnPC, nil, pageData{})
		return
	}
	logins := t.s.cfg.Sessions.Logins(v.r.Header)
	link, state, err := t.platform.OpenLink(v.r.Context(), query.Get("token"), func(state string) bool {
		p, found := logins.Find(authorizing(state))
		return found && p.Scope == scopeAuthorize
	})
	if err != nil {
		t.closed(v, err, here)
		return
	}
	// The link is this browser's from now on, whatever comes of this visit.
	if err := t.keep(v, logins, link, state); err != nil {
		t.s.fail(v, internalError, err)
		return
	}
	t.launch(v, link, state, here)
}

// closed answers where a link cannot be opened.
func (t *thirdParty) closed(v *visit, err error, here string) {
	if errors.Is(err, component.ErrLink) {
		t.s.failPage(v, authorizeOver, err, pageData{})
		return
	}
	t.s.failPage(v, storeUnavailable, err, pageData{ActionURL: here})
}

// launch shows the page with the link to WeChat's.
func (t *thirdParty) launch(v *visit, link component.Link, state, here string) {
	back := t.s.hosts.origin(t.s.hosts.public) + returnPath + "?state=" + url.QueryEscape(state)
	address, err := t.platform.Launch(v.r.Context(), link, back)
	if err != nil {
		// Nobody else shall find the link used that led nowhere.
		if again := t.platform.ReturnLink(context.WithoutCancel(v.r.Context()), v.r.URL.Query().Get("token"), state); again != nil {
			t.s.log.Warn("a link that led nowhere stays with the browser that opened it", "id", v.id, "error", again)
		}
		p, known := ofAuthorization(err)
		d := pageData{ActionURL: here}
		switch {
		case !known:
			p = storeUnavailable
		case p == authorizeMisset || p == authorizeTooEarly:
			d.ActionURL = "" // trying again at once does not help
		}
		t.s.failPage(v, p, err, d)
		return
	}
	id, d := pageAuthorize, pageData{ActionURL: address, TellOrigin: true}
	if link.Mobile {
		id = pageAuthorizeMobile
	}
	if link.BizAppID != "" {
		d.Account = &pageAccount{AppID: link.BizAppID}
	}
	t.s.page(v, http.StatusOK, id, d)
}

// keep notes that an authorization is this browser's: the page can be loaded again,
// by this browser alone.
func (t *thirdParty) keep(v *visit, logins *session.Logins, link component.Link, state string) error {
	kept := *logins
	kept.Pending = slices.DeleteFunc(slices.Clone(logins.Pending), func(p session.Pending) bool { return p.State == authorizing(state) })
	return t.s.cfg.Sessions.Start(v.Header(), &kept, session.Pending{State: authorizing(state), Scope: scopeAuthorize, Until: link.Expires.Unix()})
}

// authorizing is the state under which a browser keeps an authorization.
func authorizing(state string) string { return scopeAuthorize + " " + state }

// differs reports that an address says something else than the link that it is of.
// What it leaves empty, it does not say.
func differs(query url.Values, name, want string) bool {
	given := query.Get(name)
	return given != "" && given != want
}

// fetchers are words in the User-Agent of programs that look at links before
// people do: previews of chats, scanners of mail. Many hide; these do not.
var fetchers = regexp.MustCompile(`(?i)bot\b|bot/|crawl|spider|preview|externalhit|whatsapp|linkexpanding|scanner|urlcheck`)

// speculative reports that nobody waits for a page: it is fetched in advance, as a
// part of another one, or by a program.
func speculative(h http.Header) bool {
	dest := h.Get("Sec-Fetch-Dest")
	purpose := h.Get("Sec-Purpose") + h.Get("Purpose") + h.Get("X-Moz")
	return dest != "" && dest != "document" || strings.Contains(strings.ToLower(purpose), "pre") || fetchers.MatchString(h.Get("User-Agent"))
}

// ofAuthorization translates a failed call of the platform's to WeChat. Other failures,
// the store's, are not known to it.
func ofAuthorization(err error) (p *problem, known bool) {
	_, away := errors.AsType[*wechat.UnavailableError](err)
	api, refused := errors.AsType[*wechat.APIError](err)
	switch {
	case errors.Is(err, component.ErrNoTicket):
		return authorizeTooEarly, true // WeChat pushes one every ten minutes
	case refused && api.Kind() == wechat.KindConfig:
		return authorizeMisset, true
	case refused, away, errors.Is(err, component.ErrNoGrant), errors.Is(err, component.ErrNotAuthorized):
		return authorizeAway, true
	}
	return nil, false
}
