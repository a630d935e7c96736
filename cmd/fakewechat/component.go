package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"wxgate/wechat/wechattest"
)

// components is the repeatable flag -component.
type components []wechattest.Component

func (c *components) String() string { return "" }

func (c *components) Set(text string) error {
	parts := strings.SplitN(text, ":", 5)
	if len(parts) < 5 {
		return errors.New("write appid:secret:token:aeskey:eventurl[,messageurl]")
	}
	events, messages, _ := strings.Cut(parts[4], ",")
	component := wechattest.Component{
		ID: parts[0], Secret: parts[1], Token: parts[2], AESKey: parts[3], EventURL: events, MessageURL: messages, Published: true,
	}
	for _, link := range []string{events, messages} {
		// $APPID$ may be a part of the host too.
		if u, err := url.Parse(strings.ReplaceAll(link, "$APPID$.", "")); err == nil && u.Hostname() != "" && !slices.Contains(component.OAuthHosts, u.Hostname()) {
			component.OAuthHosts = append(component.OAuthHosts, u.Hostname())
		}
	}
	if len(component.OAuthHosts) > 0 {
		component.LaunchDomain = component.OAuthHosts[0]
	}
	if err := component.Check(); err != nil {
		return err
	}
	*c = append(*c, component)
	return nil
}

// samplePlatform is the flag -platform: a third-party platform for a wxgate that
// is reached under a base URL, and a company that may authorize it.
type samplePlatform struct{ into *options }

func (samplePlatform) String() string { return "" }

func (p samplePlatform) Set(base string) error {
	base = strings.TrimSuffix(base, "/")
	var one components
	if err := one.Set("wx0fa4e0000000c1a7:fakewechat0secret0of0the0platform:fakewechatPlatform:" +
		"fakewechat0EncodingAESKey0of0the0platform00:" +
		base + "/.wxgate/component/events," + base + "/.wxgate/component/messages/$APPID$"); err != nil {
		return err
	}
	u, _ := url.Parse(base) // Set has read it
	c := one[0]
	c.Name = "开心抓娃娃平台"
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		host = "localhost" // an address has no subdomains
		c.OAuthHosts = append(c.OAuthHosts, host)
	}
	if u.Port() != "" {
		host += ":" + u.Port()
	}
	p.into.components = append(p.into.components, c)
	p.into.customers = sampleCustomers()
	account := p.into.customers[0].ID
	p.into.mapped = account + "." + host + "=" + account
	return nil
}

// sampleCustomers are accounts of another company. They belong to an open-platform
// account of its own, so their unionids have nothing to do with those of our apps.
func sampleCustomers() apps {
	const name = "老王游乐园"
	one := wechattest.App{
		ID: "wx0fa4e0000000c1e5", Secret: "known0to0the0customer0alone", Kind: wechattest.ServiceAccount,
		Name: name, Principal: name + "有限公司", Bound: true, OpenAccount: name,
	}
	two := one
	two.ID, two.Kind, two.Name = "wx0fa4e0000000c1f6", wechattest.MiniProgram, name+"小程序"
	return apps{one, two}
}

func welcomePlatforms(w io.Writer, o options) {
	for _, c := range o.components {
		fmt.Fprintf(w, "  platform      %s  events to %s\n", c.ID, c.EventURL)
	}
	var customers []string
	for _, a := range o.customers {
		customers = append(customers, fmt.Sprintf("%s (%s)", a.ID, a.Kind))
	}
	if len(customers) > 0 {
		fmt.Fprintf(w, "  customers     %s\n", strings.Join(customers, ", "))
	}
}

// setPlatform prints the variables of the first: wxgate is one platform.
func setPlatform(set func(name, value string), o options) {
	if len(o.components) == 0 {
		return
	}
	first := o.components[0]
	set("COMPONENT_APP_ID", first.ID)
	set("COMPONENT_APP_SECRET", first.Secret)
	set("COMPONENT_TOKEN", first.Token)
	set("COMPONENT_AES_KEY", first.AESKey)
	if o.mapped != "" {
		set("COMPONENT_ACCOUNTS", o.mapped)
	}
}
