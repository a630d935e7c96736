package wechattest

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// qrPicture draws something that looks like a QR code. It encodes nothing: the
// content of WeChat's is their own affair, and the link around the picture takes
// the place of a camera.
func qrPicture(uuid string) []byte {
	const size = 29
	var dots strings.Builder
	block := sha256.Sum256([]byte(uuid))
	for y := range size {
		for x := range size {
			i := (y*size + x) % (len(block) * 8)
			if i == 0 {
				block = sha256.Sum256(block[:])
			}
			corner := (x < 8 || x >= size-8) && y < 8 || x < 8 && y >= size-8
			if !corner && block[i/8]>>(i%8)&1 == 1 {
				fmt.Fprintf(&dots, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	for _, at := range [][2]int{{0, 0}, {size - 7, 0}, {0, size - 7}} {
		fmt.Fprintf(&dots, "M%d %dh7v7h-7zm1 1v5h5v-5zm1 1h3v3h-3z", at[0], at[1])
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 %[1]d %[1]d" width="264" height="264">`+
		`<rect x="-2" y="-2" width="%[1]d" height="%[1]d" fill="#fff"/>`+
		`<path d="%[2]s" fill="#1f2329" fill-rule="evenodd"/></svg>`, size+4, dots.String())
}
