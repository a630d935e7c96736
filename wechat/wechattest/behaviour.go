package wechattest

// Behaviour holds the switches. The zero value of each is the documented or
// usual behaviour, but for AllowLoopbackPort; see DefaultBehaviour. The text
// after each is its label on the control page.
type Behaviour struct {
	// Player visits when the browser has not chosen anybody: an ID; default the
	// first player.
	Player string `sim:"默认玩家 default player"`
	// Choose shows a page with all players to a browser that has not chosen
	// anybody. WeChat has no such page.
	Choose bool `sim:"先选择身份 choose a player first"`
	// AnyBrowser serves the authorize page to User-Agents other than WeChat's, and
	// so the page on which an administrator authorizes a third-party platform
	// without a QR code.
	AnyBrowser bool `sim:"允许任何浏览器 any browser"`
	// AllowLoopbackPort lets a callback on a registered loopback host have a
	// port. WeChat never allows one, but nothing can be tested on port 443.
	AllowLoopbackPort bool `sim:"本机回调可带端口 loopback callback with a port"`
	// LenientOrder accepts the parameters of the authorize link in any order,
	// and unknown ones; how strict WeChat is today is not known.
	LenientOrder bool `sim:"参数顺序宽松 any parameter order"`
	// LenientState accepts a state with other characters than letters and digits.
	LenientState bool `sim:"state 字符宽松 any state characters"`

	// AutoConsent answers the consent page with yes.
	AutoConsent bool `sim:"自动同意 consent without asking"`
	// SilentFollowers spares followers the consent page, as when they come from
	// the account's menu.
	SilentFollowers bool `sim:"关注者静默授权 silent for followers"`

	// DoubleCallback decides whether a login calls the callback twice.
	DoubleCallback DoubleCallback `sim:"重复回调 double callback (never, same-code, other-code)"`
	// BareCallback calls the callback with neither code nor state, as some
	// devices do.
	BareCallback bool `sim:"回调不带 code 和 state"`
	// StateJunk is appended to the state, as a third-party browser did.
	StateJunk string `sim:"state 尾部追加 junk after state"`
	// ReplayCode is given to the callback instead of a new code.
	ReplayCode string `sim:"回调使用旧 code replay this code"`

	// LoseCookies is the number of the next callbacks that arrive without the
	// cookies of the site, which are gone afterwards too; see [Server.WebView].
	LoseCookies int `sim:"接下来几次回调丢失 Cookie"`

	// QRDenyRedirects sends a person who refuses the QR login back with the
	// state alone, as WeChat's English page says. By default nothing happens, as
	// was measured and as the Chinese page says.
	QRDenyRedirects bool `sim:"扫码拒绝后带 state 返回 QR denial redirects"`
	// FastLogin offers the login of the desktop's WeChat on the QR page. It
	// mangles a redirect_uri with a fragment as WeChat's does.
	FastLogin bool `sim:"电脑快捷登录 fast login"`

	// Snapshot shows every snsapi_userinfo login in snapshot mode.
	Snapshot bool `sim:"快照页模式 snapshot mode"`
	// SnapshotUnmarked leaves is_snapshotuser out of so many first exchanges.
	SnapshotUnmarked int `sim:"前几次不带 is_snapshotuser"`
	// SnapshotRealIDs gives snapshot visitors the ids of the real person.
	SnapshotRealIDs bool `sim:"快照页用真实 openid"`
	// SnapshotNoUserInfo answers the profile of a snapshot visitor with 48001.
	SnapshotNoUserInfo bool `sim:"快照页 userinfo 返回 48001"`

	// SessionErrcode puts errcode 0 into good answers of jscode2session, as it
	// used to be.
	SessionErrcode bool `sim:"jscode2session 成功带 errcode 0"`
	// TicketFullLife answers every getticket with 7200 seconds, also inside the
	// life of the ticket, as one developer found.
	TicketFullLife bool `sim:"getticket 总是返回 7200"`

	// ContentType of answers; default "text/plain". The other one seen is
	// "application/json; encoding=utf-8".
	ContentType string `sim:"Content-Type"`
	// Hints ends error texts with the older " hints: [ req_id: X ]".
	Hints bool `sim:"errmsg 用旧式 hints"`
	// ExpiredCode is the errcode for an expired code; default 40029, listed is
	// also 42003.
	ExpiredCode int `sim:"过期 code 的错误码 errcode of an expired code"`
	// ExpiredToken is the errcode for an expired token; default 42001, seen is
	// also 40001.
	ExpiredToken int `sim:"过期 token 的错误码 errcode of an expired token"`
	// BaseVoidsRefresh makes a later snsapi_base login void the refresh token of
	// an earlier snsapi_userinfo one, as one developer found.
	BaseVoidsRefresh bool `sim:"静默登录作废 refresh_token"`

	// AllowedAddress is the only client address that the server-token calls
	// accept, others get 40164, and that calls of a third-party platform accept,
	// others get 61004; empty accepts all.
	AllowedAddress string `sim:"IP 白名单 allowed address"`
	// AllowListOnSNS extends AllowedAddress to the /sns calls. No report says
	// that WeChat does so.
	AllowListOnSNS bool `sim:"白名单也用于 /sns"`
	// UnionIDForAll gives user/info of people who do not follow a unionid too.
	UnionIDForAll bool `sim:"未关注者也有 unionid"`
	// SNSPerMinute is the quota of each /sns call; default 50000.
	SNSPerMinute int `sim:"/sns 每分钟配额 quota"`
	// SessionPerMinute is the quota of jscode2session for each person; default 100.
	SessionPerMinute int `sim:"jscode2session 每人每分钟配额 quota"`
	// TokenPerDay is the quota of /cgi-bin/token for each appid; default 2000.
	TokenPerDay int `sim:"/cgi-bin/token 每日配额 quota"`

	// ErrcodeText writes every errcode as a string, as one of WeChat's examples
	// shows it.
	ErrcodeText bool `sim:"errcode 用字符串 errcode as text"`
	// TicketMinutes lie between two pushes of a third-party platform's ticket;
	// default 10.
	TicketMinutes int `sim:"ticket 推送间隔（分钟） minutes between tickets"`
	// SameTicket pushes the ticket before once more instead of a new one.
	SameTicket bool `sim:"重复推送同一个 ticket the same ticket again"`
	// EventAttempts is how often an event of a third-party platform is sent, its
	// ticket too, while no success comes back; default 3, a guess from alarms.
	EventAttempts int `sim:"平台事件推送次数 attempts of an event"`
	// StopTicketsAfter is the number of tickets in a row without a success that
	// stops the service; default never.
	StopTicketsAfter int `sim:"连续失败几次后停推 ticket stop tickets after"`
	// ComponentTokenPerDay is the quota of api_component_token; default 10000.
	ComponentTokenPerDay int `sim:"api_component_token 每日配额 quota"`
	// MismatchErrcode answers a component_appid that is not the token's; default
	// 61011, maybe it is 40013.
	MismatchErrcode int `sim:"component_appid 不符的错误码 mismatch errcode"`
	// PreAuthSeconds is the life of a pre_auth_code: 1800 by WeChat's text, the
	// default, 600 by its example.
	PreAuthSeconds int `sim:"pre_auth_code 有效秒数 life"`
	// AuthCodeSeconds is the life of an authorization code: 3600 as was seen, the
	// default, 600 by WeChat's example.
	AuthCodeSeconds int `sim:"授权码有效秒数 life of auth_code"`
	// MobileLaunchAnywhere spares the authorization page for WeChat's own browser
	// the check where the visitor comes from; whether WeChat checks is not known.
	MobileLaunchAnywhere bool `sim:"手机授权页不查来源 no Referer check on mobile"`
	// ReleaseSeconds is how long the release test waits for what a platform does by
	// calls of its own; default 10.
	ReleaseSeconds int `sim:"全网发布检测等待秒数 patience of the release test"`
	// GrantOrder says how a third-party platform hears of an authorization.
	GrantOrder GrantOrder `sim:"授权通知 (redirect-first, push-only, redirect-only)"`
	// GrantKeepsRefresh leaves the refresh token as it is when an account that
	// is authorized already grants again; by default that makes another one.
	GrantKeepsRefresh bool `sim:"重新授权不换 refresh_token"`
	// RotateRefresh gives another refresh token with every access token of an
	// authorized account; the old one is good for five minutes more.
	RotateRefresh bool `sim:"刷新时更换 refresh_token rotate"`
	// RefreshLingers gives a refresh token that another grant replaced five
	// minutes more.
	RefreshLingers bool `sim:"被替换的 refresh_token 再活 5 分钟"`
	// CheckFunctions answers calls outside the permission sets that were granted
	// with 61007.
	CheckFunctions bool `sim:"检查权限集 check granted functions"`
}

// GrantOrder says how a third-party platform hears of an authorization that an
// administrator granted on WeChat's page.
type GrantOrder string

const (
	GrantBoth          GrantOrder = ""               // the push, then the browser's return
	GrantRedirectFirst GrantOrder = "redirect-first" // the browser's return, then the push
	GrantPushOnly      GrantOrder = "push-only"
	GrantRedirectOnly  GrantOrder = "redirect-only"
)

// DoubleCallback says when a login calls the callback twice.
type DoubleCallback string

const (
	// DoubleAsWeChat: on Android, if connect_redirect=1 is missing; two codes.
	DoubleAsWeChat  DoubleCallback = ""
	DoubleNever     DoubleCallback = "never"
	DoubleSameCode  DoubleCallback = "same-code"  // always, one code
	DoubleOtherCode DoubleCallback = "other-code" // always, two codes
)

// DefaultBehaviour is what a Server starts with: as WeChat, except that callbacks
// on a loopback host may have a port.
func DefaultBehaviour() Behaviour { return Behaviour{AllowLoopbackPort: true} }

// Set changes the behaviour, for calls that begin afterwards.
func (s *Server) Set(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
}

// Behaviour returns a copy of the switches.
func (s *Server) Behaviour() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}
