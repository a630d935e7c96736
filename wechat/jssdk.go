package wechat

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
)

// JSAPISignature signs a page for wx.config: lower-case hex SHA-1 over ticket,
// nonce, timestamp (seconds) and address, in this order and without escaping.
// WeChat's appendix on signatures:
// https://developers.weixin.qq.com/doc/service/guide/h5/jssdk.html
//
// pageURL is the whole address that the page itself sees, query included; a
// fragment is dropped. Whoever signs for a page lets it act as the account, so
// the caller checks the host.
func JSAPISignature(ticket, nonce string, timestamp int64, pageURL string) string {
	pageURL, _, _ = strings.Cut(pageURL, "#")
	sum := sha1.Sum([]byte("jsapi_ticket=" + ticket + "&noncestr=" + nonce +
		"&timestamp=" + strconv.FormatInt(timestamp, 10) + "&url=" + pageURL))
	return hex.EncodeToString(sum[:])
}
