// Package transport sends requests to the app next door: HTTP/1.1 over TCP or
// a unix socket, each exchange on the goroutine of its caller.
//
// It exists because of what a request costs. The transport of the standard
// library hands every request to one goroutine of its connection and every
// reply to another; for a small reply these handovers cost more than all else
// that a proxy does. Here the caller writes the request, waits for the reply
// and reads it, over a pool of connections. Only a request with a body needs a
// second goroutine, since the app may answer before it has read everything.
//
// It owns the wire: what a request looks like on it, where a reply ends, which
// connection may be used again, and which request may be sent again. It is
// strict about replies (RFC 9112), because a reply that is read one way here
// and another way by the next hop is how one visitor gets another's page.
//
// It refuses what the app next door has no use for: TLS and HTTP/2 (the
// standard transport serves those), proxies of the environment, redirects,
// cookies, compression, requests over more than two connections, and any
// header that its caller did not ask for, the framing apart. It knows nothing
// of sessions, visitors and pages.
package transport
