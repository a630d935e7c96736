// Package clawmachine is the app behind the gateway in "wxgate demo": a small
// claw machine for phones, written the way a team would write it that has put
// wxgate in front.
//
// It owns its page, its game and one rule: of everything a request says about
// its sender, it believes only what the signed assertion says, and that only
// after checking signature, issuer, audience and expiry against the gateway's
// published keys (verify.go, keys.go). The unsigned headers are shown on the
// page, never acted upon.
//
// It refuses to know the gateway. It imports no other package of wxgate, has no
// login, no session and no cookie of its own; the game knows a player by the
// user id in the assertion and nothing else.
//
//	GET  /                   the page; with the demo's switch if one is configured
//	GET  /bye                where a logout ends; meant to be a public path
//	GET  /assets/            styles and ES modules
//	GET  /api/whoami         what this request carried, and whether it could be verified
//	GET  /api/machines       the machine: free or not, players, queue, toys
//	GET  /api/shelf          the caller's prizes
//	POST /api/cheer          cheer whoever plays
//	POST /api/yunxin-login   tries the caller's Yunxin token at the simulator
//	GET  /play               WebSocket: the game, ten frames a second during a round
//	GET  /events             server-sent events: who plays and who won
package clawmachine
