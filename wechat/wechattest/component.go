package wechattest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Component is a third-party platform (第三方平台) as its console knows it. Its
// pushes are in safe mode and in XML, which cannot be chosen.
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/operation/thirdparty/prepare.html
type Component struct {
	ID     string // "wx" and 16 hex digits
	Secret string
	Name   string // shown to administrators; default the ID
	// Token and AESKey are of the pushes to both URLs; PreviousAESKey only serves
	// [ComponentPush.PreviousKey].
	Token, AESKey, PreviousAESKey string
	// EventURL takes tickets and authorizations, MessageURL the messages of
	// authorized accounts: in it, $APPID$ stands for the account's. Either may be
	// empty, then nothing goes there.
	EventURL, MessageURL string
	// LaunchDomain is the bare host from which administrators come to authorize
	// and to which they return.
	LaunchDomain string
	// OAuthHosts are at most three hosts to which people who log in return, as
	// are the accounts' subdomains of them, "wx….host".
	OAuthHosts []string
	// Published platforms may be authorized by every account, others by at most
	// ten TestAccounts, given by their original ids.
	Published    bool
	TestAccounts []string
}

// Check reports what AddComponent would panic with.
func (c Component) Check() error {
	if !appidForm.MatchString(c.ID) {
		return fmt.Errorf("component appid %q is not wx and 16 hex digits", c.ID)
	}
	if c.Secret == "" {
		return errors.New("a third-party platform needs a secret")
	}
	if c.PreviousAESKey != "" && !aesKeyForm.MatchString(c.PreviousAESKey) {
		return errors.New("an EncodingAESKey has 43 letters and digits")
	}
	for _, link := range []string{c.EventURL, c.MessageURL} {
		// The form is checked as if there were one, so that Token and AESKey are.
		settings := PushSettings{URL: "http://127.0.0.1", Token: c.Token, AESKey: c.AESKey, Mode: PushSafe}
		if link != "" {
			settings.URL = link
		}
		if err := settings.Check(); err != nil {
			return err
		}
	}
	if c.LaunchDomain != "" {
		if err := checkHost("launch domain", c.LaunchDomain); err != nil {
			return err
		}
	}
	if len(c.OAuthHosts) > 3 {
		return errors.New("WeChat allows three web hosts for a third-party platform")
	}
	for _, h := range c.OAuthHosts {
		if err := checkHost("web host", h); err != nil {
			return err
		}
	}
	if len(c.TestAccounts) > 10 {
		return errors.New("WeChat allows ten test accounts for a third-party platform")
	}
	for _, id := range c.TestAccounts {
		if !originalIDForm.MatchString(id) {
			return fmt.Errorf("test account %q is no original id: gh_ and 12 hex digits", id)
		}
	}
	return nil
}

// component is a third-party platform and all that it has.
type component struct {
	Component
	tickets   []VerifyTicket // the newest last
	pushedAt  time.Time      // of a ticket
	accepted  bool           // a ticket, ever
	asked     bool           // for one, by the platform
	stopped   bool
	failed    int // tickets in a row that were not accepted
	alarms    int
	current   *serverToken // component_access_token
	mints     int
	clears    []time.Time // of the quota, in this month
	preAuth   map[string]*preAuthCode
	codes     map[string]*authCode
	accounts  []*authorization // in the order in which they came
	drafts    []Draft
	templates []Template
	lastID    int // of drafts and templates
}

// AddComponent registers a third-party platform, or replaces the settings of the
// one of the same ID, whose tickets and authorizations stay. It panics on one that
// Check refuses.
func (s *Server) AddComponent(c Component) {
	if err := c.Check(); err != nil {
		panic("wechattest: " + err.Error())
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	c.OAuthHosts, c.TestAccounts = slices.Clone(c.OAuthHosts), slices.Clone(c.TestAccounts)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.components[c.ID]; known != nil {
		known.Component = c
		return
	}
	s.components[c.ID] = &component{Component: c, preAuth: map[string]*preAuthCode{}, codes: map[string]*authCode{}}
	s.componentOrder = append(s.componentOrder, c.ID)
}

// Components returns all third-party platforms, in the order in which they were
// added.
func (s *Server) Components() []Component {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Component{}
	for _, id := range s.componentOrder {
		all = append(all, s.components[id].Component)
	}
	return all
}

func noComponent(id string) error { return fmt.Errorf("no third-party platform %s", id) }

// admits tells whether an account may authorize the platform.
func (c *component) admits(app App) bool {
	return c.Published || slices.Contains(c.TestAccounts, app.UserName)
}

// serves tells whether people who log in to an account may return to u.
func (c *component) serves(u *url.URL, appid string, loopbackPort bool) bool {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(u.Host, ":") && !(loopbackPort && loopback(host)) {
		return false
	}
	return slices.ContainsFunc(c.OAuthHosts, func(h string) bool { return host == h || host == appid+"."+h })
}

// ComponentState is what a third-party platform has at this moment, for tests and
// pages.
type ComponentState struct {
	Component Component
	// Tickets, oldest first; those long expired are forgotten.
	Tickets []VerifyTicket
	// Stopped is the ticket service after too many failures. Failed counts
	// tickets in a row without a success, Alarms all attempts without one.
	Stopped        bool
	Failed, Alarms int
	// AccessToken is the current component_access_token, "" for none yet; Mints
	// counts all that were given out.
	AccessToken    string
	Mints          int
	PreAuthCodes   int // that nobody used yet and that have not expired
	Authorizations []Authorization
	Drafts         []Draft
	Templates      []Template
	Registrations  []Registration
}

// ComponentState returns a copy, the zero value for an unknown platform.
func (s *Server) ComponentState(componentID string) ComponentState {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[componentID]
	if c == nil {
		return ComponentState{}
	}
	state := ComponentState{
		Component: c.Component, Tickets: slices.Clone(c.tickets),
		Stopped: c.stopped, Failed: c.failed, Alarms: c.alarms, Mints: c.mints,
		Drafts: slices.Clone(c.drafts), Templates: slices.Clone(c.templates),
	}
	if c.current != nil {
		state.AccessToken = c.current.value
	}
	for _, p := range c.preAuth {
		if !p.used && s.now().Before(p.expires) {
			state.PreAuthCodes++
		}
	}
	for _, a := range c.accounts {
		state.Authorizations = append(state.Authorizations, a.state())
	}
	for _, t := range s.registrations {
		if t.component == componentID {
			state.Registrations = append(state.Registrations, t.Registration)
		}
	}
	return state
}
