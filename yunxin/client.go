package yunxin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Names of the calls, as APIError, UnavailableError and Config.Observe report
// them. The set is closed.
const (
	apiCreate        = "create"
	apiUpdateToken   = "update_token"
	apiUpdateProfile = "update_profile"
	apiBlock         = "block"
	apiUnblock       = "unblock"
	apiKick          = "kick"
	apiApp           = "app_api" // Do: the app's own calls, whatever they are
)

// defaultURLs are the mainland addresses, primary first. An AppKey belongs to
// one region; overseas ones (api-sg, open-sg) must be configured.
// https://doc.commsease.com/messaging/server-apis/jk3MzY2MTI?platform=server
// https://doc.yunxin.163.com/messaging2/server-apis/zcwODA3MTU?platform=server3
var defaultURLs = map[string][]string{
	"v1": {"https://api.yunxinapi.com/nimserver", "https://api-cn-bak.yunxinapi.com/nimserver"},
	"v2": {"https://open.yunxinapi.com", "https://open-bak.yunxinapi.com"},
}

// Config says whose accounts a Client manages and how it reaches Yunxin.
type Config struct {
	// AppKey and AppSecret of the app in Yunxin's console. White space and a
	// byte order mark around them, left by copy and paste, are dropped.
	AppKey, AppSecret string

	// API is the generation of the server API, "v1" or "v2"; empty means "v2".
	API string

	// URLs are the base addresses, primary first, then backups, each with the
	// path prefix that the API lives under. Empty means Yunxin's mainland ones.
	URLs []string

	// HTTP carries the calls; nil means a client of its own. Redirects are
	// never followed, because they would carry the signature to another host.
	HTTP *http.Client

	// Timeout limits one attempt; 0 means 5 s, as in the vendor's own SDK. A
	// call makes at most two attempts; the caller's context limits it as a whole.
	// For Do it limits each wait of an attempt (for a connection, for the answer
	// to begin) and not the transfer of bodies.
	Timeout time.Duration

	// Observe, if set, is told of every attempt that went out. api is one of
	// "create", "update_token", "update_profile", "block", "unblock", "kick" and
	// "app_api" (Do); class is "ok", "canceled" (by our caller), "unavailable"
	// (no usable reply) or one of the Kinds.
	Observe func(api, class string, took time.Duration)

	// Now is the clock that signs calls and reopens shut interfaces; nil means
	// time.Now. Yunxin accepts five minutes of difference.
	Now func() time.Time
}

// Client calls one app's account API. It is safe for concurrent use.
type Client struct {
	appKey, appSecret string
	api               api
	urls              []string
	healthy           atomic.Int64 // index into urls of the address that answered last
	http              *http.Client
	timeout           time.Duration
	observe           func(api, class string, took time.Duration)
	now               func() time.Time
	gate              gate
}

