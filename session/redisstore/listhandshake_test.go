package redisstore_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"wxgate/session/redisstore"
)

// List names the keys on one connection and reads their values on another. If
// the server refuses the second one's handshake, nothing has been read.
func TestListWhoseSecondHandshakeIsRefused(t *testing.T) {
	for _, refusal := range []string{"WRONGPASS invalid password", "ERR max number of clients reached", "LOADING the dataset"} {
		var scanned atomic.Bool
		w := startWire(t, func(args []string) string {
			switch name := strings.ToLower(args[0]); {
			case name == "hello":
				return noHello
			case name == "auth" && scanned.Load():
				return "-" + refusal + "\r\n"
			case name == "scan":
				scanned.Store(true)
				return "*2\r\n$1\r\n0\r\n*2\r\n$15\r\nwxgate:record:a\r\n$15\r\nwxgate:record:b\r\n"
			case name == "get":
				return "$1\r\nv\r\n"
			}
			return "+OK\r\n"
		})
		s := open(t, "redis://:pw@"+w.addr, redisstore.Options{})
		err := s.List(t.Context(), "", func(key string, value []byte) error {
			t.Errorf("%s: lists %s with %q", refusal, key, value)
			return nil
		})
		if err == nil || !scanned.Load() {
			t.Errorf("%s: scanned %v, and then %v", refusal, scanned.Load(), err)
		}
	}
}
