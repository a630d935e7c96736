// Package proxy is the request path of wxgate: what happens between a visitor
// and the unmodified app.
//
//	request ─ id, log record ─ strip look-alikes ─ host? ─ verification file?
//	   │
//	   ├─ /.wxgate/…   login ─→ WeChat ─→ callback ─→ session ─→ 303
//	   │               pair, handover, exchange: the other ways to a session
//	   │               me, yunxin, jssdk, wxgate.js, logout: for pages
//	   │               auth: a front proxy's question, jwks.json
//	   │               messages: what WeChat pushes
//	   │               component/…: what a third-party platform has to serve
//	   │
//	   ├─ a call that is answered in the app's place
//	   │
//	   └─ judge: rule for the path, session, admit ─┬─ forward with identity ─→ app
//	                                                └─ 302 to login, 401, 403, 404
//
// ServeHTTP (server.go) shows this order on one page, judge.go the decision
// that it shares with forward-auth. login.go picks the way in, callback.go is
// the return and finish.go what a code turns into; behalf.go knows which account
// logs in on which host, and with whose word; live.go is the five-second
// cache that keeps the store and the signer out of hot requests; forward.go is
// all that touches a request or an answer on its way; problem.go is the only
// place that turns a failure into a status and words.
//
// Two more listeners have no visitors: Admin (admin.go, the operator's calls in
// admin*.go) and App (appapi.go). people.go is what is decided about users with
// all its sides, imaccount.go keeps their accounts at Yunxin in step, hooks.go
// tells the app.
//
// It is the one package that knows all four leaves (session, identity, wechat with
// its component, yunxin) and translates between them; they do not know each other. It refuses
// to know the environment, storage back ends, and listeners: cmd hands them in.
//
// What the app may rely on: every header that folds to X-Wxgate-… is ours;
// they are absent without a session; X-Wxgate-Assertion can be verified with
// the keys at /.wxgate/jwks.json and has at least half of its life left.
package proxy
