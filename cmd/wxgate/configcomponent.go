package main

import (
	"encoding/base64"
	"strings"
)

// accounts say on behalf of which account visitors of a host log in.
type accounts struct{ value[[]hostAccount] }

type hostAccount struct{ host, appID string }

func (a *accounts) parse(text string) {
	for _, item := range items(text) {
		name, id, found := strings.Cut(item, "=")
		host, wrong := parseHost(strings.TrimSpace(name))
		id = strings.TrimSpace(id)
		switch {
		case !found:
			a.fault("%s names no account; write HOST=APPID, such as shop.example.com=wx0123456789abcdef", quote(item))
		case wrong != "":
			a.fault("%s %s", quote(item), wrong)
		case !plainID.MatchString(id):
			a.fault("%s has no AppID behind the host; write HOST=APPID, such as shop.example.com=wx0123456789abcdef", quote(item))
		default:
			if !usualWxAppID.MatchString(id) {
				a.warn("%s %s", quote(id), unlikeAppID(id))
			}
			a.Value = append(a.Value, hostAccount{host, id})
		}
	}
}

func (a *accounts) shown() string {
	var list []string
	for _, x := range a.Value {
		list = append(list, x.host+"="+x.appID)
	}
	return strings.Join(list, ",")
}

// byHost is what the gateway takes.
func (a *accounts) byHost() map[string]string {
	m := map[string]string{}
	for _, x := range a.Value {
		m[x.host] = x.appID
	}
	return m
}

// checkComponent wants all that a third-party platform is made of, or nothing: without the secret there is no token,
// and without Token and key no ticket to get one with.
func (c *config) checkComponent() {
	parts := []*variable{&c.ComponentAppID.variable, &c.ComponentAppSecret.variable, &c.ComponentToken.variable, &c.ComponentAESKey.variable}
	sound, because := true, ""
	for _, v := range append(parts, &c.ComponentAESKeyPrevious.variable) {
		sound = sound && v.ok()
		if because == "" && v.given() && v.ok() {
			because = v.name
		}
	}
	for _, v := range parts {
		if because != "" && v.ok() && !v.given() {
			v.fault("required, because %s is given", because)
		}
	}
	if sound && because == "" && c.ComponentAccounts.given() && c.ComponentAccounts.ok() {
		c.ComponentAccounts.fault("need a third-party platform to act for them; give WXGATE_COMPONENT_APP_ID")
	}
	if because != "" && c.AdminToken.ok() && !c.AdminToken.given() {
		c.ComponentAppID.warn("without WXGATE_ADMIN_TOKEN no account can be invited to authorize the platform: links are made at /admin/component/links")
	}
	c.checkComponentAppID()
	c.checkComponentKeys()
	c.checkComponentAccounts()
}

// checkComponentAppID catches a platform that was given the AppID of an account: WeChat's console shows all of them in
// one list.
func (c *config) checkComponentAppID() {
	for _, other := range []*appID{&c.MPAppID, &c.WebAppID, &c.MobileAppID, &c.MiniAppID} {
		if c.ComponentAppID.given() && c.ComponentAppID.ok() && other.ok() && other.Value == c.ComponentAppID.Value {
			c.ComponentAppID.fault("is the AppID of %s too; give the third-party platform's own", other.name)
		}
	}
}

// checkComponentKeys compares the keys themselves: the last of the 43 characters has two bits to spare, so that one key
// can be written in four ways. A previous key that is the current one would hide that the real one is missing.
func (c *config) checkComponentKeys() {
	current, previous := &c.ComponentAESKey, &c.ComponentAESKeyPrevious
	switch {
	case !current.given() || !current.ok() || !previous.given() || !previous.ok():
	case current.Value == previous.Value:
		previous.fault("repeats WXGATE_COMPONENT_AES_KEY; give the key before it, or none")
	case current.bytes() == previous.bytes():
		previous.fault("is the same key as WXGATE_COMPONENT_AES_KEY in other letters; give the key before it, or none")
	}
}

// bytes are the key itself, without the bits that do not count.
func (k *aesKey) bytes() string {
	key, _ := base64.StdEncoding.DecodeString(k.Value + "=") // parse saw that it can be read
	return string(key)
}

func (c *config) checkComponentAccounts() {
	list := &c.ComponentAccounts
	if !list.ok() {
		return
	}
	seen := map[string]bool{}
	for i, x := range list.Value {
		host, wrong := c.servedHost(x.host)
		switch {
		case wrong != "":
			list.fault("%s %s", quote(x.host), wrong)
		case seen[host]:
			list.fault("%s is given twice; keep one", quote(host))
		case x.appID == c.ComponentAppID.Value:
			list.fault("%s is mapped to the platform itself; give the AppID of an account that authorized it", quote(host))
		}
		seen[host] = true
		list.Value[i].host = host
		if label, _, _ := strings.Cut(host, "."); usualWxAppID.MatchString(label) && label != x.appID {
			list.warn("%s begins with the AppID of another account; WeChat allows logins there for that one only", quote(host))
		}
	}
	if c.PublicURL.Value != nil && seen[c.PublicURL.Value.Host] && c.MPAppID.given() {
		list.warn("maps the public host, so nobody logs in there by the service account of WXGATE_MP_APP_ID")
	}
	c.checkSharedSessions()
}

// checkSharedSessions finds a session of one account on the host of another.
func (c *config) checkSharedSessions() {
	domain, list := c.CookieDomain.Value, &c.ComponentAccounts
	if domain == "" || !list.ok() || c.PublicURL.Value == nil {
		return
	}
	sharing := map[string]bool{}
	mapped := list.byHost()
	for _, host := range append([]string{c.PublicURL.Value.Host}, c.AllowedHosts.Value...) {
		if name, _, _ := splitHost(host); mapped[host] == "" && below(name, domain) {
			sharing[""] = true // the service account of our own
		}
	}
	for host, appID := range mapped {
		if name, _, _ := splitHost(host); below(name, domain) {
			sharing[appID] = true
		}
	}
	if len(sharing) > 1 {
		list.warn("WXGATE_COOKIE_DOMAIN shares sessions between hosts of different accounts: on one of them the app gets the openid at another")
	}
}
