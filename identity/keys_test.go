package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"
)

func encodePEM(t testing.TB, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return encodePEM(t, "PRIVATE KEY", der, err)
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var rsa2048 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// The examples of RFC 7638, section 3.1, and RFC 8037, appendix A.3; the third was computed by another program.
func TestThumbprint(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  jwk
		want string
	}{
		{"RFC 7638", jwk{
			Kty: "RSA", E: "AQAB", Alg: "RS256", Kid: "2011-04-29",
			N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
		}, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037", jwk{Kty: "OKP", Crv: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		{"EC", jwk{
			Kty: "EC", Crv: "P-256", X: "6pXyPA8rBBiNiE_eHd8QxqD9Y4cbeS4-z96Z174XScI", Y: "C6klbRmb9wRPfNJ56-UmeaZhK7cCMRppbOlgus7DC3g",
		}, "YHJJbHwD-RyZ1TzT92gbK2r8KJEbL402ke2BdHH-wFo"},
	} {
		if got := tt.key.thumbprint(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The derived key must never change, or an upgrade would invalidate all assertions in flight and split replicas. The expected key was
// computed by another HKDF from the secret 00 01 … 1f.
func TestDerivedKeyIsFixed(t *testing.T) {
	secret := make([]byte, secretLen)
	for i := range secret {
		secret[i] = byte(i)
	}
	key, err := deriveKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	k, _, err := publicJWK(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	want := jwk{
		Kty: "EC", Crv: "P-256", X: "6pXyPA8rBBiNiE_eHd8QxqD9Y4cbeS4-z96Z174XScI", Y: "C6klbRmb9wRPfNJ56-UmeaZhK7cCMRppbOlgus7DC3g",
		Use: "sig", Alg: "ES256", Kid: "YHJJbHwD-RyZ1TzT92gbK2r8KJEbL402ke2BdHH-wFo",
	}
	if k != want {
		t.Errorf("got %+v", k)
	}
}

func TestFirstScalar(t *testing.T) {
	one := append(make([]byte, 31), 1)
	order := elliptic.P256().Params().N.Bytes()
	tried := 0
	key, err := firstScalar(func(counter byte) ([]byte, error) {
		tried++
		return [][]byte{bytes.Repeat([]byte{0xff}, 32), make([]byte, 32), order, one}[counter], nil
	})
	if err != nil || tried != 4 {
		t.Fatalf("%d candidates, %v", tried, err)
	}
	if b, err := key.Bytes(); err != nil || !bytes.Equal(b, one) {
		t.Errorf("scalar %x, %v", b, err)
	}
	if _, err = firstScalar(func(byte) ([]byte, error) { return order, nil }); err == nil {
		t.Error("no scalar, no error")
	}
}

func TestPEMKeys(t *testing.T) {
	rsaKey, err := rsa2048()
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256 := ecKey(t, elliptic.P256())
	sec1DER, err := x509.MarshalECPrivateKey(p256)
	sec1 := encodePEM(t, "EC PRIVATE KEY", sec1DER, err)
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	join := func(blocks ...[]byte) []byte { return bytes.Join(blocks, nil) }
	for _, tt := range []struct {
		name string
		pem  []byte
		alg  string
		keys int
	}{
		{"P-256 SEC 1", sec1, "ES256", 1},
		{"P-256 SEC 1 after its parameters", join(params, sec1), "ES256", 1},
		{"P-256 PKCS 8", pkcs8(t, p256), "ES256", 1},
		{"Ed25519", pkcs8(t, edKey), "EdDSA", 1},
		{"RSA PKCS 8", pkcs8(t, rsaKey), "RS256", 1},
		{"RSA PKCS 1", encodePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "RS256", 1},
		{"several, newest first", join(pkcs8(t, edKey), []byte("# older ones\n\n"), pkcs8(t, rsaKey), sec1), "EdDSA", 3},
		{"twice the same in two forms", join(sec1, pkcs8(t, p256)), "ES256", 1},
		{"CRLF and space around", []byte(" \r\n" + strings.ReplaceAll(string(sec1), "\n", "\r\n") + "\r\n "), "ES256", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The secret's key is not published beside them.
			s := newTestSigner(t, SignerConfig{PEM: tt.pem, Secrets: [][]byte{secret(1)}})
			kids, keys := publicKeys(t, s.JWKS())
			if len(kids) != tt.keys {
				t.Errorf("%d keys, want %d", len(kids), tt.keys)
			}
			token, _, err := s.Sign(fullClaims())
			if err != nil {
				t.Fatal(err)
			}
			if header, _ := verifyPlain(t, token, keys); header["alg"] != tt.alg || header["kid"] != kids[0] {
				t.Errorf("header %v, want %s by %s", header, tt.alg, kids[0])
			}
			if _, err := verifyStrict(token, keys, t0.Add(time.Second), tt.alg); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPEMFaults(t *testing.T) {
	good := string(pkcs8(t, ecKey(t, elliptic.P256())))
	p384 := string(pkcs8(t, ecKey(t, elliptic.P384())))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(small.Public())
	public := string(encodePEM(t, "PUBLIC KEY", publicDER, err))
	block := func(kind, body string, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(body), Headers: headers}))
	}
	for _, tt := range []struct{ name, pem, want string }{
		{"not PEM", "c2VjcmV0", "no PEM private key"},
		{"only space", " \n", "no PEM private key"},
		{"escaped line breaks", strings.ReplaceAll(good, "\n", `\n`), "block 1 is damaged: its line breaks"},
		{"public key", public, "block 1: not a private key"},
		{"certificate second", good + block("CERTIFICATE", "x", nil), "block 2: not a private key"},
		{"wrong curve second", good + p384, "block 2: the curve is P-384"},
		{"weak RSA third", good + good + string(pkcs8(t, small)), "block 3: the RSA key has 1024 bits"},
		{"encrypted PKCS 8", block("ENCRYPTED PRIVATE KEY", "x", nil), "block 1: the key is protected"},
		{"encrypted PKCS 1", block("RSA PRIVATE KEY", "x", map[string]string{"Proc-Type": "4,ENCRYPTED"}), "block 1: the key is protected"},
		{"OpenSSH", block("OPENSSH PRIVATE KEY", "x", nil), "block 1: OpenSSH"},
		{"other kind of DER", strings.ReplaceAll(good, "PRIVATE KEY", "RSA PRIVATE KEY"), "block 1: the key cannot be decoded"},
		{"junk inside", block("PRIVATE KEY", "junk", nil), "block 1: the key cannot be decoded"},
		{"cut first of two", good[:80] + "\n" + good, "block 1 is damaged"},
		{"cut second of two", good + good[:len(good)-10], "block 2 is damaged"},
		{"bad base64", strings.Replace(good, "M", "!", 1), "block 1 is damaged"},
		{"only parameters", block("EC PARAMETERS", "x", nil), "no PEM private key"},
	} {
		_, err := NewSigner(SignerConfig{PEM: []byte(tt.pem), Issuer: issuer, Audience: audience})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			continue
		}
		for _, line := range strings.Fields(tt.pem) {
			if len(line) > 20 && strings.Contains(err.Error(), line) {
				t.Errorf("%s: the error repeats the input: %v", tt.name, err)
			}
		}
	}
}

func FuzzPEM(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN -----BEGIN EC PRIVATE KEY-----\n-----END "))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parsePEM(b)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	})
}
