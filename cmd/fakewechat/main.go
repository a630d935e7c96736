// Command fakewechat serves the simulators of WeChat and Yunxin on one address,
// for end-to-end tests of any client and for people to click through.
//
//	go run ./cmd/fakewechat -listen 127.0.0.1:8090
//
// It prints the apps that it knows and the variables that point wxgate at it.
// Under /sim/ a page shows who visits, the clock, the switches and all requests
// seen. Everything is in memory: a restart forgets codes, tokens and accounts,
// but a player keeps the same openid.
//
// Without -app there is one app of each kind, with callbacks to 127.0.0.1 and
// localhost, all bound to one open-platform account. An app is written
//
//	kind:appid:secret[:callbackhost[,callbackhost]]
//
// where kind is mp (service account), web, mobile or mini, the appid is wx and 16
// hex digits, and callback hosts have no port. They are the app's JS-SDK domains
// too.
//
// A third-party platform is written
//
//	appid:secret:token:aeskey:eventurl[,messageurl]
//
// with $APPID$ where the appid of an account goes. The hosts of the two addresses
// are where its administrators and the people who log in return. -platform adds a
// sample one for a wxgate under a base URL, and two accounts of a customer that may
// authorize it; with http://localhost:8080 they log in at wx….localhost:8080.
// Platforms get tickets every few seconds until they accept one, then every ten
// minutes, and at once when they ask or somebody presses the button at
// /sim/component/.
//
// A mobile app or mini program gets its codes without a browser:
//
//	curl -d appid=wx… -d player=xiaomei http://127.0.0.1:8090/sim/code
//
// Anybody who reaches it can be anybody: it belongs on loopback or in a test
// network.
//
// Exit codes: 0 stopped by SIGINT or SIGTERM, 1 could not serve, 2 wrong flags.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2

	// drain is how long calls in flight may take once the program is told to
	// stop; those that a fault holds back would take for ever.
	drain = 3 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the flags say.
type options struct {
	listen     string
	public     string
	apps       apps
	components components
	customers  apps   // of the sample platform
	mapped     string // a host for one of them, as wxgate takes it
	choose     bool
	anyBrowser bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("fakewechat", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8090", "`address` to listen on")
	flags.StringVar(&o.public, "public", "", "base `URL` by which browsers reach it (default http:// and the address)")
	flags.Var(&o.apps, "app", "`kind:appid:secret[:callbackhost[,callbackhost]]`, once for each app (default one of each kind)")
	flags.Var(&o.components, "component", "`appid:secret:token:aeskey:eventurl[,messageurl]`, once for each third-party platform")
	flags.Var(samplePlatform{&o}, "platform", "base `URL` of a wxgate that is a third-party platform, e.g. http://localhost:8080")
	flags.BoolVar(&o.choose, "choose", true, "let each new browser choose a player first")
	flags.BoolVar(&o.anyBrowser, "any-browser", false, "serve the login to browsers other than WeChat's too")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.public != "" {
		u, err := url.Parse(o.public)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return o, fmt.Errorf("-public %q is not a base URL such as http://wechat.test:8090", o.public)
		}
	}
	if len(o.apps) == 0 {
		o.apps = sampleApps()
	}
	return o, nil
}

func sampleApps() apps {
	hosts := []string{"127.0.0.1", "localhost"}
	return apps{
		{ID: "wx0fa4e0000000c1a3", Secret: "fakewechat0secret0of0the0account", Name: "开心抓娃娃", CallbackHosts: hosts, JSDomains: hosts, Bound: true},
		{ID: "wx0fa4e0000000c1a4", Secret: "fakewechat0secret0of0the0website", Kind: wechattest.Website, Name: "开心抓娃娃网页版", CallbackHosts: hosts, Bound: true},
		{ID: "wx0fa4e0000000c1a5", Secret: "fakewechat0secret0of0the0phone0a", Kind: wechattest.Mobile, Name: "开心抓娃娃 App", Bound: true},
		{ID: "wx0fa4e0000000c1a6", Secret: "fakewechat0secret0of0the0mini0pr", Kind: wechattest.MiniProgram, Name: "开心抓娃娃小程序", Bound: true},
	}
}

