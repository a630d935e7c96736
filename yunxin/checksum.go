package yunxin

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// CheckSum signs a call: lower-case hex SHA-1 over secret, nonce and curTime,
// in this order and without separators. nonce has at most 128 characters,
// curTime is the Unix time in seconds as a decimal. Path and body are not
// signed. https://doc.commsease.com/messaging/server-apis/jk3MzY2MTI?platform=server
func CheckSum(secret, nonce, curTime string) string {
	var buf [256]byte
	b := append(buf[:0], secret...)
	b = append(b, nonce...)
	b = append(b, curTime...)
	sum := sha1.Sum(b)
	return hex.EncodeToString(sum[:])
}

// sign sets the four headers of a call and returns the CheckSum, so that it
// can be kept out of errors. The nonce is new for every attempt. There is no
// trace id on purpose: Yunxin takes a repeated one for a repeated call.
func (c *Client) sign(h http.Header, now time.Time) string {
	var random [16]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	nonce := hex.EncodeToString(random[:])
	curTime := strconv.FormatInt(now.Unix(), 10)
	sum := CheckSum(c.appSecret, nonce, curTime)
	h.Set("AppKey", c.appKey)
	h.Set("Nonce", nonce)
	h.Set("CurTime", curTime)
	h.Set("CheckSum", sum)
	return sum
}
