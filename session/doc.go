// Package session keeps browsers and bearer clients logged in.
//
// It owns four things and the bytes behind them:
//
//   - sessions: an opaque id in a cookie (or a bearer token), random but for an
//     encrypted hint whose it is, a record in the store under the id's hash, and
//     for each user a list of them;
//   - pending logins: what a login was started for, sealed into a second
//     cookie, so that anonymous visitors cost no storage;
//   - redemptions: the promise that one authorization code is exchanged once
//     over all replicas, and that its second delivery finds the first result;
//   - claims: the same promise for other work that is done once.
//
// It refuses to know WeChat, users' profiles, headers for the app, pages and
// routes: a session names its user by id and nothing here asks who that is.
//
// Storage is a seam of a few methods (Store). Back ends live in boltstore and
// redisstore and fit by shape; storetest holds the contract as one suite.
package session
