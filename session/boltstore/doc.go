// Package boltstore keeps records and due-queues in one file of this machine, with go.etcd.io/bbolt underneath.
//
// It owns durability, lifetimes and atomicity: a write that returned nil has been synced to disk, a record whose
// lifetime is over is absent from that instant on, and Create, Replace and TakeDue have one winner. It refuses to know
// what the bytes mean.
//
// One process at a time: the file is locked while it is open, so this back end serves exactly one replica.
//
// # How writes work
//
// A single goroutine applies writes. Whatever arrived while the previous commit was being synced goes into the next
// transaction together, so a lone writer waits for nobody and a crowd shares the cost of one fsync. Each write is applied
// exactly once, in one transaction; bbolt's own Batch may run a function again after it took effect on captured
// variables, which is how a "created" answer goes wrong.
//
// # How records end
//
// Every record with a lifetime has an entry in an index ordered by its end. Each transaction that writes also removes a
// few records whose time is over, and an idle store removes them once a minute, so neither the file nor personal data in
// it outlives its use by much. The file does not shrink; freed pages are used again.
package boltstore
