package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wxgate/wechat"
)

// jssdk signs pages for WeChat's JS-SDK, in the name of the account of their host.
//
// It asks for no session: a page that everybody may see has share buttons too,
// and a signature is worth nothing on any other page than the one that it names.
// Nor does it count against the rate of logins, which a page that signs at every
// change of its address would use up for the whole address it comes from. What a
// request can cost is one hash: the ticket behind it is fetched once for all, and
// WeChat's refusals are remembered.
type jssdk struct {
	s      *Server
	tokens *wechat.ServerTokens
}

// jssdkPatience is how long a page waits for a ticket.
const jssdkPatience = 5 * time.Second

func newJSSDK(s *Server, tokens *wechat.ServerTokens) *jssdk {
	return &jssdk{s: s, tokens: tokens}
}

// jssdkAnswer is named as wx.config names its parameters.
type jssdkAnswer struct {
	AppID     string `json:"appId"`
	Timestamp int64  `json:"timestamp"` // seconds
	NonceStr  string `json:"nonceStr"`
	Signature string `json:"signature"`
}

func (j *jssdk) serve(v *visit) {
	query, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil || len(query["url"]) != 1 {
		j.s.fail(v, badRequest, errors.New("url is missing, doubled, or not escaped"))
		return
	}
	host, page := j.s.hosts.page(query.Get("url"))
	if host == "" {
		j.s.fail(v, badRequest, errors.New("url is not on a served host"))
		return
	}
	app := j.s.serverApp(j.s.accountOn(host))
	if app.ID == "" {
		j.s.fail(v, notFound, errors.New("no service account is configured for the page's host"))
		return
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), jssdkPatience)
	defer cancel()
	ticket, err := j.tokens.JSAPITicket(ctx, app)
	if err != nil {
		p := ofWeChat(err)
		if p.status != http.StatusServiceUnavailable {
			p = wechatUnavailable // whatever it says, it is not about the visitor
		}
		if v.r.Context().Err() != nil {
			err = v.r.Context().Err()
		}
		j.s.fail(v, p, err)
		return
	}
	a := jssdkAnswer{AppID: app.ID, Timestamp: j.s.now().Unix(), NonceStr: rand.Text()}
	a.Signature = wechat.JSAPISignature(ticket, a.NonceStr, a.Timestamp, page)
	j.s.writeJSON(v, http.StatusOK, a)
}

// page is the served host of a page, "" if there is none, and the page's address
// without its fragment. Every other byte stays, because WeChat's client signs
// what it sees.
func (h hosts) page(address string) (host, page string) {
	address, _, _ = strings.Cut(address, "#")
	rest, ok := strings.CutPrefix(address, h.scheme+"://")
	if !ok || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return "", ""
	}
	host, _, _ = strings.Cut(rest, "?")
	host, _, _ = strings.Cut(host, "/")
	return h.find(host), address
}
