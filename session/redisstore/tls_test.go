package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, caKey := authority(t, dir, "ca")
	issue(t, dir, "server", ca, caKey)
	issue(t, dir, "client", ca, caKey)
	authority(t, dir, "stranger")
	file := func(name string) string { return filepath.Join(dir, name) }
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	server := storetest.StartRedis(t, "--tls-port", port, "--tls-auth-clients", "yes",
		"--tls-cert-file", file("server.pem"), "--tls-key-file", file("server.key"), "--tls-ca-cert-file", file("ca.pem"))
	addr := "127.0.0.1:" + port
	url := fmt.Sprintf("rediss://%s?ca=%s&cert=%s&key=%s", addr, file("ca.pem"), file("client.pem"), file("client.key"))

	flush := admin(t, server.Addr, "")
	storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
		if err := flush.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return open(t, url, redisstore.Options{}), nil
	})

	pair, err := tls.LoadX509KeyPair(file("client.pem"), file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(ca)
	config := &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}}
	for name, s := range map[string]*redisstore.Store{
		"tls=true":              open(t, strings.Replace(url, "rediss:", "redis:", 1)+"&tls=true", redisstore.Options{}),
		"a configuration":       open(t, "rediss://"+addr, redisstore.Options{TLSConfig: config}),
		"the server's DNS name": open(t, strings.Replace(url, "127.0.0.1", "localhost", 1), redisstore.Options{}),
	} {
		if err := works(t.Context(), s, "k"); err != nil {
			t.Errorf("with %s: %v", name, err)
		}
	}
	withCA := "rediss://" + addr + "?ca="
	for name, url := range map[string]string{
		"the system's certificates":      "rediss://" + addr,
		"another authority":              withCA + file("stranger.pem"),
		"no certificate of our own":      withCA + file("ca.pem"),
		"no TLS":                         "redis://" + addr,
		"a name that the server has not": strings.Replace(url, "127.0.0.1", "127.0.0.2", 1),
	} {
		if err := works(t.Context(), open(t, url, redisstore.Options{}), "k"); err == nil {
			t.Errorf("connected with %s", name)
		}
	}
	if _, err := redisstore.Open("redis://"+server.Addr, redisstore.Options{TLSConfig: config}); err == nil {
		t.Error("a TLS configuration for a plain connection is ignored")
	}
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// authority makes a certificate that signs itself and others, NAME.pem and NAME.key.
func authority(t *testing.T, dir, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return certificate(t, dir, name, template, nil, nil)
}

// issue makes a certificate for servers and clients on the loopback address.
func issue(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) {
	t.Helper()
	template := &x509.Certificate{
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:    []string{"localhost"},
	}
	certificate(t, dir, name, template, ca, caKey)
}

func certificate(t *testing.T, dir, name string, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der},
		name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}
