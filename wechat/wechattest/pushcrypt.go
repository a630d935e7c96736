package wechattest

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
)

// judge reads an answer of status 200 as WeChat does. Its errors are what a
// person would see as 该公众号提供的服务出现故障.
func (a *Attempt) judge() (reply string, err error) {
	switch {
	case a.Answer == "success", a.Answer == "" && !a.to.event:
		return "", nil
	case a.to.event:
		return "", errors.New("the answer is not the word success and nothing else")
	}
	reply = a.Answer
	if mode := a.to.settings.Mode; mode == PushCompatible || mode == PushSafe {
		var sealed struct {
			XMLName      xml.Name `xml:"xml"`
			Encrypt      string
			MsgSignature string
			TimeStamp    string
			Nonce        string
		}
		if err := xml.Unmarshal([]byte(a.Answer), &sealed); err != nil {
			return "", fmt.Errorf("the answer is neither success nor XML: %w", err)
		}
		switch {
		case sealed.Encrypt == "" && mode == PushCompatible: // the reply may be plain
		case sealed.Encrypt == "":
			return "", errors.New("the reply is not encrypted")
		case sealed.MsgSignature != pushSignature(a.to.settings.Token, sealed.TimeStamp, sealed.Nonce, sealed.Encrypt):
			return "", errors.New("the MsgSignature of the reply is wrong")
		case sealed.Nonce != a.nonce:
			return "", errors.New("the reply has another nonce than the push")
		default:
			if _, err := strconv.ParseInt(sealed.TimeStamp, 10, 64); err != nil {
				return "", errors.New("the TimeStamp of the reply is no number")
			}
			message, tail, err := openFrame(a.to.settings.AESKey, sealed.Encrypt)
			if err != nil {
				return "", fmt.Errorf("the reply does not decrypt: %w", err)
			}
			if tail != a.to.tail {
				return "", fmt.Errorf("the reply ends in another appid, %q", tail)
			}
			reply = message
		}
	}
	return reply, a.message.checkReply(reply)
}

// pushNames are who a message is from, to and about.
type pushNames struct {
	XMLName xml.Name `xml:"xml"`
	To      string   `xml:"ToUserName"`
	From    string   `xml:"FromUserName"`
	About   string   `xml:"OpenID"`
	Created string   `xml:"CreateTime"`
	Type    string   `xml:"MsgType"`
	Event   string   `xml:"Event"`
	Info    string   `xml:"InfoType"` // of an event for a third-party platform
}

// readNames finds no names in what is not XML, which may be sent all the same.
// Raw bytes in a text, as people write them, hide none.
func readNames(message string) pushNames {
	message = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(message, ""))
	var n pushNames
	if xml.Unmarshal([]byte(message), &n) != nil {
		return pushNames{}
	}
	return n
}

func (n pushNames) person() string {
	if n.About != "" {
		return n.About
	}
	return n.From
}

// checkReply wants a message back to the person.
// https://developers.weixin.qq.com/doc/service/guide/product/message/Passive_user_reply_message
func (n pushNames) checkReply(reply string) error {
	var r pushNames
	if err := xml.Unmarshal([]byte(reply), &r); err != nil {
		return fmt.Errorf("the reply is not XML: %w", err)
	}
	if _, err := strconv.ParseInt(r.Created, 10, 64); err != nil {
		return errors.New("the CreateTime of the reply is no number")
	}
	switch {
	case r.To != n.From || r.From != n.To:
		return errors.New("the reply is not from the account to the person")
	case r.Type == "":
		return errors.New("the reply has no MsgType")
	}
	return nil
}

func element(name, text string) string {
	return "<" + name + "><![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]></" + name + ">\n"
}

func pushSignature(parts ...string) string {
	sort.Strings(parts)
	h := sha1.New()
	for _, part := range parts {
		io.WriteString(h, part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// aesKey reads an EncodingAESKey, whose last character has two bits too many.
func aesKey(text string) (cipher.Block, []byte) {
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		panic("wechattest: EncodingAESKey: " + err.Error())
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("wechattest: EncodingAESKey: " + err.Error())
	}
	return block, key[:16]
}

// frame is what is encrypted of a message.
type frame struct {
	random  string
	length  uint32 // 0: that of the message
	message string
	tail    string // an appid
}

// seal encrypts as in
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html
func (f frame) seal(key string) string {
	var b bytes.Buffer
	b.WriteString(f.random)
	binary.Write(&b, binary.BigEndian, cmp.Or(f.length, uint32(len(f.message))))
	b.WriteString(f.message + f.tail)
	for pad, n := 32-b.Len()%32, 0; n < pad; n++ {
		b.WriteByte(byte(pad))
	}
	block, iv := aesKey(key)
	sealed := make([]byte, b.Len())
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, b.Bytes())
	return base64.StdEncoding.EncodeToString(sealed)
}

func openFrame(key, text string) (message, tail string, err error) {
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", "", err
	}
	if len(sealed) == 0 || len(sealed)%32 != 0 {
		return "", "", fmt.Errorf("%d bytes are no whole blocks", len(sealed))
	}
	block, iv := aesKey(key)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(sealed, sealed)
	pad := sealed[len(sealed)-1]
	padding := bytes.Repeat([]byte{pad}, int(pad))
	if pad == 0 || pad > 32 || !bytes.HasSuffix(sealed, padding) {
		return "", "", errors.New("wrong padding")
	}
	frame := bytes.TrimSuffix(sealed, padding)
	if len(frame) < 20 {
		return "", "", errors.New("no length")
	}
	n := int64(binary.BigEndian.Uint32(frame[16:20]))
	if n > int64(len(frame)-20) {
		return "", "", errors.New("wrong length")
	}
	return string(frame[20 : 20+n]), string(frame[20+n:]), nil
}
