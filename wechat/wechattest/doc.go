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
//	/sns/oauth2/access_token       code for token
//	/sns/oauth2/refresh_token      longer life for a token
//	/sns/userinfo                  profile
//	/sns/auth                      is this token good?
//	/cgi-bin/token                 classic server token
//	/cgi-bin/stable_token          server token isolated from the classic one
//	/cgi-bin/user/info             a follower's unionid
//	/sim/                          control page: who visits, clock, switches, journal
//
// All of it is bound to the root of the host.
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
// Codes: 32 letters and digits, 300 seconds, one success, bound to appid, person
// and scope. Of any number of parallel exchanges exactly one wins.
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
// # For tests
//
// [Server.Set] changes the [Behaviour], [Server.Advance] moves the clock by which
// everything expires, [Server.Inject] queues a [Fault], [Server.IssueCode] makes
// a code without a browser, [Server.Journal] tells what was seen. All may be
// called at any time from any goroutine.
//
// A browser decides about its cookies: to lose them between start and callback,
// or to replay a code from elsewhere, a test uses another cookie jar.
package wechattest
