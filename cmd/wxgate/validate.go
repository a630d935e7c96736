package main

import (
	"net"
	"slices"
	"strings"
)

// check judges what one variable alone cannot show, and fills in the defaults that follow from others. Rules between
// variables speak only when their parts are sound, so that one mistake is one line.
func (c *config) check() {
	c.checkListeners()
	c.checkPublicURL()
	c.checkHosts()
	c.checkCookieDomain()
	c.checkUpstream()
	c.checkForwardAuth()
	c.checkSessions()
	c.checkComponent()
	c.checkWeChat()
	c.checkQR()
	c.checkYunxin()
	c.checkIdentity()
}

func (c *config) checkListeners() {
	if !c.Listen.ok() || !c.AdminListen.ok() {
		return
	}
	host, port, _ := net.SplitHostPort(c.Listen.Value)
	adminHost, adminPort, _ := net.SplitHostPort(c.AdminListen.Value)
	if port == adminPort && port != "0" && (host == adminHost || wildcard(host) || wildcard(adminHost)) {
		c.AdminListen.fault("has the port of WXGATE_LISTEN; choose another, such as 127.0.0.1:9090")
	}
	appHost, appPort, err := net.SplitHostPort(c.AppListen.Value.address)
	if err != nil || c.AppListen.Value.network != "tcp" || appPort == "0" {
		return
	}
	for name, other := range map[string][2]string{"WXGATE_LISTEN": {host, port}, "WXGATE_ADMIN_LISTEN": {adminHost, adminPort}} {
		if appPort == other[1] && (appHost == other[0] || wildcard(appHost) || wildcard(other[0])) {
			c.AppListen.fault("has the port of %s; choose another, such as 127.0.0.1:9091", name)
		}
	}
}

