// Package identity answers who a visitor is and lets the upstream app check the answer.
//
// It owns three things:
//
//   - Users. WeChat gives one person a different openid for every account (appid), and a unionid that may be missing today and
//     appear tomorrow. [Directory] turns a login into one lasting user id of ours: random, never derived from WeChat's ids,
//     never used for somebody else.
//   - Assertions. [Signer] signs short-lived tokens (JWT, RFC 7519) about a session's user and publishes the public keys.
//   - Header names. [Strip] removes everything from a request that an app could mistake for identity, [Headers] adds what is
//     true. Both sides live here so that no name can be added to one and forgotten in the other.
//
// It refuses to know HTTP beyond header maps, how a login happens, what a session is, and which database keeps the records: it
// asks for the few operations of [Store] and relies on each of them being atomic for a single key, nothing more.
//
// # How users are kept
//
//	u:<user id>               the record: JSON with a format version
//	a:<appid>/<openid>        the user id that owns this account
//	n:<platform>/<unionid>    the user id that owns this unionid; platform names the open-platform account the unionid belongs to
//	y:<accid>                 the user id that an import gave this account at Yunxin
//
// The record of a user that became another one is a pointer to it, that of an erased one a tombstone: no id that was ever handed out
// leads nowhere. What the app is to be told is kept in the record, written together with the change. A merge, a split and an
// erasure are each decided by one write; [Directory.Settle] does what follows, and look-ups do it on their way.
//
// The two kinds of index entries decide; the lists inside a record only repeat them. A record that no entry points to belongs
// to nobody and does no harm. There are no locks: every step is a Create or Replace that only one of several competitors wins,
// and the losers go back to the start and find the winner's work. [Directory.Resolve] lists the steps.
//
// # Departures
//
//   - Public integrations commonly use "unionid, else openid" as the user's key, so that their users change identity on the day
//     the account is bound to an open platform. Here the key is (appid, openid) and the unionid is an attribute.
//   - WeChat's unionid is not eternal: it changes when the account is bound to another open-platform account. A changed unionid
//     is recorded but never used to put two users together.
//     WeChat docs: https://developers.weixin.qq.com/doc/service/guide/product/unionid.md
package identity
