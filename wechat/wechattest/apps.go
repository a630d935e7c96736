package wechattest

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// AppKind is what an appid was registered as.
type AppKind string

const (
	ServiceAccount AppKind = "mp"     // 服务号: login inside WeChat
	Website        AppKind = "web"    // open-platform website app
	Mobile         AppKind = "mobile" // open-platform mobile app
	MiniProgram    AppKind = "mini"   // 小程序
)

// App is one registered appid.
type App struct {
	ID     string // "wx" and 16 hex digits
	Secret string
	Kind   AppKind // default ServiceAccount
	Name   string  // shown on the consent page; default the ID
	// CallbackHosts are the at most two web-authorization domains: bare hosts,
	// no scheme, no port.
	CallbackHosts []string
	// JSDomains are the at most five JS-SDK domains (JS接口安全域名): hosts, or
	// hosts with a path below which pages lie; no scheme, no port.
	JSDomains []string
	// Bound accounts belong to an open-platform account: their answers carry the
	// unionid.
	Bound bool
	// OpenAccount names that open-platform account, for instance by its owner; no
	// name is one more. Unionids of two of them have nothing to do with each other.
	OpenAccount string
	// UserName is the original id, "gh_" and 12 hex digits; default one that
	// follows from the ID.
	UserName string
	// Principal is the owner's registered name.
	Principal string
	// Frozen secrets are answered with 40243.
	Frozen bool
	// Push is where messages and events go; the zero value is nowhere.
	Push PushSettings
}

var (
	appidForm      = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
	originalIDForm = regexp.MustCompile(`^gh_[0-9a-f]{12}$`)
)

// Check reports what AddApp would panic with.
func (a App) Check() error {
	if !appidForm.MatchString(a.ID) {
		return fmt.Errorf("appid %q is not wx and 16 hex digits", a.ID)
	}
	if a.Secret == "" {
		return errors.New("an app needs a secret")
	}
	switch a.Kind {
	case "", ServiceAccount, Website, Mobile, MiniProgram:
	default:
		return fmt.Errorf("%q is no kind of app: mp, web, mobile or mini", a.Kind)
	}
	if a.UserName != "" && !originalIDForm.MatchString(a.UserName) {
		return fmt.Errorf("original id %q is not gh_ and 12 hex digits", a.UserName)
	}
	if len(a.CallbackHosts) > 2 {
		return errors.New("WeChat allows two callback hosts for an account")
	}
	if len(a.JSDomains) > 5 {
		return errors.New("WeChat allows five JS-SDK domains for an account")
	}
	for _, h := range a.CallbackHosts {
		if err := checkHost("callback host", h); err != nil {
			return err
		}
	}
	for _, d := range a.JSDomains {
		h, _, _ := strings.Cut(d, "/")
		if err := checkHost("JS-SDK domain", h); err != nil {
			return err
		}
	}
	if a.Push != (PushSettings{}) {
		return a.Push.Check()
	}
	return nil
}

func checkHost(what, h string) error {
	if h == "" || strings.ContainsAny(h, ":/?#@ ") || h != strings.ToLower(h) {
		return fmt.Errorf("%s %q is not a bare lower-case host", what, h)
	}
	if ip, err := netip.ParseAddr(h); err == nil && !ip.IsLoopback() {
		return fmt.Errorf("%s %q is an address, WeChat wants a domain", what, h)
	}
	return nil
}

// AddApp registers an app, or replaces the one of the same ID. It panics on one
// that Check refuses.
func (s *Server) AddApp(a App) {
	if err := a.Check(); err != nil {
		panic("wechattest: " + err.Error())
	}
	if a.Kind == "" {
		a.Kind = ServiceAccount
	}
	if a.Name == "" {
		a.Name = a.ID
	}
	if a.UserName == "" {
		a.UserName = originalID(a.ID)
	}
	a.CallbackHosts, a.JSDomains = slices.Clone(a.CallbackHosts), slices.Clone(a.JSDomains)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.apps[a.ID]; !known {
		s.appOrder = append(s.appOrder, a.ID)
	}
	s.apps[a.ID] = a
}

// allows tells whether u may be this app's callback: its host is exactly one of
// the registered ones, www or not, and without a port.
func (a App) allows(u *url.URL, loopbackPort bool) bool {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(u.Host, ":") && !(loopbackPort && loopback(host)) {
		return false
	}
	return slices.Contains(a.CallbackHosts, host)
}

// loopback tells whether a host can only be this machine, as all of localhost is
// (RFC 6761 section 6.3).
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}
