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
	// AnyBrowser serves the authorize page to User-Agents other than WeChat's.
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
	// accept, others get 40164; empty accepts all.
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
}

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