// apps is the repeatable flag -app.
type apps []wechattest.App

func (a *apps) String() string { return "" }

func (a *apps) Set(text string) error {
	parts := strings.SplitN(text, ":", 4)
	if len(parts) < 3 {
		return errors.New("write kind:appid:secret[:callbackhost[,callbackhost]]")
	}
	app := wechattest.App{Kind: wechattest.AppKind(parts[0]), ID: parts[1], Secret: parts[2], Bound: true}
	if len(parts) == 4 {
		app.CallbackHosts = strings.Split(parts[3], ",")
		app.JSDomains = app.CallbackHosts
	}
	if err := app.Check(); err != nil {
		return err
	}
	*a = append(*a, app)
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "fakewechat:", err)
		return exitUsage
	}
	if err := serve(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "fakewechat:", err)
		return exitFailure
	}
	return exitOK
}

func serve(ctx context.Context, o options, stdout io.Writer) error {
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	public := strings.TrimSuffix(o.public, "/")
	if public == "" {
		public = "http://" + reachable(l.Addr().(*net.TCPAddr))
	}
	wechat := wechattest.New(wechattest.Config{PublicURL: public, Apps: slices.Concat(o.customers, o.apps), Components: o.components})
	wechat.Set(func(b *wechattest.Behaviour) { b.Choose, b.AnyBrowser = o.choose, o.anyBrowser })
	server := &http.Server{Handler: handler(wechat), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	welcome(stdout, o, public)
	ctx, stop := context.WithCancel(ctx)
	var pushing sync.WaitGroup
	pushing.Go(func() { wechat.RunTickets(ctx) })
	defer pushing.Wait()
	defer stop()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	<-served
	return nil
}

// handler puts both simulators on one address. Their paths do not meet: Yunxin's
// only page is /sim/login.
func handler(wechat http.Handler) http.Handler {
	yunxin := yunxintest.New(yunxintest.Config{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if path == "/sim/login" || strings.HasPrefix(path, "/nimserver/") || strings.HasPrefix(path, "/im/v2/") {
			yunxin.ServeHTTP(w, r)
			return
		}
		wechat.ServeHTTP(w, r)
	})
}

// reachable is the address to connect to for one that listens everywhere.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", a.Port)
	}
	return a.String()
}

func kindOf(a wechattest.App) wechattest.AppKind { return cmp.Or(a.Kind, wechattest.ServiceAccount) }

func welcome(w io.Writer, o options, public string) {
	fmt.Fprintf(w, "fakewechat serves WeChat and Yunxin on %s\n\n", public)
	fmt.Fprintf(w, "  control page  %s/sim/\n", public)
	for _, a := range o.apps {
		fmt.Fprintf(w, "  app           %-6s %s  callback hosts: %s\n", kindOf(a), a.ID, strings.Join(a.CallbackHosts, ", "))
	}
	welcomePlatforms(w, o)
	fmt.Fprint(w, "\nTo point wxgate at it:\n\n")
	set := func(name, value string) { fmt.Fprintf(w, "  export WXGATE_%s='%s'\n", name, value) }
	set("WECHAT_API_URL", public)
	set("WECHAT_OPEN_URL", public)
	set("WECHAT_MP_URL", public)
	printed := map[wechattest.AppKind]bool{}
	for _, a := range o.apps {
		kind := kindOf(a)
		if printed[kind] { // wxgate takes one of each
			continue
		}
		printed[kind] = true
		name := strings.ToUpper(string(kind))
		set(name+"_APP_ID", a.ID)
		set(name+"_APP_SECRET", a.Secret)
	}
	setPlatform(set, o)
	set("YUNXIN_APP_KEY", yunxintest.AppKey)
	set("YUNXIN_APP_SECRET", yunxintest.AppSecret)
	set("YUNXIN_URLS", public)
	fmt.Fprintln(w)
	if !o.anyBrowser {
		fmt.Fprintln(w, "Like WeChat it wants WeChat's User-Agent, but for the QR code; -any-browser lifts that.")
	}
}
