//go:build !unix

package proxy

import "net"

func newSource(c net.Conn) source { return newBlocking(c) }
