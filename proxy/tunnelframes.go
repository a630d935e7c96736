package proxy

import "encoding/binary"

// frames follows the boundaries of WebSocket frames (RFC 6455, section 5.2)
// without looking into them.
type frames struct {
	header [14]byte
	have   int    // bytes of the header that were seen
	left   uint64 // bytes of the payload that are still to come
}

func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.header[f.have] = p[0]
		f.have++
		p = p[1:]
		if f.have < 2 || f.have < f.headerSize() {
			continue
		}
		f.left = f.payload()
		f.have = 0
	}
}

func (f *frames) headerSize() int {
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payload() uint64 {
	switch n := f.header[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(n)
	}
}