// New returns a client. It makes no call, so it works while Yunxin is down.
// It panics on an unknown Config.API, which no valid configuration contains.
func New(cfg Config) *Client {
	c := &Client{
		appKey:    trim(cfg.AppKey),
		appSecret: trim(cfg.AppSecret),
		timeout:   cmp.Or(cfg.Timeout, 5*time.Second),
		observe:   cfg.Observe,
		now:       cfg.Now,
	}
	generation := cmp.Or(cfg.API, "v2")
	switch generation {
	case "v1":
		c.api = v1{}
	case "v2":
		c.api = v2{}
	default:
		panic("yunxin: unknown API " + generation)
	}
	urls := cfg.URLs
	if len(urls) == 0 {
		urls = defaultURLs[generation]
	}
	for _, u := range urls {
		c.urls = append(c.urls, strings.TrimRight(u, "/"))
	}
	h := http.Client{Transport: http.DefaultTransport}
	if cfg.HTTP != nil {
		h = *cfg.HTTP
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &h
	if c.observe == nil {
		c.observe = func(string, string, time.Duration) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

// AppKey returns the app key as calls are signed with it, which is the form
// that the page's SDK needs too.
func (c *Client) AppKey() string { return c.appKey }

// Account is an account to create.
type Account struct {
	// Accid is 1 to 32 of [A-Za-z0-9_@.-]; Yunxin folds it to lower case.
	Accid string

	// Token is the static login token, at most 128 characters. Empty lets
	// Yunxin invent one that nobody learns: right for dynamic tokens.
	Token string

	// Name and Avatar may be anything that a nickname or an avatar URL of
	// WeChat can be. The name is cleaned with CleanName; an avatar over 1024
	// bytes is left out, because a cut URL shows nothing.
	Name, Avatar string

	// FallbackName takes the name's place where none is left after cleaning,
	// and where Yunxin refuses the profile (Ensure only).
	FallbackName string
}

// Create makes an account and returns its id as Yunxin knows it. If it is
// there already the error Is ErrExists, and its token and profile are as they
// were. ErrExists may also speak of this very call's first attempt, when its
// reply was lost; so a caller who wants a known token uses Ensure.
func (c *Client) Create(ctx context.Context, a Account) (accid string, err error) {
	accid, err = checkAccid(apiCreate, a.Accid)
	if err != nil {
		return "", err
	}
	if len(a.Token) > maxToken {
		return "", badRequest(apiCreate, "token has over 128 characters")
	}
	a = a.clean()
	a.Accid = accid
	reply, err := c.call(ctx, c.api.create(a))
	if err != nil {
		return "", err
	}
	// The id in the reply is the one that counts. A different one would let
	// this user play, and pay, as somebody else. v1 may answer a bare code 200.
	if got := reply.accid(); got != "" && got != accid {
		return "", fmt.Errorf("yunxin %s: %w: asked for %s, got %.40q", apiCreate, ErrMismatch, accid, got)
	}
	return accid, nil
}

// Ensure makes sure that the account exists and, unless a.Token is empty, that
// a.Token is its token; it returns the id as Yunxin knows it. An account that
// was there before keeps its profile. When Yunxin refuses the name or avatar
// (antispam, length), the account is created with a.FallbackName and without
// avatar: nobody is kept out by a nickname. Ensure can be repeated at any time
// and by several replicas at once; with equal tokens all of them are right.
func (c *Client) Ensure(ctx context.Context, a Account) (accid string, err error) {
	a = a.clean()
	neutral := a
	neutral.Name, neutral.Avatar = a.FallbackName, ""
	accid, err = c.Create(ctx, a)
	if profileRefused(err) && a != neutral {
		accid, err = c.Create(ctx, neutral)
	}
	if !errors.Is(err, ErrExists) {
		return accid, err
	}
	if a.Token != "" {
		if err := c.SetToken(ctx, a.Accid, a.Token); err != nil {
			return "", err
		}
	}
	return strings.ToLower(a.Accid), nil
}

// profileRefused also covers bad requests: which code and text a refused name
// has in v1 is not documented, and one more attempt without it tells.
func profileRefused(err error) bool {
	var e *APIError
	return errors.As(err, &e) && (e.Kind() == KindRefused || e.Kind() == KindBadRequest)
}

// clean brings the profile into the form in which it is sent.
func (a Account) clean() Account {
	a.Name, a.Avatar, a.FallbackName = CleanName(a.Name), cleanAvatar(a.Avatar), CleanName(a.FallbackName)
	a.Name = cmp.Or(a.Name, a.FallbackName)
	return a
}

// SetToken makes token (1 to 128 characters) the account's only valid static
// token. Connections that are open stay open; they need it when they reconnect.
func (c *Client) SetToken(ctx context.Context, accid, token string) error {
	accid, err := checkAccid(apiUpdateToken, accid)
	if err != nil {
		return err
	}
	// Yunxin accepts an update without token, and changes nothing.
	if token == "" || len(token) > maxToken {
		return badRequest(apiUpdateToken, "token has not 1 to 128 characters")
	}
	_, err = c.call(ctx, c.api.setToken(accid, token))
	return err
}

// UpdateProfile sets what other players see. Name and avatar are cleaned as in
// Create; a name of which nothing is left stays as it is at Yunxin, an empty
// avatar removes the picture. A name that hits the antispam filter is an
// APIError of KindRefused.
func (c *Client) UpdateProfile(ctx context.Context, accid, name, avatar string) error {
	accid, err := checkAccid(apiUpdateProfile, accid)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, c.api.updateProfile(accid, CleanName(name), cleanAvatar(avatar)))
	return err
}

const maxToken = 128

// checkAccid looks at an account id before it gets into a path and returns it
// in lower case. "." and ".." fit Yunxin's alphabet but not a URL. Folding
// comes last, because it turns some foreign letters (the Kelvin sign) into ours.
func checkAccid(api, s string) (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@.-"
	if s == "" || len(s) > 32 || strings.Trim(s, alphabet) != "" || s == "." || s == ".." {
		return "", badRequest(api, "accid is not 1 to 32 of A-Z, a-z, 0-9, _ @ . -")
	}
	return strings.ToLower(s), nil
}

// badRequest answers locally what Yunxin would answer to a bad parameter.
func badRequest(api, why string) error {
	return &APIError{API: api, Code: 414, Desc: why, kind: KindBadRequest}
}

// trim removes what copying a key out of a console may leave around it.
func trim(s string) string { return strings.Trim(s, "\ufeff \t\r\n") }
