package proxy

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"
)

// scripted is a connection that gives a number of bytes at each read, as far
// as there is room, and notes how much room that was.
type scripted struct {
	net.Conn
	gives []int
	rooms []int
	last  error // comes with the last bytes
}

func (s *scripted) Read(p []byte) (int, error) {
	s.rooms = append(s.rooms, len(p))
	if len(s.gives) == 0 {
		return 0, io.EOF
	}
	n := min(s.gives[0], len(p))
	s.gives = s.gives[1:]
	if len(s.gives) == 0 {
		return n, s.last
	}
	return n, nil
}

// A large buffer is there only as long as much arrives.
func TestBlockingSourceGrows(t *testing.T) {
	const small, large = smallChunk, len(chunk{})
	c := &scripted{gives: []int{10, small - 1, small, large, large / 2, large/2 - 1, 7, 0, 0, small, 1, 1}, last: net.ErrClosed}
	b := newBlocking(c)
	var got []int
	for {
		p, err := b.next()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			break
		}
		got = append(got, len(p))
	}
	if want := []int{10, small - 1, small, large, large / 2, large/2 - 1, 7, small, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("given %v, want %v", got, want)
	}
	if want := []int{small, small, small, large, large, large, small, small, small, small, large, small}; !slices.Equal(c.rooms, want) {
		t.Errorf("room for %v, want %v", c.rooms, want)
	}
	if b.large != nil {
		t.Error("a large buffer is kept")
	}
	if _, err := newBlocking(&scripted{}).next(); err != io.EOF {
		t.Error(err)
	}
}
