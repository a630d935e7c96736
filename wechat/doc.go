// Package wechat speaks WeChat's HTTP interfaces for login: it writes the links
// that a browser is sent to, exchanges the code that comes back, and reads the
// profile of a person who consented. It also tells from a User-Agent which kind of
// WeChat, if any, a browser is, and makes the few calls of an account for itself:
// is this person a follower, and the ticket that signs pages for the JS-SDK. It
// makes those of a third-party platform (第三方平台, component), too.
//
// It owns WeChat's vocabulary: parameters, error codes, scopes and the shape of
// the answers. It knows nothing about sessions, users, cookies or pages, and logs
// nothing. A [Client] keeps nothing between two calls and never repeats one;
// [ServerTokens] keeps tokens and tickets, in memory. What a third-party platform
// must keep for years, and share between processes, it leaves to package component.
//
// # Flows served
//
// Login inside WeChat for a verified service account (公众号网页授权):
// [Client.AuthorizeURL], then [Client.Exchange], then, after snsapi_userinfo,
// [Client.UserInfo].
//
// Login on a PC for a website app (网站应用): [Client.QRConnectURL] for WeChat's
// whole page or [Client.QRFrameURL] for a frame, then the same two.
//
// Login of a mobile app, whose SDK gets the code: [Client.Exchange] with the
// appid and secret of the mobile app. Login of a mini program: another code,
// which only [Client.Code2Session] takes.
//
// A later look at the profile without the person: [Client.CheckToken],
// [Client.Refresh], [Client.UserInfo].
//
// For the account: [ServerTokens.Follower], [ServerTokens.JSAPITicket] with
// [JSAPISignature], its menu with [ParseMenu], [ServerTokens.Menu] and
// [ServerTokens.SetMenu]. [ServerTokens.Do] makes any other call for an app that
// shall have neither secret nor token, [ServerTokens.Token] is for one of one's own.
//
// The other way round, what WeChat posts: [NewPush], then [Push.Echo] for the
// verification of the URL, and [Push.Open], [ParsePush] and [Push.Seal] for each
// message. A [Push] serves an account or a third-party platform.
//
// # Flows of a third-party platform
//
// WeChat pushes a ticket every ten minutes, of which [Client.ComponentToken] mints
// the platform's token; [Client.StartPushTicket] wakes the pushes. For an account
// to authorize, [Client.PreAuthCode] and [Client.ComponentLoginURL] lead its
// administrator to WeChat's page, and [Client.QueryAuth] takes the code that comes
// back, by the browser, by a push, or by both. [Client.AuthorizerToken] renews the
// account's token. [Client.AuthorizerInfo] and [Client.AuthorizerList] tell who
// authorized, [Client.AuthorizerOption] and [Client.SetAuthorizerOption] its
// settings.
//
// Login on behalf of an account: [Client.AuthorizeURL] with a ComponentAppID, then
// [Client.ExchangeOnBehalf] and, unchanged, [Client.UserInfo]; later
// [Client.RefreshOnBehalf]. For mini programs [Client.Code2SessionOnBehalf]. It
// needs the platform's token, but none of the account's. [ServerTokens] takes those
// from a [Lender].
//
// Mini programs of accounts are made from [Client.Templates], which
// [Client.AddTemplate] makes of [Client.Drafts], and registered with
// [Client.RegisterMiniProgram].
//
// Official pages:
//
//   - guide: https://developers.weixin.qq.com/doc/service/guide/h5/auth.html
//   - code for token: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsaccesstoken
//   - profile: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsuserinfo.html
//   - longer life for a token: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsrefreshtoken
//   - QR code on a PC: https://developers.weixin.qq.com/doc/oplatform/developers/dev/auth/web.md
//   - mobile app: https://developers.weixin.qq.com/doc/oplatform/developers/dev/auth/app.md
//   - mini program: https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session
//   - server token: https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken
//   - jsapi_ticket: https://developers.weixin.qq.com/doc/service/api/invoice/auth/api_getticket.html
//   - custom menu: https://developers.weixin.qq.com/doc/service/api/custommenu/api_createcustommenu
//   - how interfaces are called: https://developers.weixin.qq.com/doc/oplatform/developers/dev/guide.md
//   - causes of authorize errors: https://developers.weixin.qq.com/doc/oplatform/developers/troubleshooting/auth.html
//   - common error codes: https://developers.weixin.qq.com/doc/channels/API/basics/commErrCode.html
//   - message push: https://developers.weixin.qq.com/doc/service/guide/dev/push/
//   - encryption of messages: https://developers.weixin.qq.com/doc/oplatform/developers/dev/push/encryption.md
//   - message push of a third-party platform: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/Before_Develop/message_push.md
//   - ticket: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/component_verify_ticket.html
//   - events for a third-party platform: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html
//   - its token: https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getcomponentaccesstoken
//   - authorization by an account: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html
//   - code for a grant: https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getauthorizerrefreshtoken
//   - token of an account: https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getauthorizeraccesstoken.html
//   - about an account: https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizerinfo
//   - all accounts: https://developers.weixin.qq.com/doc/oplatform/openApi/authorization-management/api_getauthorizerlist
//   - login on behalf: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Official_Accounts/official_account_website_authorization.html
//   - mini program on behalf: https://developers.weixin.qq.com/doc/oplatform/openApi/miniprogram-management/login/api_thirdpartycode2session.html
//   - templates: https://developers.weixin.qq.com/doc/oplatform/openApi/thirdparty-management/template-management/api_gettemplatelist
//   - registrations since 2026: https://developers.weixin.qq.com/community/develop/doc/0004829e9105005ce7d480e6561401
//   - events about an authorization: https://developers.weixin.qq.com/doc/service/guide/h5/authorization_change.md
//   - unionid: https://developers.weixin.qq.com/doc/service/guide/product/unionid.md
//   - snapshot pages: https://developers.weixin.qq.com/community/develop/doc/000c2c34068880629ced91a2f56001
//
// # Surprises
//
// Where WeChat departs from OAuth 2.0 or from ordinary HTTP:
//
//   - The authorize link wants its parameters in the documented order, and its
//     redirect_uri percent-encoded exactly once. See [Client.AuthorizeURL].
//   - The link must end in #wechat_redirect, and without the undocumented
//     connect_redirect=1 Android calls the callback twice with two codes.
//   - A state has at most 128 letters and digits; it may not be empty.
//   - A person who refuses is not sent back at all: there is no callback. On the
//     QR page perhaps one with the state alone; WeChat's own pages disagree.
//   - A code does not say which interface takes it: that of a mini program is an
//     unknown code to the others.
//   - The answer to a mini program's code holds the session_key, which may not
//     leave the server. See [Client.Code2Session].
//   - /sns/auth answers in errcode; everywhere else its absence means success.
//   - The jsapi_ticket is signed as noncestr, while wx.config wants nonceStr.
//   - A menu may not be written with \u escapes (40033), which encoding/json makes
//     of every & in a URL; an account without a menu answers 46003; and what
//     menu/get gives has an empty sub_button in every button.
//   - A code works once. A second exchange is an error even when the first
//     answer was lost, so no layer may repeat one; net/http would, see
//     [Client.Exchange].
//   - Errors come with status 200 and an errcode in the body; a success has no
//     errcode. The content type may be text/plain.
//   - Nicknames may hold raw control bytes and broken UTF-8 inside the JSON.
//   - Numbers may arrive as strings.
//   - App secret, code and token travel in the query, which net/http repeats in
//     the text of its errors. Every error of this package is cleaned of them.
//   - unionid is missing from snsapi_base answers and for accounts that are not
//     bound to an open-platform account; it may begin to appear at any time.
//   - is_snapshotuser=1 marks the virtual person of a snapshot page, and it
//     comes with the token only, never with the profile.
//   - The signature of a plain push covers no part of its body. That of an
//     encrypted one covers Encrypt alone. The signed strings are joined without a
//     delimiter, so parts can move from one to the next; see [Push.Open].
//   - Pushes are padded to 32 bytes where AES needs 16, the initialisation vector
//     is the first half of the key, and the last character of an EncodingAESKey
//     has two bits too many, which strict base64 refuses.
//   - In events about an authorization the sender is not the person; see
//     [Message.OpenID].
//   - An answer to a push is empty, "success" to the byte, or a reply, which goes
//     encrypted if the push did. WeChat waits five seconds and then repeats.
//   - The platform's token is called access_token under /cgi-bin/component/ and
//     /wxa/, and component_access_token under /sns/. Its secret is called
//     component_appsecret, and component_secret by api_start_push_ticket.
//   - A platform's ticket comes only by push; there is no call for it. It lives
//     twelve hours, the token minted of it two.
//   - Minting voids the token before: it works for five minutes more, for everybody.
//     So does renewing an account's token.
//   - A code for a grant comes twice, by the browser and by a push, in any order,
//     and works once. The browser's comes without the account's appid.
//   - Until that code was exchanged, WeChat's lists hide the refresh token of the
//     grant: it is missing or empty. Whoever lost the code waits for the next grant.
//   - The answer to a renewal may hold another refresh token, or none, which means
//     the same one.
//   - An account grants what it wants of what was asked for, and WeChat's page for
//     it opens only to who comes by a link from the platform's launch domain.
//   - On behalf of an account the authorize link ends in component_appid, and what
//     comes back has the account's appid. A person who refuses comes back with the
//     state alone.
//   - unionid depends on the open-platform account of the account itself, not on
//     the platform's: those of two customers have nothing in common.
//   - The nickname may be empty or "微信用户", the avatar may be missing; neither
//     identifies anybody.
package wechat
