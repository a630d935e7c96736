package wechat

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// MaxPush bounds in bytes the body of a push, a message and a reply. Messages of
// people have at most a few KiB; compatible mode sends them about three times.
const MaxPush = 64 << 10

const (
	// pushWindow is how far a push may lie in the past or, by clocks that differ,
	// in the future. WeChat names no limit and repeats for some seconds only;
	// without one a captured push would work for ever.
	pushWindow   = 10 * time.Minute
	maxPushQuery = 4 << 10
)

// ErrPush is in the chain of every refusal by Echo, Open and ParsePush. The text
// around it says why, for the operator's log: it holds neither token nor key nor
// anything that was sent. Whoever sent the push may not learn more than that it
// was refused.
var ErrPush = errors.New("push refused")

func refusePush(why string) error { return fmt.Errorf("wechat: %w: %s", ErrPush, why) }

// PushConfig is what the console of an account (消息与事件推送) or of a third-party
// platform (开发资料) and this side share.
type PushConfig struct {
	// Token signs: 3 to 32 letters and digits.
	Token string
	// AppID ends every encrypted message: the account's, or the third-party
	// platform's, also in messages of the accounts that it serves.
	AppID string
	// AESKeys (EncodingAESKey) have 43 letters and digits, the newest first.
	// All open; a reply is sealed with the one that opened. With a key nothing
	// but encrypted pushes is accepted; without one only plain mode is possible.
	AESKeys []string
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Push verifies and opens what WeChat posts to a callback URL, and seals the
// replies, for an account or a third-party platform:
// https://developers.weixin.qq.com/doc/service/guide/dev/push/ and
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/Before_Develop/message_push.md
//
// It keeps nothing between two calls, so it cannot know a repeated delivery; see
// [Envelope.Replay] and [Message.Key].
type Push struct {
	token  string
	appid  string
	keys   []*pushKey
	now    func() time.Time
	random func([]byte)
}

var (
	pushTokenForm = regexp.MustCompile(`^[0-9A-Za-z]{3,32}$`)
	nonceForm     = regexp.MustCompile(`^[0-9]{1,20}$`)
	timestampForm = regexp.MustCompile(`^[0-9]{10}$`)
	signatureForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
	// WeChat sends digits. The rest is what base64 and its like are made of; none
	// of it can be markup, since the answer repeats it.
	echoForm = regexp.MustCompile(`^[0-9A-Za-z+/=_.-]{1,128}$`)
)

// NewPush refuses settings that the console would not have taken. Its errors
// show none of them.
func NewPush(cfg PushConfig) (*Push, error) {
	if !pushTokenForm.MatchString(cfg.Token) {
		return nil, errors.New("wechat: the push token is not 3 to 32 letters and digits")
	}
	if cfg.AppID == "" {
		return nil, errors.New("wechat: the push needs an appid")
	}
	p := &Push{token: cfg.Token, appid: cfg.AppID, now: cfg.Now, random: readRandom}
	if p.now == nil {
		p.now = time.Now
	}
	for i, text := range cfg.AESKeys {
		key, err := newPushKey(text)
		if err != nil {
			return nil, fmt.Errorf("wechat: EncodingAESKey number %d: %w", i+1, err)
		}
		p.keys = append(p.keys, key)
	}
	return p, nil
}

// Envelope is an opened push.
type Envelope struct {
	// XML is the message, for ParsePush. If it came encrypted, whoever sees it
	// for bytes of his choice learns half of the key: it belongs in no log.
	XML []byte
	// Replay names the delivery: 64 hex digits, the same for the same delivery
	// again. An encrypted one cannot have another XML under the same name; a
	// plain one can, see [Push.Open].
	Replay string

	nonce string
	key   *pushKey // nil: it came in plain
}

// Encrypted tells whether the message came encrypted, and the reply will go so.
func (e Envelope) Encrypted() bool { return e.key != nil }

// Echo checks the GET by which WeChat verifies a callback URL, and returns the
// body to answer with. query is the raw query of the request.
func (p *Push) Echo(query string) (string, error) {
	q, err := p.readQuery(query)
	if err != nil {
		return "", err
	}
	echo := q.Get("echostr")
	if !echoForm.MatchString(echo) {
		return "", refusePush("echostr is missing or has an unknown form")
	}
	if err := p.verify(q.Get("signature"), q); err != nil {
		return "", err
	}
	return echo, nil
}

// Open checks a POST and returns what it brought. query is the raw query of the
// request; of the body nothing but Encrypt is used if there is an AES key, since
// the signature covers nothing else.
//
// In plain mode the signature covers no part of the body: whoever sees one query,
// in some access log, can send any body with it for ten minutes. A caller that
// acts on plain messages should keep Replay together with a hash of XML for as
// long, and refuse the same Replay with another XML.
func (p *Push) Open(query string, body []byte) (Envelope, error) {
	fields, err := readPushXML(body)
	if err != nil {
		return Envelope{}, err
	}
	q, err := p.readQuery(query)
	if err != nil {
		return Envelope{}, err
	}
	if len(p.keys) == 0 {
		return p.openPlain(q, body, fields)
	}
	sealed, found := fields["Encrypt"]
	if !found || !q.Has("msg_signature") {
		return Envelope{}, refusePush("it is not encrypted, and an EncodingAESKey is configured: 安全模式 is to be chosen in the console")
	}
	ciphertext, err := decodeCiphertext(sealed.text)
	if err != nil {
		return Envelope{}, err
	}
	if err := p.verify(q.Get("msg_signature"), q, sealed.text); err != nil {
		return Envelope{}, err
	}
	xml, key, err := p.decrypt(ciphertext)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{XML: xml, Replay: fingerprint(ciphertext), nonce: q.Get("nonce"), key: key}, nil
}

func (p *Push) openPlain(q url.Values, body []byte, fields map[string]pushField) (Envelope, error) {
	if _, plain := fields["MsgType"]; !plain {
		return Envelope{}, refusePush("it has no plain message, and no EncodingAESKey is configured")
	}
	signature := q.Get("signature")
	if err := p.verify(signature, q); err != nil {
		return Envelope{}, err
	}
	// The signature rather than timestamp and nonce: it stays the same where
	// digits are moved from one to the other.
	return Envelope{XML: body, Replay: fingerprint([]byte("plain " + signature)), nonce: q.Get("nonce")}, nil
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// readQuery checks form and freshness of what every push carries. The forms
// matter: the signed strings are concatenated without a delimiter, so digits
// could be moved from timestamp to nonce, and the beginning of the ciphertext
// into the nonce, under the same signature.
func (p *Push) readQuery(raw string) (url.Values, error) {
	if len(raw) > maxPushQuery {
		return nil, refusePush("the query is too long")
	}
	q, err := url.ParseQuery(raw)
	if err != nil { // which would be quoted
		return nil, refusePush("the query cannot be read")
	}
	for _, name := range []string{"signature", "msg_signature", "timestamp", "nonce", "echostr"} {
		if len(q[name]) > 1 {
			return nil, refusePush(name + " is there twice")
		}
	}
	timestamp := q.Get("timestamp")
	if !timestampForm.MatchString(timestamp) {
		return nil, refusePush("timestamp is not 10 digits")
	}
	if !nonceForm.MatchString(q.Get("nonce")) {
		return nil, refusePush("nonce is not 1 to 20 digits")
	}
	seconds, _ := strconv.ParseInt(timestamp, 10, 64) // ten digits do not overflow
	if age := p.now().Sub(time.Unix(seconds, 0)); age.Abs() > pushWindow {
		return nil, refusePush("timestamp is more than 10 minutes away: an old push, or this machine's clock is wrong")
	}
	return q, nil
}

// verify compares a signature with that of the query's timestamp and nonce and of
// further strings.
func (p *Push) verify(signature string, q url.Values, more ...string) error {
	if !signatureForm.MatchString(signature) {
		return refusePush("the signature is missing or not 40 lower-case hex digits")
	}
	given, _ := hex.DecodeString(signature) // its form is known
	parts := append([]string{p.token, q.Get("timestamp"), q.Get("nonce")}, more...)
	if !hmac.Equal(given, pushSignature(parts)) {
		return refusePush("the signature is wrong: another token, or a forgery")
	}
	return nil
}

// Seal makes the body of the answer to an opened push. Nothing at all, and the
// word "success", go as they are, and so does every reply to a plain push. Any
// other reply to an encrypted push, XML that is, is encrypted with the key that
// opened it. White space around the reply is dropped, because WeChat takes
// "success" and a line break for nonsense. An error means that the reply is too
// long.
func (p *Push) Seal(e Envelope, reply []byte) ([]byte, error) {
	if len(reply) > MaxPush {
		return nil, fmt.Errorf("wechat: a reply of %d bytes, where %d are the most", len(reply), MaxPush)
	}
	reply = bytes.TrimSpace(reply)
	if e.key == nil || len(reply) == 0 || string(reply) == "success" {
		return reply, nil
	}
	sealed := p.encrypt(e.key, reply)
	timestamp := strconv.FormatInt(p.now().Unix(), 10)
	signature := pushSignature([]string{p.token, timestamp, e.nonce, sealed})
	return fmt.Appendf(nil, "<xml><Encrypt><![CDATA[%s]]></Encrypt><MsgSignature><![CDATA[%x]]></MsgSignature>"+
		"<TimeStamp>%s</TimeStamp><Nonce><![CDATA[%s]]></Nonce></xml>", sealed, signature, timestamp, e.nonce), nil
}
