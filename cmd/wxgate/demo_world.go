package main

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"wxgate/cmd/wxgate/clawmachine"
	"wxgate/wechat/wechattest"
)

// demoWorld is what stands around the gateway in the demo.
type demoWorld struct {
	public   string
	app      *clawmachine.App
	customer *clawmachine.App // at the customer's host
	sim      *wechattest.Server
	people   *demoPeople
	platform *demoPlatform
	switcher clawmachine.Switcher
	servers  []*http.Server
}

func (d *demoWorld) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	d.servers = append(d.servers, s)
	go s.Serve(l)
}

func (d *demoWorld) close() {
	for _, app := range []*clawmachine.App{d.app, d.customer} {
		if app != nil {
			app.Close()
		}
	}
	for _, s := range d.servers {
		s.Close()
	}
}

// wrap plays the visitor's WeChat in front of the gateway: any browser becomes
// the chosen kind of client. The switch itself is answered here too; the
// gateway knows nothing of it.
func (d *demoWorld) wrap(gateway http.Handler) http.Handler {
	own, _ := url.Parse(d.public)
	client := d.asClient(d.sim.WebView(withWayOut(gateway)))
	people, platform := d.people.tab(), d.platform.tab()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == d.platform.host && d.platform.opened() && !strings.HasPrefix(r.URL.Path, demoPage):
			client.ServeHTTP(w, r)
		case r.Host != own.Host && r.Method == http.MethodGet:
			// Whoever typed localhost means this place, until it is the customer's.
			http.Redirect(w, r, d.public+r.URL.EscapedPath(), http.StatusFound)
		case r.URL.Path == demoSwitchPath && r.Method == http.MethodPost:
			d.switchVisitor(w, r)
		case r.URL.Path == demoPage:
			serveSwitchPage(w, d.switcher)
		case strings.HasPrefix(r.URL.Path, peoplePage):
			people.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, platformPage):
			platform.ServeHTTP(w, r)
		default:
			client.ServeHTTP(w, r)
		}
	})
}

// asClient gives every request the User-Agent of the chosen client, or of whom the
// platform's story needs.
func (d *demoWorld) asClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent, set := d.platform.agent(r)
		if !set {
			agent = demoAgent(r)
		}
		r.Header.Set("User-Agent", agent)
		next.ServeHTTP(w, r)
	})
}

func demoAgent(r *http.Request) string {
	if c, err := r.Cookie(demoClientCookie); err == nil {
		for _, known := range demoClients {
			if known.name == c.Value {
				return known.agent
			}
		}
	}
	return demoClients[0].agent
}
