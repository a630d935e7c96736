package main

// Core is what any gateway needs to know: where it listens, whom it serves, where requests go, what it remembers.
type Core struct {
	Listen listenAddr `envconfig:"WXGATE_LISTEN" default:":8080" desc:"address for browsers: the gateway and '/.wxgate/*'"`

	// AdminListen answers without authentication, which is why the default is loopback: probes and scrapers of
	// other machines need a deliberate ':9090'.
	AdminListen listenAddr `envconfig:"WXGATE_ADMIN_LISTEN" default:"127.0.0.1:9090" desc:"address for operators: '/healthz', '/readyz', '/metrics', '/jwks.json', '/admin/*'"`

	// AppListen calls WeChat and Yunxin for whoever can reach it, which is why it does not leave the machine.
	AppListen appListen `envconfig:"WXGATE_APP_LISTEN" implied:"off" desc:"address for the app only: WeChat and Yunxin calls without secrets in the app; '127.0.0.1:9091' or 'unix:///path.sock' (any other address must be written as 'force:0.0.0.0:9091')"`

	// ShutdownDelay exists because load balancers learn of an unready instance later than the instance itself.
	ShutdownDelay duration `envconfig:"WXGATE_SHUTDOWN_DELAY" default:"5s" desc:"after SIGTERM, how long to keep serving while '/readyz' already answers 503"`
	ShutdownGrace duration `envconfig:"WXGATE_SHUTDOWN_GRACE" default:"20s" desc:"after that, how long running requests may take to end"`

	PublicURL publicURL `envconfig:"WXGATE_PUBLIC_URL" needed:"the origin that browsers use, e.g. https://play.example.com" desc:"origin that browsers use, e.g. 'https://play.example.com'; https, no port, no path (plain http or a port only on a loopback host, or with 'WXGATE_INSECURE_HTTP=true')"`

	// InsecureHTTP gives up the Secure attribute and the __Host- prefix of the cookies: everyone on the way can
	// then take over a session.
	InsecureHTTP boolean `envconfig:"WXGATE_INSECURE_HTTP" default:"false" desc:"allow a plain-http public URL that is not loopback; sessions can then be stolen on the way"`

	Upstream        upstreams `envconfig:"WXGATE_UPSTREAM" implied:"required unless forward-auth only" desc:"the app: 'http://127.0.0.1:3000', 'https://…' or 'unix:///path.sock'; further ones by path prefix, comma-separated: 'http://127.0.0.1:3000,/api/=http://127.0.0.1:8081' (longest wins, path forwarded unchanged)"`
	UpstreamTimeout duration  `envconfig:"WXGATE_UPSTREAM_TIMEOUT" default:"60s" desc:"until the headers of the answer (then 504); streams and upgraded connections have no limit but that of their session"`

	// ForwardAuth answers with the caller's assertion, which is why it needs to be told who may ask.
	ForwardAuth boolean `envconfig:"WXGATE_FORWARD_AUTH" default:"false" desc:"serve '/.wxgate/auth' to front proxies within 'WXGATE_TRUSTED_PROXIES', which it needs; 404 for everybody else"`

	// Secrets are the root of all else: session cookies, login state, the derived signing key and the static
	// Yunxin tokens. Rotation puts a new one in front and drops the last one a session's life later.
	Secrets  secretKeys `envconfig:"WXGATE_SECRETS" needed:"make a key with 'wxgate keygen'" desc:"comma-separated base64url keys of 32 bytes ('wxgate keygen'), newest first: the first seals and signs, all open and verify"`
	StoreURL storeURL   `envconfig:"WXGATE_STORE_URL" default:"bolt:wxgate.db" desc:"'bolt:PATH' (embedded, durable, one replica) or 'redis://', 'rediss://', 'redis+sentinel://h1:p,h2:p/DB?master=NAME', 'redis+cluster://h1:p,h2:p'"`

	Routes routes `envconfig:"WXGATE_ROUTES" desc:"';' or newline separated 'LEVEL [METHOD] PATH'; LEVEL is 'public', 'user' (default for everything), 'profile', or 'deny' (404 for everybody); 'user+token' and 'profile+token' also send the Yunxin token; a PATH ending in '/' is a subtree, else exact; longest match wins, a rule with a METHOD beats one without"`

	Answers answers `envconfig:"WXGATE_ANSWERS" desc:"newline separated 'METHOD PATH = TEMPLATE': calls of the login API of an unmodified app that the gateway answers itself for a logged-in user, with JSON from a Go template over '.User .Name .Avatar .Account .Token .AppKey .Openid .Unionid' (escaped for use inside JSON quotes that the template writes); wins over the rules for its path"`

	AllowedHosts   hosts   `envconfig:"WXGATE_ALLOWED_HOSTS" desc:"further hosts served beside that of the public URL, comma-separated; any other Host gets 421"`
	AllowedOrigins origins `envconfig:"WXGATE_ALLOWED_ORIGINS" desc:"other origins whose pages may call with credentials, comma-separated; a WebSocket with an Origin that is neither served nor listed gets 403"`
	CookieDomain   domain  `envconfig:"WXGATE_COOKIE_DOMAIN" desc:"share the session between sub-domains; turns the '__Host-' prefix of the cookies into '__Secure-'"`

	KeepFragment boolean `envconfig:"WXGATE_KEEP_FRAGMENT" default:"false" desc:"start logins from a tiny page instead of a 302, so that '#/…' of a hash-routed app survives the login"`
	Inject       boolean `envconfig:"WXGATE_INJECT" default:"false" desc:"add '<script src=\"/.wxgate/wxgate.js\" defer>' to forwarded HTML pages, so that an unmodified page recovers from an ended session by itself"`

	// ClearCookies are how an unmodified app tells visitors apart: left behind, they make the next one the former.
	ClearCookies appCookies `envconfig:"WXGATE_CLEAR_COOKIES" desc:"cookies of the app ('NAME' or 'NAME=PATH', comma-separated) to expire at logout and when another user logs in on the same browser"`

	SessionTTL  duration `envconfig:"WXGATE_SESSION_TTL" default:"720h" desc:"absolute life of a session"`
	SessionIdle duration `envconfig:"WXGATE_SESSION_IDLE" default:"168h" desc:"life of a session that is not used; at most the absolute one"`

	// TrustedProxies decides whose word counts for the client's address; too wide a list lets clients invent one.
	TrustedProxies networks  `envconfig:"WXGATE_TRUSTED_PROXIES" desc:"comma-separated CIDRs or addresses whose 'X-Forwarded-For' is believed"`
	LoginRate      loginRate `envconfig:"WXGATE_LOGIN_RATE" default:"60/m" desc:"one bucket per client address for login starts, callbacks and exchanges ('N/s', 'N/m', 'N/h'; burst N); beyond it 429 with 'Retry-After'"`

	LogLevel  logLevel `envconfig:"WXGATE_LOG_LEVEL" default:"info" desc:"'debug', 'info', 'warn' or 'error'"`
	LogFormat choice   `envconfig:"WXGATE_LOG_FORMAT" default:"json" oneof:"json text" desc:"'json', or 'text' for people"`

	VerifyFiles verifyFiles `envconfig:"WXGATE_VERIFY_FILES" desc:"WeChat domain verification: comma-separated 'NAME.txt=BODY', served at the root of every host, before any rule"`

	AdminToken adminToken `envconfig:"WXGATE_ADMIN_TOKEN" implied:"off" desc:"bearer token of '/admin/*'; without it '/admin/*' is off (404)"`
	HookURL    hookURL    `envconfig:"WXGATE_HOOK_URL" implied:"off" desc:"where events about users and authorizations are posted, signed: a URL of the app, https, or http on a loopback host"`
}
