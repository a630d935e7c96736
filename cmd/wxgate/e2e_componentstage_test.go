package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

const (
	platformAppID  = "wxc0ffee00000000e2"
	platformSecret = "9d1b7e5f3a2c4860b1d3f5a7c9e0b2d4"
	platformToken  = "tokenOfThePlatform"
	platformKey    = "kEyOfThePlatform0123456789kEyOfThePlatform0"

	eventsAt   = "/.wxgate/component/events"
	messagesAt = "/.wxgate/component/messages/$APPID$"
)

// platformStage is a stage whose wxgate is a third-party platform, with an app that hears of the accounts that
// authorize it.
type platformStage struct {
	*stage
	api  string // the app's own listener
	hook *authorizerHook

	mu      sync.Mutex
	secrets map[string]bool
}

func newPlatformStage(t *testing.T, settings ...string) *platformStage {
	t.Helper()
	s := &platformStage{hook: &authorizerHook{}, api: freeAddress(t), secrets: map[string]bool{}}
	hook := httptest.NewServer(s.hook)
	t.Cleanup(hook.Close)
	s.stage = newStage(t, append([]string{
		"WXGATE_ADMIN_TOKEN=" + stageOperator, "WXGATE_HOOK_URL=" + hook.URL, "WXGATE_APP_LISTEN=" + s.api, "WXGATE_LOG_LEVEL=debug",
		"WXGATE_COMPONENT_APP_ID=" + platformAppID, "WXGATE_COMPONENT_APP_SECRET=" + platformSecret,
		"WXGATE_COMPONENT_TOKEN=" + platformToken, "WXGATE_COMPONENT_AES_KEY=" + platformKey,
	}, settings...)...)
	s.env["WXGATE_WECHAT_MP_URL"] = s.wechat.URL
	s.register(s.env["WXGATE_PUBLIC_URL"])
	s.conceal(keyA, stageOperator, stageSecret, platformSecret, platformToken, platformKey)
	return s
}

// register tells WeChat where the platform is.
func (s *platformStage) register(public string) {
	s.wechat.AddComponent(wechattest.Component{
		ID: platformAppID, Secret: platformSecret, Name: "抓娃娃平台", Token: platformToken, AESKey: platformKey,
		EventURL: public + eventsAt, MessageURL: public + messagesAt,
		LaunchDomain: "127.0.0.1", OAuthHosts: []string{"127.0.0.1", "localhost"}, Published: true,
	})
}

// overview is what the operator is told about the platform.
func (s *platformStage) overview() (o component.Overview) {
	s.t.Helper()
	s.decode(s.must("GET", "component", ""), &o)
	return o
}

// authorizers are all accounts that the operator is told of.
func (s *platformStage) authorizers() map[string]component.Authorizer {
	s.t.Helper()
	var list struct{ Authorizers []component.Authorizer }
	s.decode(s.must("GET", "component/authorizers", ""), &list)
	all := map[string]component.Authorizer{}
	for _, a := range list.Authorizers {
		all[a.AppID] = a
	}
	return all
}

func (s *platformStage) decode(text string, into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
}

// ticket has WeChat push one.
func (s *platformStage) ticket() {
	s.t.Helper()
	if out, err := s.wechat.PushTicket(s.t.Context(), platformAppID); err != nil {
		s.t.Fatalf("the ticket ends in %v after %d attempts", err, len(out.Attempts))
	}
}

// send lets the app write to a follower, with the token of an account.
func (s *platformStage) send(appid, text string) error {
	body := fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":%q}}`, s.wechat.OpenID("xiaomei", appid), text)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post("http://"+s.api+"/wechat/"+appid+wechattest.CustomSendPath, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var said struct{ Errcode *int }
	if json.Unmarshal(answer, &said) != nil || res.StatusCode != http.StatusOK || said.Errcode == nil || *said.Errcode != 0 {
		return fmt.Errorf("%d %s", res.StatusCode, answer)
	}
	return nil
}

// link has the operator invite somebody.
func (s *platformStage) link(order string) (address string) {
	s.t.Helper()
	var made struct{ URL string }
	s.decode(s.must("POST", "component/links", order), &made)
	token := made.URL[strings.LastIndex(made.URL, "=")+1:]
	if !strings.HasPrefix(made.URL, s.env["WXGATE_PUBLIC_URL"]+"/.wxgate/component/authorize?") || len(token) < 20 {
		s.t.Fatalf("the link is %s", made.URL)
	}
	s.conceal(token)
	return made.URL
}

// onPC are the headers of a page visit by a browser other than WeChat's.
var onPC = []string{"User-Agent", wechattest.UAPlainChrome, "Accept", "text/html,application/xhtml+xml"}

