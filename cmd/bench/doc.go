// Command bench measures what the gateway costs, beside other proxies on the
// same machine in the same minutes.
//
//	go run ./cmd/bench                     everything, a few minutes
//	go run ./cmd/bench -only cpu           the table of proxies alone
//	go run ./cmd/bench -h                  all flags and sections
//
// It needs nothing but Go. nginx, haproxy and redis-server take part if they are
// on PATH; what is missing is said below the tables. It starts an app, builds
// and starts the gateway, logs in through a simulated WeChat to get a session,
// starts the peers, loads them in turn, and prints Markdown. All of it is on
// loopback, in processes of their own, and gone at the end, after Ctrl-C too.
//
// # What is measured
//
// The first table is about one small reply to a request with a session: same
// bytes to each proxy, over keep-alive connections that each carry one request
// at a time. The gateway does all of its work then: cookie, session, assertion,
// identity headers, metrics, and one log record into a file. The peers do
// nothing but forward: nginx and haproxy with one worker, kept connections to the app and no log;
// httputil.ReverseProxy with the default transport, and with one tuned to keep
// as many idle connections as there are clients. The load comes from a
// generator with one processor (GOMAXPROCS=1), so that it is the same for all.
//
// The second table holds the other figures that have a goal, and some that
// explain them. Each is described at its section_*.go. Those about the store
// count what Redis was sent, command by command, with MONITOR. The round trips of
// a login are counted on the wire, by a relay between the gateway and Redis: a
// pipeline is one, whatever it holds. The gateway's own looks at its queues,
// which do not depend on visitors, are left out of both, and so is what a new
// connection begins with.
//
// # How
//
// CPU time for each request is the figure to compare by. Requests per second
// depend on how many processors there are and on what the app and the generator
// take of them, on a small machine most of all; CPU time says how much of a
// machine a proxy needs, and adds up. It is what the system's account of the
// process, in user and system mode, grew by while requests were counted,
// divided by their number. Linux tells it to the nanosecond; elsewhere the
// columns stay empty.
//
// The proxies take turns, and each round begins with another one, so that a
// machine that is slow for a while is slow for all. Figures are medians over the
// rounds; ratios are medians of the ratios within each round, which moves less
// than a ratio of medians. Latencies are those of a closed loop: with 64
// connections always busy they say how long the queue is, not how long a request
// takes on an idle machine.
//
// Memory is resident memory. That of an idle gateway and of WebSockets is read
// after three quiet seconds, when the gateway has collected its garbage. Of
// WebSockets it is what the process grew by between 500 open ones and all of
// them, divided by their number, so that what a process allocates once is not
// counted.
//
// Run it on a machine that does nothing else, and more than once, before
// believing a difference of a few percent.
//
// Exit codes: 0 all sections that could run did, 1 something failed or was
// interrupted, 2 wrong flags.
package main
