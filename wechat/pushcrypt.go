package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// The encryption of pushes:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html
//
// AES-256 in CBC mode over a frame: 16 random bytes, the length of the message in
// four bytes, the message, the appid, and PKCS#7 padding to 32 bytes, of which
// AES itself would need 16 only.
const (
	frameRandom = 16
	frameHead   = frameRandom + 4
	frameBlock  = 32
)

// pushKey is one EncodingAESKey. The initialisation vector is not sent but is the
// first half of the key.
type pushKey struct {
	block cipher.Block
	iv    []byte
}

var aesKeyForm = regexp.MustCompile(`^[0-9A-Za-z]{43}$`)

func newPushKey(text string) (*pushKey, error) {
	if !aesKeyForm.MatchString(text) {
		return nil, errors.New("not 43 letters and digits")
	}
	// 43 characters carry 258 bits for 256. Most keys, WeChat's examples among
	// them, have the last two set, which strict decoding would refuse.
	key, err := base64.StdEncoding.DecodeString(text + "=")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &pushKey{block: block, iv: key[:aes.BlockSize]}, nil
}

// pushSignature is SHA-1 over the strings in byte order, one after the other
// without a delimiter.
func pushSignature(parts []string) []byte {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return sum[:]
}

// decodeCiphertext takes one spelling only of each ciphertext: no line breaks,
// which encoding/base64 would skip, and no spare bits.
func decodeCiphertext(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, refusePush("Encrypt is not base64")
	}
	if len(b) == 0 || len(b)%frameBlock != 0 {
		return nil, refusePush("Encrypt is not a multiple of 32 bytes")
	}
	return b, nil
}

// decrypt tries the keys in turn. The error is the newest key's.
func (p *Push) decrypt(ciphertext []byte) (message []byte, key *pushKey, err error) {
	for _, key := range p.keys {
		message, failed := key.open(ciphertext, p.appid)
		if failed == nil {
			return message, key, nil
		}
		if err == nil {
			err = failed
		}
	}
	return nil, nil, err
}

// open decrypts a frame of whole blocks, at least one.
func (k *pushKey) open(ciphertext []byte, appid string) ([]byte, error) {
	frame := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(k.block, k.iv).CryptBlocks(frame, ciphertext)

	pad := int(frame[len(frame)-1])
	if pad < 1 || pad > frameBlock {
		return nil, refusePush("it does not decrypt: another EncodingAESKey")
	}
	body, padding := frame[:len(frame)-pad], frame[len(frame)-pad:]
	if bytes.Count(padding, padding[:1]) != pad {
		return nil, refusePush("it does not decrypt: another EncodingAESKey")
	}
	if len(body) < frameHead {
		return nil, refusePush("the decrypted frame is too short")
	}
	length, rest := binary.BigEndian.Uint32(body[frameRandom:frameHead]), body[frameHead:]
	if uint64(length) > uint64(len(rest)) {
		return nil, refusePush("the decrypted frame names a length beyond its end")
	}
	if message, tail := rest[:length], rest[length:]; string(tail) == appid {
		return message, nil
	}
	return nil, refusePush("it is for another appid")
}

// encrypt is the way back, in base64.
func (p *Push) encrypt(k *pushKey, message []byte) string {
	frame := make([]byte, frameRandom, frameHead+len(message)+len(p.appid)+frameBlock)
	p.random(frame)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(message)))
	frame = append(frame, message...)
	frame = append(frame, p.appid...)
	pad := frameBlock - len(frame)%frameBlock
	frame = append(frame, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(k.block, k.iv).CryptBlocks(frame, frame)
	return base64.StdEncoding.EncodeToString(frame)
}

func readRandom(b []byte) { rand.Read(b) } // never fails