var buttonLink = regexp.MustCompile(`class="button" href="([^"]+)"`)

// launch opens an invitation and returns the link to WeChat's page.
func (v *visitor) launch(address string) (wechat string) {
	v.t.Helper()
	a, err := v.do(http.MethodGet, address, onPC...)
	found := buttonLink.FindStringSubmatch(a.body)
	if err != nil || a.status != http.StatusOK || found == nil {
		v.t.Fatalf("the invitation: %v, %d %s", err, a.status, a.body)
	}
	return html.UnescapeString(found[1])
}

// grants plays the administrator on WeChat's page, where the platform's page leads. then is who hears of it, as the
// simulator calls it; the answer is where the browser is sent back to.
func (v *visitor) grants(launch, appid string, then wechattest.GrantOrder) (back string) {
	v.t.Helper()
	form := url.Values{"grant": {"agree"}, "appid": {appid}, "then": {string(then)}}
	r, err := http.NewRequest(http.MethodPost, launch, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", wechattest.UAPlainChrome)
	r.Header.Set("Referer", v.public+"/")
	res, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if back = res.Header.Get("Location"); err != nil || res.StatusCode != http.StatusFound || back == "" {
		v.t.Fatalf("WeChat's page: %v, %d %s", err, res.StatusCode, body)
	}
	return back
}

// conceal notes what no log may show.
func (s *platformStage) conceal(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		// WeChat's secrets have a word before their random part, which escaping would change.
		secret = secret[strings.LastIndex(secret, "@")+1:]
		if secret != "" {
			s.secrets[secret] = true
		}
	}
}

// concealWeChats notes all that WeChat has told the platform and that is good still.
func (s *platformStage) concealWeChats() {
	state := s.wechat.ComponentState(platformAppID)
	s.conceal(state.AccessToken)
	for _, t := range state.Tickets {
		s.conceal(t.Value)
	}
	for _, a := range state.Authorizations {
		s.conceal(a.RefreshToken, a.AccessToken)
	}
	for _, e := range s.wechat.Journal() {
		for _, name := range []string{"access_token", "component_access_token", "code", "auth_code", "pre_auth_code"} {
			s.conceal(e.Query.Get(name))
		}
	}
}

// discreet complains of secrets in what was said.
func (s *platformStage) discreet(what, said string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.secrets {
		if at := strings.Index(said, secret); at >= 0 {
			s.t.Errorf("%s shows a secret: %s", what, said[max(0, at-200):min(len(said), at+len(secret)+20)])
		}
	}
}

// authorizerHook is the app's side of the hook. It keeps what it is told of accounts.
type authorizerHook struct {
	mu     sync.Mutex
	took   map[string][]authorizerEvent
	faults []string
	bodies strings.Builder
}

type authorizerEvent struct{ ID, Type, AppID string }

func (h *authorizerHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e authorizerEvent
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was killed while it spoke
	}
	err = json.Unmarshal(body, &e)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies.Write(body)
	if err != nil || e.ID == "" || e.Type == "" || r.Header.Get("X-Wxgate-Assertion") == "" {
		h.faults = append(h.faults, fmt.Sprintf("an event that is none: %s", body))
	}
	if h.took == nil {
		h.took = map[string][]authorizerEvent{}
	}
	list := h.took[e.AppID]
	switch known := slices.Index(list, e); {
	case known < 0:
		h.took[e.AppID] = append(list, e)
	case known < len(list)-1:
		// At least once is more than once, but never an old one after a newer one.
		h.faults = append(h.faults, fmt.Sprintf("%s of %s came again after later ones", e.Type, e.AppID))
	}
}

// about are the types of the events about an account, in the order in which they came.
func (h *authorizerHook) about(appid string) (types []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.took[appid] {
		types = append(types, strings.TrimPrefix(e.Type, "authorizer."))
	}
	return types
}

// check reports what was wrong with any of the posts.
func (h *authorizerHook) check(s *platformStage) {
	s.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fault := range h.faults {
		s.t.Error(fault)
	}
	s.discreet("the hook", h.bodies.String())
}

// newCustomer is an account that has nothing to do with the platform yet.
func (s *platformStage) newCustomer(n int) (appid string) {
	appid = fmt.Sprintf("wx%016x", 0xe2c0_0000+n)
	kind := cmp.Or(map[int]wechattest.AppKind{0: wechattest.MiniProgram}[n%4], wechattest.ServiceAccount)
	s.wechat.AddApp(wechattest.App{ID: appid, Secret: "unknown here", Kind: kind, Name: fmt.Sprintf("%d号店", n), Bound: true})
	return appid
}
