package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"wxgate/identity"
	"wxgate/proxy"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/yunxin"
)

const (
	// headerTimeout bounds how long a client may take to send its request's
	// header. There is no limit for whole requests and answers: uploads and
	// streams take as long as they take.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// serveOptions are for those who run the gateway inside another program.
type serveOptions struct {
	// browsers and admin, where given, are listened on instead of the
	// configured addresses.
	browsers, admin net.Listener
	// wrap, where given, goes around the gateway.
	wrap func(http.Handler) http.Handler
	// started, where given, is called once both listeners are open, stopping
	// once ctx has ended and before anything else happens.
	started, stopping func()
}

// serve builds the gateway from top to bottom and runs it until ctx ends, then
// drains it.
func serve(ctx context.Context, cfg *config, log *slog.Logger, opts *serveOptions) (err error) {
	if opts == nil {
		opts = &serveOptions{}
	}
	collectLess()
	// The address comes first: it is the likeliest thing to be wrong, and a
	// process that cannot listen should not touch the store.
	browsers, err := listen(opts.browsers, "WXGATE_LISTEN", cfg.Listen.Value)
	if err != nil {
		return err
	}
	defer browsers.Close()
	admin, err := listen(opts.admin, "WXGATE_ADMIN_LISTEN", cfg.AdminListen.Value)
	if err != nil {
		return err
	}
	defer admin.Close()
	app, err := listenForApp(cfg.AppListen.Value)
	if err != nil {
		return err
	}
	if app != nil {
		defer app.Close()
	}

	metrics := proxy.NewMetrics(buildVersion(), runtime.Version())
	opened, err := openStore(cfg.StoreURL.Value)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	gateway, err := build(cfg, log, metrics, metered{opened, metrics})
	if err != nil {
		return err
	}

	var handler http.Handler = gateway
	if opts.wrap != nil {
		handler = opts.wrap(handler)
	}
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	front := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: quiet,
		DisableGeneralOptionsHandler: true, // OPTIONS * is judged like everything else
	}
	back := &http.Server{Handler: gateway.Admin(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: quiet}

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	go collectWhenQuiet(background)
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		gateway.Run(background)
	}()
	defer func() {
		stop()
		<-ran
	}()
	failed := make(chan error, 3)
	go func() { failed <- front.Serve(browsers) }()
	go func() { failed <- back.Serve(admin) }()
	defer back.Close()
	defer front.Close()
	var side *http.Server
	if app != nil {
		side = &http.Server{Handler: gateway.App(cfg.AppListen.Value.local()), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: quiet}
		go func() { failed <- side.Serve(app) }()
		defer side.Close()
		log.Info("the app may call", "app", app.Addr().String())
	}

	runs := []any{"version", buildVersion(), "public_url", cfg.PublicURL.Value.String(), "listen", browsers.Addr().String(), "admin", admin.Addr().String()}
	if platform := cfg.ComponentAppID.Value; platform != "" {
		runs = append(runs, "platform", platform, "mapped_hosts", len(cfg.ComponentAccounts.Value))
	}
	log.Info("wxgate runs", runs...)
	if opts.started != nil {
		opts.started()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if opts.stopping != nil {
		opts.stopping()
	}
	return drain(cfg, log, gateway, front, side)
}

// drain is the way out: not ready at once, so that no new traffic is sent
// here; serving on until that is known everywhere; then no new connections,
// WebSockets told to go, and the rest given time to end.
func drain(cfg *config, log *slog.Logger, gateway *proxy.Server, front, side *http.Server) error {
	gateway.Drain()
	log.Info("told to stop; not ready from now on", "serving_on_for", cfg.ShutdownDelay.Value.String())
	time.Sleep(cfg.ShutdownDelay.Value)
	ctx, cancel := context.WithTimeout(context.Background(), cfg.ShutdownGrace.Value)
	defer cancel()
	if side != nil {
		// The app's calls end as its visitors' requests do; half a call to WeChat is one that the app repeats.
		var calls sync.WaitGroup
		calls.Go(func() { side.Shutdown(ctx) })
		defer calls.Wait()
	}
	front.RegisterOnShutdown(gateway.CloseStreams)
	if err := front.Shutdown(ctx); err != nil {
		log.Warn("some requests did not end in time and are cut off", "grace", cfg.ShutdownGrace.Value.String())
		return nil
	}
	log.Info("drained")
	return nil
}

// build makes the gateway's parts and puts them together.
func build(cfg *config, log *slog.Logger, metrics *proxy.Metrics, st metered) (*proxy.Server, error) {
	public := cfg.PublicURL.Value
	sessions, err := session.NewManager(session.Config{
		Store: st, Secrets: cfg.Secrets.Value, TTL: cfg.SessionTTL.Value, Idle: cfg.SessionIdle.Value,
		Secure: public.Scheme == "https", Domain: cfg.CookieDomain.Value,
	})
	if err != nil {
		return nil, err
	}
	signer, err := identity.NewSigner(identity.SignerConfig{
		Secrets: cfg.Secrets.Value, PEM: cfg.JWTKey.Value,
		Issuer: cfg.JWTIssuer.Value, Audience: cfg.JWTAudience.Value, TTL: cfg.JWTTTL.Value,
	})
	if err != nil {
		return nil, err
	}
	push, err := buildPush(cfg)
	if err != nil {
		return nil, err
	}
	client := wechat.New(wechat.Config{
		APIURL: cfg.WeChatAPIURL.Value, OpenURL: cfg.WeChatOpenURL.Value, MPURL: cfg.WeChatMPURL.Value, Observe: metrics.WeChatCall,
	})
	platform, platformPush, err := buildPlatform(cfg, log, client, sessions, st)
	if err != nil {
		return nil, err
	}
	return proxy.New(proxy.Config{
		PublicURL: public, AllowedHosts: cfg.AllowedHosts.Value, CookieDomain: cfg.CookieDomain.Value,
		Upstreams: cfg.Upstream.Value, UpstreamTimeout: cfg.UpstreamTimeout.Value,
		Rules: cfg.Routes.Value, VerifyFiles: cfg.VerifyFiles.Value,
		TrustedProxies: cfg.TrustedProxies.Value, LoginRate: cfg.LoginRate.Value, AllowedOrigins: cfg.AllowedOrigins.Value,
		WeChat:            client,
		MP:                wechat.App{ID: cfg.MPAppID.Value, Secret: cfg.MPAppSecret.Value},
		Web:               wechat.App{ID: cfg.WebAppID.Value, Secret: cfg.WebAppSecret.Value},
		Mobile:            wechat.App{ID: cfg.MobileAppID.Value, Secret: cfg.MobileAppSecret.Value},
		Mini:              wechat.App{ID: cfg.MiniAppID.Value, Secret: cfg.MiniAppSecret.Value},
		QR:                cfg.QR.Value,
		SnapshotVisitors:  cfg.Snapshot.Value == "visitor",
		ProfileMaxAge:     cfg.ProfileMaxAge.Value,
		ForwardAuth:       cfg.ForwardAuth.Value,
		Answers:           cfg.Answers.Value,
		KeepFragment:      cfg.KeepFragment.Value,
		Inject:            cfg.Inject.Value,
		ClearCookies:      cfg.ClearCookies.Value,
		Platform:          cfg.PlatformID.Value,
		ConsentLogin:      cfg.Login.Value == "consent",
		Sessions:          sessions,
		Users:             identity.NewDirectory(identity.DirectoryConfig{Store: st, Queue: st, Announce: cfg.HookURL.Value != ""}),
		Queue:             st,
		HookURL:           cfg.HookURL.Value,
		AdminToken:        cfg.AdminToken.Value,
		Lister:            st,
		Push:              push,
		MessageForward:    cfg.MessageForward.Value,
		Component:         platform,
		ComponentPush:     platformPush,
		ComponentAccounts: cfg.ComponentAccounts.byHost(),
		Signer:            signer,
		PlainHeaders:      cfg.PlainHeaders.Value,
		Yunxin:            buildYunxin(cfg, metrics),
		DefaultName:       cfg.DefaultName.Value,
		Ping:              st.Ping,
		Logger:            log,
		Metrics:           metrics,
	})
}

// buildPush returns nil where no token is given: then WeChat's pushes are
// somebody else's business.
func buildPush(cfg *config) (*wechat.Push, error) {
	if cfg.MPToken.Value == "" {
		return nil, nil
	}
	c := wechat.PushConfig{Token: cfg.MPToken.Value, AppID: cfg.MPAppID.Value}
	if key := cfg.MPAESKey.Value; key != "" {
		c.AESKeys = []string{key}
	}
	return wechat.NewPush(c)
}

// buildPlatform returns nil twice where no third-party platform is configured. Its
// secrets rest in the store, sealed as those of the sessions are.
func buildPlatform(cfg *config, log *slog.Logger, client *wechat.Client, sessions *session.Manager, st metered) (*component.Platform, *wechat.Push, error) {
	if cfg.ComponentAppID.Value == "" {
		return nil, nil, nil
	}
	keys := []string{cfg.ComponentAESKey.Value}
	if previous := cfg.ComponentAESKeyPrevious.Value; previous != "" {
		keys = append(keys, previous)
	}
	push, err := wechat.NewPush(wechat.PushConfig{Token: cfg.ComponentToken.Value, AppID: cfg.ComponentAppID.Value, AESKeys: keys})
	if err != nil {
		return nil, nil, err
	}
	return component.New(component.Config{
		App:    wechat.App{ID: cfg.ComponentAppID.Value, Secret: cfg.ComponentAppSecret.Value},
		Client: client, Store: st, Queue: st, Sealer: sessions, Announce: cfg.HookURL.Value != "", Logger: log,
	}), push, nil
}

// buildYunxin returns nil where no AppKey is given: then there are no IM
// accounts.
func buildYunxin(cfg *config, metrics *proxy.Metrics) *proxy.Yunxin {
	if cfg.YunxinAppKey.Value == "" {
		return nil
	}
	return &proxy.Yunxin{
		Client: yunxin.New(yunxin.Config{
			AppKey: cfg.YunxinAppKey.Value, AppSecret: cfg.YunxinAppSecret.Value, API: cfg.YunxinAPI.Value,
			URLs: cfg.YunxinURLs.Value, Observe: metrics.YunxinCall,
		}),
		Secrets:  cfg.Secrets.Value,
		Required: cfg.YunxinRequired.Value,
		Dynamic:  cfg.YunxinToken.Value == "dynamic",
		TokenTTL: cfg.YunxinTokenTTL.Value,
	}
}
