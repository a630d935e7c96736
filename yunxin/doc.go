// Package yunxin talks to the account part of NetEase Yunxin's IM server API
// (网易云信): it makes sure that an account exists, sets its login token and its
// profile, blocks it, ends its connections, and derives the tokens with which a
// page's NIM SDK logs in. For an app it signs and sends calls of any other part,
// whose meaning it does not know.
//
// It owns the signature of a call, both generations of the API (v1, the form
// posts to *.action; v2, the JSON calls under /im/v2), the choice between a
// primary and its backup addresses, and the meaning of the reply codes. It
// refuses to know who a user is, where tokens or accounts are remembered, and
// when a call is due: that is its caller's business. It keeps no state but the
// address that answered last and the interfaces that Yunxin has shut.
//
// Surprises of the API, each handled where it appears:
//
//   - Errors arrive with HTTP status 200; only the body's code counts. Another
//     status, a body that is no JSON or has no code is no answer at all and is
//     reported as UnavailableError.
//   - In v1 one code, 414, means "account exists", "no such account", "wrong
//     signature", "clock off" and "bad parameter"; only its text tells which.
//   - Account ids are case-insensitive: Yunxin stores and returns them in lower
//     case, and a dynamic token must be signed over that form.
//   - A second create of an account returns no token, and no call of v1 reads
//     one. So the caller chooses the token (StaticToken) and sets the same one
//     on an account that is already there.
//   - Over 100 calls a second, code 416 shuts one interface for ten seconds for
//     everybody who uses the AppKey. The client stays silent for that time.
//   - Accounts can be blocked but never deleted.
//   - Neither a block nor a new token ends connections that are open. In v1 only
//     a block can end them, if it is asked to.
//
// Sources, in their state of 2025: https://doc.yunxin.163.com/messaging/server-apis/DQ3Nzk1MTY?platform=server (v1 accounts),
// https://doc.commsease.com/messaging/server-apis/jk3MzY2MTI?platform=server (v1 calls),
// https://doc.yunxin.163.com/messaging2/server-apis/zcwODA3MTU?platform=server3 (v2 calls),
// https://doc.yunxin.163.com/messaging2/server-apis/TQyNjgyMzc?platform=server (v2 accounts).
package yunxin
