// Package wechattest simulates WeChat over HTTP, in the manner of
// net/http/httptest: the pages a browser inside WeChat is sent to, and the
// server interfaces that a login needs. It imports no testing package, so
// programs can serve it too, for people to click through.
//
// It owns the rules that WeChat documents or that were seen in the field, and
// keeps them strictly, because a client that only works with a lenient simulator
// does not work. It knows nothing about any client.
//
// # What is served
//
//	/connect/oauth2/authorize      login inside WeChat: checks, consent page, redirect
//	/connect/qrconnect             login of a website app by QR code, whole page and frame
//	/connect/confirm               what the phone shows after the scan
//	/cgi-bin/componentloginpage    an administrator authorizes a third-party platform: QR code
//	/wxaopen/safe/bindcomponent    the same inside WeChat
//	/sns/oauth2/access_token       code for token
//	/sns/oauth2/refresh_token      longer life for a token
//	/sns/userinfo                  profile
//	/sns/auth                      is this token good?
//	/cgi-bin/token                 classic server token
//	/cgi-bin/stable_token          server token isolated from the classic one
//	/sns/jscode2session            code of a mini program for openid
//	/cgi-bin/user/info             a follower's unionid
//	/cgi-bin/ticket/getticket      jsapi_ticket
//	/cgi-bin/component/…           tokens and authorizations of a third-party platform
//	/wxa/…                         its templates, drafts and registrations
//	/sns/oauth2/component/…, /sns/component/jscode2session
//	                               logins on behalf of an account that authorized it
//	/open/js/jweixin-1.6.0.js      stand-in for the JS-SDK, which checks wx.config
//	/sim/                          control page: who visits, clock, switches, journal
//	/sim/component/                control page of third-party platforms, and their release test
//
// All of it is bound to the root of the host. Messages and events go the other
// way: the simulator posts them to the push URL of an app.
//
// # Rules kept
//
// Authorize link: only for a User-Agent with MicroMessenger and without wxwork;
// parameters in the documented order; response_type=code; a state of 1 to 128
// letters and digits; the appid of a service account; a callback host that is
// exactly one of at most two registered, without a port (but see
// [Behaviour.AllowLoopbackPort]). Every violation is an HTML page that shows the
// code, never a redirect. snsapi_base redirects at once, snsapi_userinfo asks,
// and a refusal redirects nowhere. Without connect_redirect=1 an Android browser
// calls the callback twice, with two codes and one state.
//
// QR login: the appid of a website app and its callback domain, snsapi_login,
// any User-Agent, a state of any length; the documented order, or with
// login_type=jssdk that of WeChat's script. The picture lives five minutes. A
// refusal and an expiry lead nowhere. The picture is a link to the phone's page,
// and buttons below it take the phone's place.
//
// Authorization of a third-party platform: the visitor comes from a page of the
// platform's launch domain and goes back to one, by Referer and redirect_uri; the
// pre_auth_code is known, unused and alive; inside WeChat, only there. auth_type
// and biz_appid say which accounts are offered, the list of test accounts which
// of them may grant before the platform is published. The platform hears of it by
// push and by redirect, in any of the ways of [GrantOrder].
//
// Codes: 32 letters and digits, 300 seconds (600 of a website app), one success,
// bound to appid, person and scope, and to their interface: those of a mini
// program are for jscode2session alone. Of any number of parallel exchanges exactly one wins.
//
// Answers: status 200 whatever happened, text/plain, no errcode on success,
// errmsg with a trailing rid, slashes escaped, nicknames byte for byte as the
// player has them, even if that is not JSON any more. unionid only for bound
// accounts and not with snsapi_base, is_snapshotuser only when it is 1.
//
// Identifiers: openid and unionid have 28 characters and begin with "o"; the
// same player has the same openid at the same appid in every run; access tokens
// have the greatest length documented, 512 characters.
//
// Pushes: signed with the token, in plain, compatible or safe mode; timestamp,
// nonce and the random bytes of the frame are new for each attempt. After five
// seconds, or an answer of another status than 200, the push is repeated, three
// attempts in all. Good answers are an empty body, the word success to the byte,
// or a message to the person, encrypted where the push was, with the nonce of the
// push and the appid at the end. A push URL is verified with an echostr.
//
// Third-party platforms: a ticket is good for twelve hours from its push, several
// at a time. Each mint gives a new component_access_token and leaves the one before
// five minutes, and so it is with the tokens that accounts lend. An authorization
// code is good once and for an hour, and before it was exchanged nobody is told the
// refresh token. Tokens of platforms and of accounts do not stand in for each
// other: 61014, 61015. Logins through a platform return to its hosts with code,
// state and appid, a refusal with the state alone, and their codes and refresh
// tokens are for its interfaces only. Events say who they are for in AppId, the
// messages of accounts in ToUserName, all of them end in the platform's appid, and
// the only good answer to an event is the word success to the byte. What WeChat
// does not document, or documents in two ways, is a switch of [Behaviour].
//
// # For tests
//
// [Server.Set] changes the [Behaviour], [Server.Advance] moves the clock by which
// everything expires, [Server.Inject] queues a [Fault], [Server.IssueCode] makes
// a code without a browser, [Server.Journal] tells what was seen. All may be
// called at any time from any goroutine.
//
// Buttons can be pressed without a script: a POST to the address of the page
// with consent=agree or deny, or for QR codes with qr=scan, confirm, cancel,
// expire or fast, and player=ID for the phone's owner. For the authorization of a
// third-party platform it is grant=agree, cancel or expire with appid=ID, any
// number of functions=N, and then=ORDER, a [GrantOrder].
//
// [Server.PushText] and [Server.PushEvent] push, [Server.Deliver] does so in other
// ways, forged ones too, and [Server.Redeliver] repeats what was sent.
//
// [Server.Grant], [Server.PushAuthorized] and [Server.Deauthorize] play an
// account's administrator, [Server.PushTicket] and [Server.RunTickets] the ticket
// service. [Server.PushComponent] sends any event or message, forged ones too,
// [Server.IssueCodeOnBehalf] makes codes, [Server.ComponentState] tells what there
// is. Pushes are held, lost or never sent by Inject with [EventPushes] and
// [MessagePushes] in place of a path.
//
// [Server.ReleaseTest] does what WeChat does before it publishes a third-party
// platform, and reports each step.
//
// [Server.CheckJSConfig] judges a wx.config, [Server.RegisterDomain] fetches a
// verification file.
//
// A browser decides about its cookies: to lose them between start and callback,
// or to replay a code from elsewhere, a test uses another cookie jar, and one for
// each stay in snapshot mode. [Server.WebView] does the same for people with one
// ordinary browser.
package wechattest
