package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
)

// As little of RFC 6455 as two programs need that talk to each other in text
// frames of less than 126 bytes: with a library the buffers of the test would
// be larger than what is measured.

// socketHello is what each side says once.
const socketHello = "are you there?"

// acceptSocket answers an upgrade (RFC 6455, section 4.2.2).
func acceptSocket(key string) []byte {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// echo says every text frame again until something else comes.
func echo(c net.Conn, in *bufio.Reader) {
	for {
		text, err := readText(in)
		if err != nil {
			return
		}
		if _, err := c.Write(append([]byte{0x81, byte(len(text))}, text...)); err != nil {
			return
		}
	}
}

var errFrame = errors.New("a frame that is not short text")

// readText reads one whole text frame, masked or not.
func readText(in *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := int(head[1] & 0x7f)
	if head[0] != 0x81 || n > 125 {
		return nil, errFrame
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(in, mask[:]); err != nil {
			return nil, err
		}
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, err
	}
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return text, nil
}

// maskedText is a text frame as a client sends it. Any mask will do on loopback.
func maskedText(text string) []byte {
	mask := [4]byte{0x5a, 0xc3, 0x11, 0x7e}
	frame := append([]byte{0x81, 0x80 | byte(len(text))}, mask[:]...)
	for i := range len(text) {
		frame = append(frame, text[i]^mask[i%4])
	}
	return frame
}
