// Package redisstore keeps records and due-queues in Redis: one server, a Sentinel group, or a Cluster, with TLS or
// without, chosen by a URL (see Open).
//
// It owns the connection, the time limits, and the honesty of answers: a command whose repetition could change the
// answer is sent once, an unreachable server is an error and never "absent", and no error text holds a password. It
// refuses to know what the bytes mean.
//
// # Keys
//
// A record is the string wxgate:record:KEY with Redis's own expiry; a queue is the sorted set wxgate:queue:NAME, ids
// scored by their due time in microseconds. Every operation touches one key, so a Cluster needs no hash tags and no
// operation can stop half-way; a Batch is several operations that are sent together and can.
//
// # What the server must do
//
// Facts without a lifetime live here too, so the server should run with appendonly yes and maxmemory-policy noeviction.
// Redis replicates asynchronously: a failover can lose the last moments of acknowledged writes, with this client as with
// any other.
//
// # Surprises
//
//   - go-redis retries every command three times by default, so a Create that won can be told that it lost. Here nothing
//     is retried but reads, and those once.
//   - Without ContextTimeoutEnabled go-redis ignores a context's deadline while it waits for the socket.
//   - A Redis Cluster client learns of a failover only from a server that answers; while the old master is silent it
//     would go on asking it for a minute. Here each network failure starts a look at the new layout.
//   - A SCAN cursor means something only to the process that gave it (the hash seed differs), so List stays on one
//     connection and ends with an error when that breaks, instead of skipping records silently.
//   - An old server that does not know HELLO or AUTH answers with the arguments it was sent, password included.
package redisstore
