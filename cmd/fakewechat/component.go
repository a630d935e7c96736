package main

import (
	"errors"
	"fmt"
	"io"
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
// is reached under a base URL.
type samplePlatform struct{ into *components }

func (samplePlatform) String() string { return "" }

func (p samplePlatform) Set(base string) error {
	base = strings.TrimSuffix(base, "/")
	if err := p.into.Set("wx0fa4e0000000c1a7:fakewechat0secret0of0the0platform:fakewechatPlatform:" +
		"fakewechat0EncodingAESKey0of0the0platform00:" +
		base + "/.wxgate/component/events," + base + "/.wxgate/component/messages/$APPID$"); err != nil {
		return err
	}
	(*p.into)[len(*p.into)-1].Name = "开心抓娃娃平台"
	return nil
}

func welcomePlatforms(w io.Writer, all components) {
	for _, c := range all {
		fmt.Fprintf(w, "  platform      %s  events to %s\n", c.ID, c.EventURL)
	}
}

// setPlatform prints the variables of the first: wxgate is one platform.
func setPlatform(set func(name, value string), all components) {
	if len(all) == 0 {
		return
	}
	set("COMPONENT_APP_ID", all[0].ID)
	set("COMPONENT_APP_SECRET", all[0].Secret)
	set("COMPONENT_TOKEN", all[0].Token)
	set("COMPONENT_AES_KEY", all[0].AESKey)
}
