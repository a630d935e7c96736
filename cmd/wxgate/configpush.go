package main

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"wxgate/wechat"
)

// pushToken is the Token of a message push: what the operator invented in WeChat's console. It is all that signs a plain
// push, so a guessable one lets anybody speak as WeChat.
type pushToken struct{ hidden }

func (p *pushToken) parse(text string) {
	if _, err := wechat.NewPush(wechat.PushConfig{Token: text, AppID: "any"}); err != nil {
		p.fault("is no Token of a message push; it has 3 to 32 letters and digits, as in the console")
		return
	}
	p.Value = text
	if utf8.RuneCountInString(text) < 8 {
		p.warn("has fewer than 8 characters, so it can be guessed; choose a longer one in the console")
	}
}

// aesKey is an EncodingAESKey.
type aesKey struct{ hidden }

func (k *aesKey) parse(text string) {
	if _, err := wechat.NewPush(wechat.PushConfig{Token: "anyToken", AppID: "any", AESKeys: []string{text}}); err != nil {
		k.fault("is no EncodingAESKey; it has 43 letters and digits, as in the console")
		return
	}
	k.Value = text
}

// adminToken opens the operator's API, so that it must not be guessed.
type adminToken struct{ hidden }

const minAdminToken = 16

func (a *adminToken) parse(text string) {
	a.hidden.parse(text)
	if a.ok() && len(text) < minAdminToken {
		a.warn("has fewer than %d characters, so it can be guessed; 'wxgate keygen' makes a good one", minAdminToken)
	}
}

// hookURL is where events go. They tell who a person is, so they do not go over plain http to another machine.
type hookURL struct{ value[string] }

func (h *hookURL) parse(text string) {
	u, wrong := parseHTTP(text)
	if wrong == "" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		wrong = "would send personal data over plain http; only a loopback host may"
	}
	if wrong != "" {
		h.fault("%s; write one such as http://127.0.0.1:3000/wxgate/events", wrong)
		return
	}
	h.Value = u.String()
}

func (h *hookURL) shown() string { return h.Value }

// forwardURL is a page of the app.
type forwardURL struct{ value[string] }

func (f *forwardURL) parse(text string) {
	u, wrong := parseHTTP(text)
	if wrong != "" {
		f.fault("%s; write one such as http://127.0.0.1:3000/wechat/messages", wrong)
		return
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		f.warn("is plain http: whoever sits on its way reads what people write")
	}
	f.Value = u.String()
}

func (f *forwardURL) shown() string { return f.Value }

// appListen is the app's listener: a loopback address or a unix socket, and anything else only by force.
type appListen struct{ value[listenAt] }

// listenAt is what net.Listen takes.
type listenAt struct{ network, address string }

// local says that only this machine's loopback reaches it.
func (l listenAt) local() bool {
	host, _, err := net.SplitHostPort(l.address)
	return l.network == "tcp" && err == nil && isLoopback(host)
}

var portAlone = regexp.MustCompile(`^:?[0-9]+$`)

func (a *appListen) parse(text string) {
	text = strings.TrimSpace(text)
	if path, ok := strings.CutPrefix(text, "unix://"); ok {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			a.fault("is no absolute path of a socket; write one such as unix:///run/wxgate/app.sock")
			return
		}
		a.Value = listenAt{"unix", path}
		return
	}
	if strings.HasPrefix(text, "unix:") {
		a.fault("%s is not the URL of a socket; write one such as unix:///run/wxgate/app.sock", quote(text))
		return
	}
	address, forced := strings.CutPrefix(text, "force:")
	host, port, err := net.SplitHostPort(address)
	switch {
	case portAlone.MatchString(address):
		a.fault("%s would listen on all interfaces; write 127.0.0.1:%s", quote(text), strings.TrimPrefix(address, ":"))
	case err != nil || port == "":
		a.fault("%s is no address; write one such as 127.0.0.1:9091 or unix:///run/wxgate/app.sock", quote(text))
	case !forced && !isLoopback(host):
		a.fault("%s can be reached by other machines, and whoever reaches it acts as the app; write 127.0.0.1:%s, or force:%s where only the app can", quote(text), port, text)
	default:
		if forced && !isLoopback(host) {
			a.warn("whoever reaches %s acts as the app; only the app may", quote(address))
		}
		a.Value = listenAt{"tcp", address}
	}
}
