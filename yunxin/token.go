package yunxin

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Labels keep the uses of one secret apart. Changing the first one invalidates
// every static token at once.
const (
	staticLabel = "wxgate yunxin static token 1\n"
	nameLabel   = "wxgate yunxin token key 1\n"
)

// StaticToken derives an account's static token (authType 0): 64 lower-case
// hex digits, the same on every replica, and different for each epoch, which
// is raised to withdraw it. It is HMAC-SHA-256, so a token says nothing about
// the secret, nor about other accounts' or epochs' tokens. Letter case of the
// accid does not matter, as at Yunxin.
func StaticToken(secret []byte, accid string, epoch int) string {
	return derive(secret, staticLabel+strings.ToLower(accid)+"\n"+strconv.Itoa(epoch))
}

// TokenKey names a secret, in 16 hex digits, without giving anything of it
// away. Stored beside an account, it tells which secret its token at Yunxin was
// derived from, so that old tokens outlive a rotation of secrets.
func TokenKey(secret []byte) string { return derive(secret, nameLabel)[:16] }

func derive(secret []byte, message string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

// DynamicToken mints a short-lived login token (authType 1), for the account
// id in the lower case that Yunxin stores: another case gives another
// signature. ttl is counted in whole seconds from at. It works only where the
// console's login policy allows dynamic tokens, and with web SDKs from 8.3.0.
// Yunxin checks it at login and at each reconnect, not in between.
//
// The signature is a plain SHA-1 over the parts, not an HMAC, and curTime is
// in milliseconds here. https://doc.yunxin.163.com/messaging2/server-apis/jA1MTQ4MDU?platform=server
func DynamicToken(appKey, appSecret, accid string, at time.Time, ttl time.Duration) string {
	curTime, seconds := at.UnixMilli(), int64(ttl/time.Second)
	sum := sha1.Sum([]byte(appKey + accid + strconv.FormatInt(curTime, 10) + strconv.FormatInt(seconds, 10) + appSecret))
	b, err := json.Marshal(struct {
		Signature string `json:"signature"`
		CurTime   int64  `json:"curTime"`
		TTL       int64  `json:"ttl"`
	}{hex.EncodeToString(sum[:]), curTime, seconds})
	if err != nil {
		panic("yunxin: " + err.Error()) // a string and two numbers always encode
	}
	return base64.StdEncoding.EncodeToString(b)
}

// DynamicToken mints a token for an account of this client's app, valid from
// now for ttl, and says when it ends.
func (c *Client) DynamicToken(accid string, ttl time.Duration) (token string, expires time.Time) {
	now := c.now()
	ttl = max(ttl.Truncate(time.Second), time.Second)
	return DynamicToken(c.appKey, c.appSecret, strings.ToLower(accid), now, ttl), now.Add(ttl)
}