// wildcard says whether a listener's host means all interfaces.
func wildcard(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// checkPublicURL keeps plain http to where nobody listens in. WeChat itself returns only to a host without a port, so
// that a port is a mistake everywhere but on a developer's machine.
func (c *config) checkPublicURL() {
	if !c.PublicURL.ok() || !c.PublicURL.given() {
		return
	}
	u := c.PublicURL.Value
	host := u.Hostname()
	switch {
	case isLoopback(host):
	case c.InsecureHTTP.Value:
		if u.Scheme == "http" {
			c.InsecureHTTP.warn("the public URL is plain http: whoever sits on the way to a visitor can steal the session; never use it in production")
		}
	case !c.InsecureHTTP.ok():
		return
	case u.Scheme == "http":
		c.PublicURL.fault("is plain http on a host that is not loopback; write https://%s (WXGATE_INSECURE_HTTP=true allows http on a network that you trust entirely)", joinHost(host, ""))
	case u.Port() != "":
		c.PublicURL.fault("has a port; write %s://%s and let the front listen on the usual one", u.Scheme, joinHost(host, ""))
	}
	dropDefaultPort(u)
	if isIP(host) && !isLoopback(host) {
		c.PublicURL.warn("is an address; WeChat returns visitors only to a domain name")
	}
}

func (c *config) checkHosts() {
	if !c.AllowedHosts.ok() {
		return
	}
	for i, item := range c.AllowedHosts.Value {
		host, wrong := c.servedHost(item)
		if wrong != "" {
			c.AllowedHosts.fault("%s %s", quote(item), wrong)
		}
		c.AllowedHosts.Value[i] = host
	}
}

// servedHost writes a host as browsers of the public URL's scheme do, without the usual port.
func (c *config) servedHost(item string) (name, wrong string) {
	scheme := "https"
	if c.PublicURL.Value != nil {
		scheme = c.PublicURL.Value.Scheme
	}
	host, port, _ := splitHost(item)
	switch {
	case port == map[string]string{"https": "443", "http": "80"}[scheme]:
		return joinHost(host, ""), ""
	case port != "" && !isLoopback(host) && !c.InsecureHTTP.Value:
		return item, "has a port on a host that is not loopback; write " + joinHost(host, "")
	}
	return item, ""
}

// checkCookieDomain applies the browsers' own rule (RFC 6265 section 5.3): the domain is the host or one above it.
// Where the rule is broken a browser drops the cookie without a word, and every login ends where it began.
func (c *config) checkCookieDomain() {
	if !c.CookieDomain.given() || !c.CookieDomain.ok() || c.PublicURL.Value == nil {
		return
	}
	domain := c.CookieDomain.Value
	if host := c.PublicURL.Value.Hostname(); !below(host, domain) {
		c.CookieDomain.fault("%s is not the public host %s nor above it; browsers would drop the cookie", quote(domain), quote(host))
	}
}

// below reports that browsers send the cookies of a domain to a host.
func below(host, domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }

// checkUpstream wants an app unless another proxy leads to it, and catches the commonest loop: the app's port is our own.
func (c *config) checkUpstream() {
	if !c.Upstream.given() && c.ForwardAuth.ok() && !c.ForwardAuth.Value {
		c.Upstream.fault("required: the app behind wxgate, e.g. http://127.0.0.1:3000")
	}
	if !c.Listen.ok() || !c.Upstream.ok() {
		return
	}
	host, port, _ := net.SplitHostPort(c.Listen.Value)
	for _, u := range c.Upstream.Value {
		at, samePort := u.URL.Hostname(), u.URL.Port() == port
		if samePort && (host == at || (wildcard(host) || isLoopback(host)) && isLoopback(at)) {
			c.Upstream.fault("%s is wxgate itself, which listens there (WXGATE_LISTEN); write the app's own port", quote(u.URL.String()))
		}
	}
}

func (c *config) checkForwardAuth() {
	if c.ForwardAuth.Value && c.TrustedProxies.ok() && len(c.TrustedProxies.Value) == 0 {
		c.TrustedProxies.fault("required, because WXGATE_FORWARD_AUTH is true; write the proxies that may ask, such as 10.0.0.0/8 or 192.0.2.7")
	}
}

// checkSessions shortens an idle life that is only the default: whoever shortens the absolute life should not have to
// know of the other.
func (c *config) checkSessions() {
	idle, ttl := &c.SessionIdle, &c.SessionTTL
	switch {
	case !idle.ok() || !ttl.ok() || idle.Value <= ttl.Value:
	case idle.text == idle.tag.Get("default"):
		idle.text, idle.Value = ttl.text, ttl.Value
	default:
		idle.fault("%s is longer than the absolute life of %s; shorten it or raise WXGATE_SESSION_TTL", idle.text, ttl.text)
	}
}

// checkWeChat allows a gateway without accounts: one that serves only public pages, say while WeChat still verifies the
// account.
func (c *config) checkWeChat() {
	together(&c.MPAppID.variable, &c.MPAppSecret.variable)
	together(&c.WebAppID.variable, &c.WebAppSecret.variable)
	together(&c.MobileAppID.variable, &c.MobileAppSecret.variable)
	together(&c.MiniAppID.variable, &c.MiniAppSecret.variable)
	for _, push := range []*variable{&c.MPToken.variable, &c.MPAESKey.variable} {
		if push.given() && push.ok() && c.MPAppID.ok() && c.MPAppSecret.ok() && !c.MPAppID.given() {
			push.fault("is for a service account; give WXGATE_MP_APP_ID")
		}
	}
	if c.MPAESKey.given() && c.MPToken.ok() && !c.MPToken.given() {
		c.MPToken.fault("required, because WXGATE_MP_AES_KEY is given")
	}
	if c.MPToken.given() && c.MPToken.ok() && !c.MPAESKey.given() {
		c.MPToken.warn("without WXGATE_MP_AES_KEY pushes are plain text, whose signature does not cover what they say; choose 安全模式 in the console and give the key")
	}
	if c.MessageForward.given() && c.MPToken.ok() && !c.MPToken.given() && c.ComponentToken.ok() && !c.ComponentToken.given() {
		c.MessageForward.fault("has no messages to forward; give WXGATE_MP_TOKEN or, of a third-party platform, WXGATE_COMPONENT_TOKEN")
	}
	switch {
	case c.MPAppID.given() || c.WebAppID.given() || c.MobileAppID.given() || c.MiniAppID.given() || c.ComponentAccounts.given():
	case c.ComponentAppID.given():
		c.ComponentAccounts.warn("no account of WeChat is given, so nobody can log in; map a host to an account when one has authorized the platform")
	default:
		c.MPAppID.warn("no account of WeChat is given, so nobody can log in; give a service account by this and WXGATE_MP_APP_SECRET")
	}
}

// together wants both of an account's id and its secret, or neither.
func together(id, secret *variable) {
	switch {
	case !id.ok() || !secret.ok():
	case id.given() && !secret.given():
		secret.fault("required, because %s is given", id.name)
	case secret.given() && !id.given():
		id.fault("required, because %s is given", secret.name)
	}
}

// checkQR wants the account that logs in by the chosen QR code. Without a choice a website app goes before our own code,
// because its visitors confirm on a page of WeChat that they know.
func (c *config) checkQR() {
	qr := &c.QR
	if !qr.given() {
		qr.Value = "phone"
		if c.WebAppID.given() {
			qr.Value = "embed"
		}
		return
	}
	account, id, secret := "website app", &c.WebAppID, &c.WebAppSecret
	if qr.Value == "phone" {
		account, id, secret = "service account", &c.MPAppID, &c.MPAppSecret
	}
	if qr.Value == "phone" && c.ComponentAccounts.given() {
		return // on the hosts of these accounts
	}
	if qr.ok() && id.ok() && secret.ok() && !id.given() {
		qr.fault("%s needs a %s; give %s and %s", qr.Value, account, id.name, secret.name)
	}
}

func (c *config) checkYunxin() {
	together(&c.YunxinAppKey.variable, &c.YunxinAppSecret.variable)
	const missing = "without an account at Yunxin; give WXGATE_YUNXIN_APP_KEY and WXGATE_YUNXIN_APP_SECRET"
	off := c.YunxinAppKey.ok() && c.YunxinAppSecret.ok() && !c.YunxinAppKey.given()
	if off && c.YunxinRequired.Value {
		c.YunxinRequired.fault("is true " + missing)
	}
	if off && c.Answers.ok() && c.Answers.Value.NeedsYunxin() {
		c.Answers.fault("uses .Account, .Token or .AppKey " + missing)
	}
	if !c.YunxinURLs.given() && c.YunxinAPI.ok() {
		c.YunxinURLs.Value = slices.Clone(yunxinBases[c.YunxinAPI.Value])
	}
}

// checkIdentity names us and the app, where nobody did, as JWT libraries expect it: by URL and by host.
func (c *config) checkIdentity() {
	if c.PublicURL.Value != nil && !c.JWTIssuer.given() {
		c.JWTIssuer.Value = c.PublicURL.Value.String()
	}
	if c.PublicURL.Value != nil && !c.JWTAudience.given() {
		c.JWTAudience.Value = c.PublicURL.Value.Host
	}
}
