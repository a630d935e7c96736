package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"wxgate/cmd/wxgate/clawmachine"
	"wxgate/identity"
	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

const (
	demoAppID      = "wxde300000000000a1"
	demoAppSecret  = "demo-secret-of-the-simulated-account"
	demoWebID      = "wxde300000000000b2"
	demoWebSecret  = "demo-secret-of-the-simulated-website"
	demoMiniID     = "wxde300000000000c3"
	demoMiniSecret = "demo-secret-of-the-simulated-program"
	demoPushToken  = "demoTokenOfTheMessagePush"
	demoPushKey    = "demo0key0of0the0simulated0message0push00000"
)

// demoDouble is the client whose WeChat delivers every callback twice.
const demoDouble = "android-double"

// demoClient is a kind of client that the demo can play, by its User-Agent.
type demoClient struct{ name, label, agent string }

var demoClients = []demoClient{
	{"iphone", "iPhone 微信", wechattest.UAIOS},
	{"android", "Android 微信", wechattest.UAAndroid},
	{demoDouble, "Android，回调两次 double callback", wechattest.UAAndroid},
	{"harmony", "鸿蒙微信", wechattest.UAHarmony},
	{"windows", "Windows 微信", wechattest.UAWindows},
	{"mac", "macOS 微信", wechattest.UAMac},
	{"mini", "小程序 web-view", wechattest.UAMiniProgram},
	{"pc", "电脑浏览器 PC, QR code", wechattest.UAPlainChrome},
	{"phone", "手机浏览器 phone browser", wechattest.UAMobileBrowser},
	{"wecom", "企业微信 WeCom", wechattest.UAWeCom},
}

// demo is everything in one process: the simulated WeChat and Yunxin, a claw
// machine as the app, and the real gateway in front of it.
func demo(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("wxgate demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	address := flags.String("listen", "127.0.0.1:8080", "loopback `address` for the browser")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if host, _, err := net.SplitHostPort(*address); err != nil || !isLoopback(host) {
		fmt.Fprintf(stderr, "wxgate: the demo lets anybody be anybody, so it listens on loopback only: -listen 127.0.0.1:8080, not %q\n", *address)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runDemo(ctx, *address, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "wxgate:", err)
		return exitFailure
	}
	return exitOK
}

