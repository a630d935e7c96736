package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// jwk is a public key as a JSON Web Key (RFC 7517; parameters of RFC 7518, section 6, and RFC 8037, section 2).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid,omitempty"`
}

// publicJWK describes a public key and names the algorithm that it verifies.
func publicJWK(public crypto.PublicKey) (jwk, jwt.SigningMethod, error) {
	var k jwk
	var method jwt.SigningMethod
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		b, err := p.Bytes() // 0x04, then x and y in 32 bytes each: fixed length, as RFC 7518, section 6.2.1.2 wants
		if err != nil {
			return k, nil, err
		}
		k = jwk{Kty: "EC", Crv: "P-256", X: b64(b[1:33]), Y: b64(b[33:])}
		method = jwt.SigningMethodES256
	case ed25519.PublicKey:
		k = jwk{Kty: "OKP", Crv: "Ed25519", X: b64(p)}
		method = jwt.SigningMethodEdDSA
	case *rsa.PublicKey:
		k = jwk{Kty: "RSA", N: b64(p.N.Bytes()), E: b64(big.NewInt(int64(p.E)).Bytes())}
		method = jwt.SigningMethodRS256
	default:
		return k, nil, fmt.Errorf("unsupported public key %T", public)
	}
	k.Use, k.Alg, k.Kid = "sig", method.Alg(), k.thumbprint()
	return k, method, nil
}

// thumbprint is the hash of the key's required members in lexical order without white space (RFC 7638, section 3; for OKP RFC 8037,
// section 2). The members are base64url, so nothing in them needs JSON escaping.
func (k jwk) thumbprint() string {
	var s string
	switch k.Kty {
	case "EC":
		s = fmt.Sprintf(`{"crv":"%s","kty":"EC","x":"%s","y":"%s"}`, k.Crv, k.X, k.Y)
	case "OKP":
		s = fmt.Sprintf(`{"crv":"%s","kty":"OKP","x":"%s"}`, k.Crv, k.X)
	case "RSA":
		s = fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, k.E, k.N)
	}
	sum := sha256.Sum256([]byte(s))
	return b64(sum[:])
}

func marshalJWKS(keys []jwk) ([]byte, error) {
	return json.Marshal(struct {
		Keys []jwk `json:"keys"`
	}{keys})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
