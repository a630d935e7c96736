package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/gorilla/securecookie"
)

// secretSize is the length of one secret in bytes.
const secretSize = 32

// Labels keep the keys of one purpose useless for every other.
const (
	labelSession     = "wxgate session cookie v1"
	labelLoginMAC    = "wxgate login cookie authentication v1"
	labelLoginCipher = "wxgate login cookie encryption v1"
	labelOutcome     = "wxgate code outcome v1"
)

// derive makes the key of one purpose from a secret (RFC 5869).
func derive(secret []byte, label string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, label, secretSize)
}

// codecs makes one securecookie codec per secret, newest first. The codec's
// own age check is off: records and pending logins carry their times, and one
// clock must rule. Every codec proves a round trip, because securecookie
// reports bad keys only at first use and EncodeMulti would then sign with an
// older key without a word.
func codecs(secrets [][]byte, macLabel, cipherLabel string) ([]securecookie.Codec, error) {
	if len(secrets) == 0 {
		return nil, errors.New("session: no secret given")
	}
	var list []securecookie.Codec
	for i, secret := range secrets {
		if len(secret) != secretSize {
			return nil, fmt.Errorf("session: secret %d has %d bytes, want %d", i+1, len(secret), secretSize)
		}
		mac, err := derive(secret, macLabel)
		if err != nil {
			return nil, err
		}
		var block []byte
		if cipherLabel != "" {
			if block, err = derive(secret, cipherLabel); err != nil {
				return nil, err
			}
		}
		codec := securecookie.New(mac, block).MaxAge(0).MaxLength(maxCookieValue).SetSerializer(securecookie.JSONEncoder{})
		probe, err := codec.Encode("probe", "probe")
		if err != nil {
			return nil, fmt.Errorf("session: secret %d: %w", i+1, err)
		}
		var back string
		if err := codec.Decode("probe", probe, &back); err != nil {
			return nil, fmt.Errorf("session: secret %d fails its round trip: %w", i+1, err)
		}
		list = append(list, codec)
	}
	return list, nil
}

// sealer encrypts values that rest in the store. The record's key is the
// additional data: a value copied to another record does not open there.
type sealer struct{ aeads []cipher.AEAD }

func newSealer(secrets [][]byte, label string) (*sealer, error) {
	s := &sealer{}
	for _, secret := range secrets {
		key, err := derive(secret, label)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

func (s *sealer) seal(plain []byte, record string) []byte {
	return s.aeads[0].Seal(nil, nil, plain, []byte(record))
}

func (s *sealer) open(sealed []byte, record string) ([]byte, bool) {
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nil, sealed, []byte(record)); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// hash names a secret value in the store without revealing it.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length keeps ("ab","c") apart from ("a","bc").
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// randomText is n characters of the alphabet, uniformly drawn.
func randomText(n int, alphabet string) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:]) // never fails: crypto/rand ends the process instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