func runDemo(ctx context.Context, address string, stdout, stderr io.Writer) error {
	browsers, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w (another port: wxgate demo -listen 127.0.0.1:0)", err)
	}
	defer browsers.Close()
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer admin.Close()
	public := "http://" + browsers.Addr().String()
	host, port, _ := net.SplitHostPort(browsers.Addr().String())

	log := slog.New(quietStart{slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})})
	d := &demoWorld{public: public}
	defer d.close()

	wechatListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	wechatURL := "http://" + wechatListener.Addr().String()
	push := wechattest.PushSettings{URL: public + "/.wxgate/messages", Token: demoPushToken, AESKey: demoPushKey, Mode: wechattest.PushSafe}
	sim := wechattest.New(wechattest.Config{PublicURL: wechatURL, Apps: append(customerApps(), []wechattest.App{
		{ID: demoAppID, Secret: demoAppSecret, Name: "开心抓娃娃", CallbackHosts: []string{host}, Bound: true, JSDomains: []string{host}, Push: push},
		{ID: demoWebID, Secret: demoWebSecret, Kind: wechattest.Website, Name: "开心抓娃娃网页版", CallbackHosts: []string{host}, Bound: true},
		{ID: demoMiniID, Secret: demoMiniSecret, Kind: wechattest.MiniProgram, Name: "开心抓娃娃小程序", Bound: true},
	}...)})
	d.sim = sim
	d.switcher = demoSwitcher(sim)
	im := yunxintest.NewServer(yunxintest.Config{})
	defer im.Close()

	appListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	hook, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	operator := freshKey()
	d.people = newDemoPeople(public, "http://"+admin.Addr().String(), operator, sim)
	d.platform = &demoPlatform{
		public: public, admin: "http://" + admin.Addr().String(), token: operator, wechat: wechatURL, sim: sim,
		host: strings.TrimSuffix("localhost:"+port, ":80"),
	}
	d.platform.register(false)
	d.serve(wechatListener, d.asClient(sim))
	d.serve(hook, d.platform.app(d.people.event))
	dir, err := os.MkdirTemp("", "wxgate-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	settings := map[string]string{
		"WXGATE_PUBLIC_URL":        public,
		"WXGATE_UPSTREAM":          "http://" + appListener.Addr().String(),
		"WXGATE_SECRETS":           freshKey(),
		"WXGATE_STORE_URL":         "bolt:" + filepath.Join(dir, "demo.db"),
		"WXGATE_ROUTES":            "public /assets/; public /bye",
		"WXGATE_MP_APP_ID":         demoAppID,
		"WXGATE_MP_APP_SECRET":     demoAppSecret,
		"WXGATE_MP_TOKEN":          demoPushToken,
		"WXGATE_MP_AES_KEY":        demoPushKey,
		"WXGATE_ADMIN_TOKEN":       operator,
		"WXGATE_WEB_APP_ID":        demoWebID,
		"WXGATE_WEB_APP_SECRET":    demoWebSecret,
		"WXGATE_MINI_APP_ID":       demoMiniID,
		"WXGATE_MINI_APP_SECRET":   demoMiniSecret,
		"WXGATE_WECHAT_API_URL":    wechatURL,
		"WXGATE_WECHAT_OPEN_URL":   wechatURL,
		"WXGATE_YUNXIN_APP_KEY":    yunxintest.AppKey,
		"WXGATE_YUNXIN_APP_SECRET": yunxintest.AppSecret,
		"WXGATE_YUNXIN_URLS":       im.URL,
		"WXGATE_SHUTDOWN_DELAY":    "1ms",
		"WXGATE_SHUTDOWN_GRACE":    "2s",
	}
	maps.Copy(settings, d.platform.settings("http://"+hook.Addr().String()))
	cfg, err := newConfig(settings)
	if err != nil {
		return err
	}
	machine := clawmachine.Config{
		JWKSURL: "http://" + admin.Addr().String() + "/jwks.json",
		Issuer:  cfg.JWTIssuer.Value, Audience: cfg.JWTAudience.Value,
		YunxinLoginURL: im.URL + "/sim/login",
		DefaultName:    func(user string) string { return identity.DefaultName(cfg.DefaultName.Value, user) },
		Logger:         log,
	}
	// The customer's machine is another one, and has no switch: that is a matter of the demo's own host.
	if d.customer, err = clawmachine.New(machine); err != nil {
		return err
	}
	machine.Switcher = d.switcher
	if d.app, err = clawmachine.New(machine); err != nil {
		return err
	}
	d.serve(appListener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app := d.app
		if r.Host == d.platform.host {
			app = d.customer
		}
		app.ServeHTTP(w, r)
	}))

	tickets, stop := context.WithCancel(ctx)
	var pushing sync.WaitGroup
	defer pushing.Wait()
	defer stop()
	return serve(ctx, cfg, log, &serveOptions{
		browsers: browsers, admin: admin, wrap: d.wrap,
		started: func() {
			// The store stays open and has no name any more: not even a
			// killed demo leaves anything behind (where the system allows it;
			// elsewhere it is removed at the end).
			os.RemoveAll(dir)
			pushing.Go(func() { sim.RunTickets(tickets) })
			fmt.Fprintf(stdout, demoText, public, public, public, public, wechatURL, admin.Addr())
		},
	})
}

const demoText = `wxgate demo runs. Open

    %s

in any browser. You are a visitor inside WeChat; nothing here is real but wxgate.

Try: play a round · see what the app behind wxgate was told, verified
     share name and avatar · be somebody else, or the same person on a PC,
     an Android that delivers callbacks twice, a snapshot page: %s/demo/
     see two users become one, first on the phone, then on a PC: %s/demo/people
     be the operator of a third-party platform: %s/demo/platform
Simulated WeChat and its journal: %s/sim/
Metrics: http://%s/metrics

Ctrl-C ends it; nothing is left behind.
`

func demoSwitcher(sim *wechattest.Server) clawmachine.Switcher {
	s := clawmachine.Switcher{Action: demoSwitchPath}
	for _, p := range sim.Players() {
		s.Visitors = append(s.Visitors, clawmachine.Choice{Value: p.ID, Label: identity.CleanName(p.ID + " · " + p.Note)})
	}
	for _, c := range demoClients {
		s.Clients = append(s.Clients, clawmachine.Choice{Value: c.name, Label: c.label})
	}
	return s
}

func freshKey() string {
	var key [32]byte
	rand.Read(key[:])
	return base64.RawURLEncoding.EncodeToString(key[:])
}
