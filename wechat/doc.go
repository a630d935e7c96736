// Package wechat speaks WeChat's HTTP interfaces for login: it writes the links
// that a browser is sent to, exchanges the code that comes back, and reads the
// profile of a person who consented. It also tells from a User-Agent which kind of
// WeChat, if any, a browser is, and makes the few calls of an account for itself:
// is this person a follower, and the ticket that signs pages for the JS-SDK.
//
// It owns WeChat's vocabulary: parameters, error codes, scopes and the shape of
// the answers. It knows nothing about sessions, users, cookies or pages, and logs
// nothing. A [Client] keeps nothing between two calls and never repeats one;
// [ServerTokens] keeps tokens and tickets, in memory.
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
//   - The nickname may be empty or "微信用户", the avatar may be missing; neither
//     identifies anybody.
package wechat
