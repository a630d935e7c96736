//go:build unix

package transport

import "syscall"

const canLook = true

// lookAt tries to read a byte without waiting, and is calm if there is none
// and will be one: sockets of net do not block.
func (c *conn) lookAt(fd uintptr) {
	_, err := syscall.Read(int(fd), c.one[:])
	c.calm = err == syscall.EAGAIN
}
