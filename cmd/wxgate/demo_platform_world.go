package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"wxgate/wechat/wechattest"
)

const (
	demoPlatformID     = "wxde300000000000d4"
	demoPlatformSecret = "demo-secret-of-the-simulated-platform"
	demoPlatformToken  = "demoTokenOfThePlatform"
	demoPlatformKey    = "demo0key0of0the0simulated0platform000000000"
	demoCustomerID     = "wxde300000000000e5"
	demoProgramID      = "wxde300000000000f6"
)

// customerApps are the customer's accounts. They belong to an open-platform account
// of the customer's, so their unionids have nothing to do with ours.
func customerApps() []wechattest.App {
	const name = "老王游乐园"
	return []wechattest.App{
		{ID: demoCustomerID, Secret: "known-to-the-customer-alone", Name: name, Principal: name + "有限公司", Bound: true, OpenAccount: name},
		{ID: demoProgramID, Secret: "known-to-the-customer-alone", Kind: wechattest.MiniProgram, Name: name + "小程序", Principal: name + "有限公司", Bound: true, OpenAccount: name},
	}
}

// register makes the platform known to the simulated WeChat as the console would.
// Before the release test only accounts of the list may authorize it.
func (p *demoPlatform) register(published bool) {
	own, _ := url.Parse(p.public)
	mapped, _ := url.Parse("http://" + p.host)
	p.sim.AddComponent(wechattest.Component{
		ID: demoPlatformID, Secret: demoPlatformSecret, Name: "开心抓娃娃平台", Token: demoPlatformToken, AESKey: demoPlatformKey,
		EventURL: p.public + "/.wxgate/component/events", MessageURL: p.public + "/.wxgate/component/messages/$APPID$",
		LaunchDomain: own.Hostname(), OAuthHosts: []string{mapped.Hostname()},
		Published: published, TestAccounts: []string{p.sim.OriginalID(demoCustomerID)},
	})
}

// settings are the gateway's. The app is told of everything at hook.
func (p *demoPlatform) settings(hook string) map[string]string {
	return map[string]string{
		"WXGATE_COMPONENT_APP_ID":     demoPlatformID,
		"WXGATE_COMPONENT_APP_SECRET": demoPlatformSecret,
		"WXGATE_COMPONENT_TOKEN":      demoPlatformToken,
		"WXGATE_COMPONENT_AES_KEY":    demoPlatformKey,
		"WXGATE_COMPONENT_ACCOUNTS":   p.host + "=" + demoCustomerID,
		"WXGATE_WECHAT_MP_URL":        p.wechat,
		"WXGATE_HOOK_URL":             hook + "/events",
		"WXGATE_MESSAGE_FORWARD":      hook + "/messages",
	}
}

// textMessage is a text between a person and an account, in WeChat's XML.
type textMessage struct {
	XMLName                           xml.Name `xml:"xml"`
	ToUserName, FromUserName, MsgType string
	CreateTime                        int64
	Content                           string
}

// app is the listener at which the app is told of events and messages. Those about
// users of our own accounts are for the other story. It is nobody else's; a real
// app checks the signature.
func (p *demoPlatform) app(others http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /messages", answerMessage)
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		var e struct {
			AppID   string
			Account struct{ AppID string }
		}
		if err != nil || json.Unmarshal(body, &e) != nil {
			http.Error(w, "no event", http.StatusBadRequest)
			return
		}
		if e.AppID == "" && e.Account.AppID != demoCustomerID {
			r.Body = io.NopCloser(bytes.NewReader(body))
			others(w, r)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, body)
		p.events = p.events[max(0, len(p.events)-maxDemoEvents):]
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// answerMessage is what the app says to people who write to an account.
func answerMessage(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	var m textMessage
	if err == nil {
		err = xml.Unmarshal(body, &m)
	}
	switch {
	case err != nil:
		http.Error(w, "no message", http.StatusBadRequest)
	case m.MsgType != "text":
		w.WriteHeader(http.StatusNoContent)
	default:
		reply, _ := xml.Marshal(textMessage{
			ToUserName: m.FromUserName, FromUserName: m.ToUserName, MsgType: "text", CreateTime: m.CreateTime,
			Content: "「" + m.Content + "」收到了，娃娃机在等你",
		})
		w.Write(reply)
	}
}

// quietStart is the log of a demo, without what is true of every new platform:
// that no ticket has come yet, where the simulated WeChat pushes the first one a
// moment later, and that the account to which a host is mapped is not authorized,
// until somebody plays its administrator.
type quietStart struct{ slog.Handler }

func (h quietStart) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "last_ticket" && a.Value.String() == "never" {
			return slog.DiscardHandler
		}
	}
	return quietStart{h.Handler.WithAttrs(attrs)}
}

func (h quietStart) WithGroup(name string) slog.Handler {
	return quietStart{h.Handler.WithGroup(name)}
}

func (h quietStart) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "a host is mapped to an account that is not known to have authorized") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
