package redisstore

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A server that refuses the connection's handshake refuses what was to be done
// on it, although go-redis gives none of a pipeline's commands an error then.
func TestRefusedHandshakeFailsAll(t *testing.T) {
	m := miniredis.RunT(t)
	m.Set(recordPrefix+"a", "1")
	open := func(password string) *Store {
		s, err := Open("redis://:"+password+"@"+m.Addr(), Options{Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	m.RequireAuth("new")
	s := open("old")
	done, values, err := s.Batch(t.Context(), []Write{{Op: "create", Key: "b", Value: []byte("1")}, {Op: "put", Key: "c", Value: []byte("2")}}, "a", "none")
	if err == nil {
		t.Errorf("a batch is done: %v, %q", done, values)
	}
	if values, err := s.GetMany(t.Context(), "a", "none"); err == nil {
		t.Errorf("read %q", values)
	}
	if m.Exists(recordPrefix+"b") || m.Exists(recordPrefix+"c") {
		t.Error("and yet something is stored")
	}
	if values, err := open("new").GetMany(t.Context(), "a", "none"); err != nil || string(values[0]) != "1" || values[1] != nil {
		t.Errorf("with the right password: %q %v", values, err)
	}
}
