package proxy

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestFrames(t *testing.T) {
	frame := func(size int, masked bool) []byte {
		b := []byte{0x82, 0}
		switch {
		case size > 65535:
			b[1] = 127
			b = binary.BigEndian.AppendUint64(b, uint64(size))
		case size > 125:
			b[1] = 126
			b = binary.BigEndian.AppendUint16(b, uint16(size))
		default:
			b[1] = byte(size)
		}
		if masked {
			b[1] |= 0x80
			b = append(b, 1, 2, 3, 4)
		}
		return append(b, bytes.Repeat([]byte{0xff}, size)...)
	}
	var all []byte
	ends := map[int]bool{0: true}
	for _, size := range []int{0, 1, 125, 126, 127, 300, 65535, 65536, 0} {
		for _, masked := range []bool{false, true} {
			all = append(all, frame(size, masked)...)
			ends[len(all)] = true
		}
	}
	for _, step := range []int{1, 2, 3, 7, 1000, 70000, len(all)} {
		var f frames
		for at := 0; at < len(all); at += step {
			to := min(at+step, len(all))
			f.pass(all[at:to])
			if f.between() != ends[to] {
				t.Fatalf("in steps of %d, at byte %d: between is %v", step, to, f.between())
			}
		}
	}
	var f frames
	f.pass([]byte{0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	if f.between() || f.left != 1<<63-2 {
		t.Errorf("an endless frame: %d bytes left", f.left)
	}
}
