package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"text/template"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/yunxin"
)

// Config is what a Server is built from. Fields without "optional" are
// required.
type Config struct {
	// PublicURL is the origin that browsers use; AllowedHosts are further
	// hosts that are served (optional).
	PublicURL    *url.URL
	AllowedHosts []string
	// CookieDomain tells that cookies are shared within it (optional).
	CookieDomain string

	Upstreams []Upstream
	// UpstreamTimeout is the time until the upstream's response headers.
	UpstreamTimeout time.Duration
	Rules           Rules
	// VerifyFiles are bodies by file name, served at the root (optional).
	VerifyFiles map[string]string
	// TrustedProxies are believed about the client's address (optional).
	TrustedProxies []netip.Prefix
	LoginRate      Rate
	// ForwardAuth serves the front proxies among TrustedProxies.
	ForwardAuth bool
	// Answers are calls that the gateway answers in the app's place.
	Answers Answers
	// KeepFragment starts logins from a page instead of a redirect.
	KeepFragment bool
	// Inject adds our script to the app's pages.
	Inject bool
	// ClearCookies of the app end with the session of a user.
	ClearCookies []AppCookie
	// AllowedOrigins are other origins whose WebSockets are accepted and
	// whose pages may call with credentials (optional).
	AllowedOrigins []string

	WeChat *wechat.Client
	// MP is the service account for logins inside WeChat.
	MP wechat.App
	// Web is the website app for QR logins, Mobile and Mini are the accounts
	// of native clients (all optional).
	Web, Mobile, Mini wechat.App
	// QR is how a PC logs in: "embed", "redirect" or "phone".
	QR string
	// SnapshotVisitors lets visitors of snapshot pages read.
	SnapshotVisitors bool
	// ProfileMaxAge is when a profile is old.
	ProfileMaxAge time.Duration
	// Platform names the open-platform account, the name space of unionids.
	Platform string
	// ConsentLogin asks for name and avatar at the first login already.
	ConsentLogin bool

	Sessions *session.Manager
	Users    *identity.Directory
	Signer   *identity.Signer
	// PlainHeaders sends the unsigned identity headers beside the assertion.
	PlainHeaders bool

	// Yunxin makes IM accounts for users; nil turns it off.
	Yunxin *Yunxin
	// DefaultName is the template of the name of a user without a profile.
	DefaultName *template.Template

	// Queue keeps, in the store, what is still to be done for users.
	Queue Queue
	// HookURL is where events about users are posted; it needs a directory
	// that announces them (optional).
	HookURL string
	// AdminToken opens the operator's API (optional), which needs Lister to
	// export all users.
	AdminToken string
	Lister     identity.Lister
	// Push receives what WeChat posts about the service account (optional),
	// and MessageForward is where the app gets its messages (optional).
	Push           *wechat.Push
	MessageForward string

	// Component is the third-party platform that accounts authorize (optional).
	// It comes with ComponentPush, which opens what WeChat posts to it.
	Component     *component.Platform
	ComponentPush *wechat.Push
	// ComponentAccounts are hosts on which visitors log in on behalf of an
	// authorized account: appids by host. These hosts are served too.
	ComponentAccounts map[string]string

	// Ping asks the store whether it is there.
	Ping func(context.Context) error

	Logger  *slog.Logger
	Metrics *Metrics
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Upstream is an app behind the gateway. Prefix is "/" or a path prefix; the
// longest one wins. URL is http, https, or unix with the socket's path.
type Upstream struct {
	Prefix string
	URL    *url.URL
}

// Yunxin says how IM accounts are made and handed out.
type Yunxin struct {
	Client *yunxin.Client
	// Secrets derive the static tokens, newest first.
	Secrets [][]byte
	// Required refuses a login without an account.
	Required bool
	// Dynamic hands out short-lived tokens instead of static ones.
	Dynamic  bool
	TokenTTL time.Duration
}
