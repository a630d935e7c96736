package proxy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"wxgate/wechat/component"
)

const (
	// returnPatience is how long a browser waits for what became of its code.
	returnPatience = 5 * time.Second
	// maxReturn bounds in bytes what comes back with a browser.
	maxReturn = 2 << 10
	// resultPlace is what the address of a result is sealed for.
	resultPlace = "component result"
)

// result is what a browser came back with from WeChat. Its address has it sealed,
// so that neither state nor code can be read in a history; loading it again asks
// again what became of the code.
type result struct {
	State   string `json:"s"`
	Code    string `json:"c,omitempty"` // "" where the administrator did not agree
	Seconds int    `json:"e,omitempty"` // how long the code lives, as WeChat says
}

// returned is where WeChat sends the administrator back to. The code is in the
// store before anything is said, and its page has a clean address.
func (t *thirdParty) returned(v *visit) {
	query, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil || len(v.r.URL.RawQuery) > maxReturn {
		t.s.fail(v, badRequest, errors.New("the query is malformed or too long"))
		return
	}
	for _, name := range []string{"state", "auth_code", "expires_in", "done"} {
		if len(query[name]) > 1 {
			t.s.fail(v, badRequest, errors.New(name+" is doubled"))
			return
		}
	}
	if sealed := query.Get("done"); sealed != "" {
		t.result(v, sealed)
		return
	}
	r := result{State: query.Get("state"), Code: query.Get("auth_code")}
	r.Seconds, _ = strconv.Atoi(query.Get("expires_in")) // the platform knows what to do without
	if r.State == "" || r.Code != "" && !plausibleCode(r.Code) {
		t.s.fail(v, badRequest, errors.New("no state came back, or what is no code"))
		return
	}
	if r.Code != "" {
		if _, err := t.settle(v, r); err != nil && !codeKept(err) {
			// The same address again is the way to get the code into the store.
			t.s.failPage(v, storeUnavailable, err, pageData{ActionURL: returnPath + "?" + v.r.URL.RawQuery})
			return
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.s.fail(v, internalError, err)
		return
	}
	sealed := t.s.cfg.Sessions.Seal(text, resultPlace)
	t.s.land(v, t.s.location(v.host, returnPath+"?done="+base64.RawURLEncoding.EncodeToString(sealed)))
}

// settle hands a code to the platform, which stores it and exchanges it once,
// however often it comes.
func (t *thirdParty) settle(v *visit, r result) (component.Authorizer, error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), returnPatience)
	defer cancel()
	return t.platform.Returned(ctx, r.State, r.Code, time.Duration(r.Seconds)*time.Second)
}

// codeKept reports that nothing more has to be done for a code, by the browser that
// brought it: it is stored, or worth nothing.
func codeKept(err error) bool {
	_, known := ofAuthorization(err)
	return known || errors.Is(err, component.ErrLink) || errors.Is(err, component.ErrCode)
}

// result says what became of an authorization.
func (t *thirdParty) result(v *visit, sealed string) {
	var r result
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err == nil {
		text, ok := t.s.cfg.Sessions.Open(raw, resultPlace)
		if !ok || json.Unmarshal(text, &r) != nil {
			err = errors.New("it is not sealed by us")
		}
	}
	switch {
	case err != nil:
		t.s.fail(v, badRequest, err)
		return
	case r.Code == "":
		t.s.failPage(v, authorizeRefused, nil, pageData{})
		return
	}
	a, err := t.settle(v, r)
	p, waiting := ofAuthorization(err)
	switch {
	case errors.Is(err, component.ErrCode):
		t.s.failPage(v, authorizeCode, err, pageData{})
	case errors.Is(err, component.ErrLink):
		t.s.failPage(v, authorizeOver, err, pageData{})
	case waiting:
		v.cause = err
		if p == authorizeMisset {
			t.s.log.Error("WeChat refuses to exchange the code of an authorization; it is tried again", "id", v.id, "error", err)
		}
		t.s.page(v, http.StatusAccepted, pageAuthorizeKept, pageData{ActionURL: returnPath + "?" + v.r.URL.RawQuery})
	case err != nil:
		t.s.failPage(v, storeUnavailable, err, pageData{ActionURL: returnPath + "?" + v.r.URL.RawQuery})
	default:
		t.s.page(v, http.StatusOK, pageAuthorizeDone, pageData{Account: t.named(v, a)})
	}
}

// named is an account as a page shows it, nil for none. Its name may just be on
// its way from WeChat; the page can do without.
func (t *thirdParty) named(v *visit, a component.Authorizer) *pageAccount {
	if a.AppID == "" {
		return nil
	}
	if a.Name == "" {
		ctx, cancel := context.WithTimeout(v.r.Context(), returnPatience)
		defer cancel()
		if described, known, err := t.platform.Describe(ctx, a.AppID); err == nil && known {
			a = described
		}
	}
	return &pageAccount{Name: a.Name, AppID: a.AppID}
}
