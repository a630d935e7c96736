package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"wxgate/session"
	"wxgate/session/boltstore"
	"wxgate/wechat/wechattest"
)

// A real nginx, with the very file that deploy/front-proxies offers, stands
// between a browser and a toy app and asks the real gateway.

const playHost = "play.example.com"

// fronted is a world behind a front proxy that speaks https as playHost.
type fronted struct {
	*world
	app    *httptest.Server
	roots  *x509.CertPool
	listen net.Listener // of the front proxy
}

// behindFront starts everything but the front proxy itself, which is to
// inherit the listener: it is open already, so nobody has to wait for it.
func behindFront(t *testing.T, app http.HandlerFunc, opts ...option) *fronted {
	t.Helper()
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "wxgate.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bolt.Close() })
	f := &fronted{world: newWorldOn(t, bolt, 0, app)}
	f.wechat = wechattest.NewServer(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{playHost}})
	t.Cleanup(f.wechat.Close)
	f.app = httptest.NewServer(f.world.app)
	t.Cleanup(f.app.Close)
	if f.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.listen.Close() })

	secret := sha256.Sum256([]byte("a secret of the tests"))
	f.add(f.app.URL, append([]option{func(c *Config) {
		c.PublicURL = &url.URL{Scheme: "https", Host: playHost}
		c.ForwardAuth, c.Upstreams = true, nil
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		c.Sessions, err = session.NewManager(session.Config{
			Store: f.store, Secrets: [][]byte{secret[:]}, TTL: 720 * time.Hour, Idle: 168 * time.Hour, Now: f.clock.now, Secure: true,
		})
		if err != nil {
			t.Fatal(err)
		}
	}}, opts...)...)
	return f
}

// certificate writes a fresh one for playHost and returns the two paths.
func (f *fronted) certificate(dir string) (cert, key string) {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: playHost}, DNSNames: []string{playHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		f.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		f.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatal(err)
	}
	f.roots = x509.NewCertPool()
	f.roots.AddCert(parsed)
	cert, key = filepath.Join(dir, "play.crt"), filepath.Join(dir, "play.key")
	writeFile(f.t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(f.t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	return cert, key
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startNginx runs nginx with the example until the test ends.
func (f *fronted) startNginx() {
	t := f.t
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // which is not on everybody's PATH
	}
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "nginx") {
			t.Fatal("no nginx on PATH, and WXGATE_TEST_REQUIRE names it")
		}
		t.Skip("no nginx on PATH")
	}
	text, err := os.ReadFile("../deploy/front-proxies/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := f.certificate(dir)
	example := string(text)
	for _, r := range [][2]string{
		{"server 127.0.0.1:8080;", "server " + f.addr() + ";"},
		{"server 127.0.0.1:3000;", "server " + strings.TrimPrefix(f.app.URL, "http://") + ";"},
		{"listen 443 ssl;", "listen " + f.listen.Addr().String() + " ssl;"},
		{"/etc/nginx/tls/play.example.com.crt", cert},
		{"/etc/nginx/tls/play.example.com.key", key},
	} {
		if strings.Count(example, r[0]) != 1 {
			t.Fatalf("the example has not exactly one %q", r[0])
		}
		example = strings.Replace(example, r[0], r[1], 1)
	}
	writeFile(t, filepath.Join(dir, "wxgate.conf"), example)
	main := "daemon off; worker_processes 1; pid DIR/pid; error_log stderr warn; events {}\nhttp { access_log off; include DIR/wxgate.conf;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += kind + "_temp_path DIR/" + kind + ";\n"
	}
	if os.Geteuid() == 0 {
		main = "user root;\n" + main // nobody else may enter dir
	}
	main += "}\n"
	writeFile(t, filepath.Join(dir, "nginx.conf"), strings.ReplaceAll(main, "DIR", dir))

	socket, err := f.listen.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	said := &logBuffer{}
	cmd := exec.Command(program, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	cmd.Stdout, cmd.Stderr = said, said
	// A listener to inherit, in the way in which nginx hands its own over to a
	// newer binary (ngx_add_inherited_sockets).
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), "NGINX=3;")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.listen.Close() // now nginx alone holds it: should it not start, it refuses connections
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("nginx ended with %v and said:\n%s", err, said)
		}
	})
}

// visitor is a browser that reaches playHost at the front proxy.
func (f *fronted) visitor(agent string) *browser {
	b := f.browser(agent)
	b.client.Transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == playHost+":443" {
				addr = f.listen.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: f.roots},
	}
	f.t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// raw sends header lines that Go's client would not, and returns the answer.
func (f *fronted) raw(line, fields string) string {
	f.t.Helper()
	c, err := tls.Dial("tcp", f.listen.Addr().String(), &tls.Config{RootCAs: f.roots, ServerName: playHost})
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, crlf(line+" HTTP/1.1\nHost: "+playHost+"\nConnection: close\n"+fields+"\n"))
	got, err := io.ReadAll(bufio.NewReader(c))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(got)
}

// play is an address at the front proxy.
func play(path string) string { return "https://" + playHost + path }

// verify checks an assertion the way an app does, with the keys that wxgate
// publishes.
func (f *fronted) verify(t *testing.T, b *browser, assertion, user string) {
	t.Helper()
	var set struct {
		Keys []struct{ Kty, Crv, Kid, X, Y string }
	}
	if err := json.Unmarshal([]byte(b.fetch(play("/.wxgate/jwks.json")).body), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("the keys: %v %v", err, set)
	}
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(assertion, &claims, func(token *jwt.Token) (any, error) {
		point := []byte{4} // uncompressed: SEC 1, section 2.3.3
		for _, coordinate := range []string{set.Keys[0].X, set.Keys[0].Y} {
			raw, err := base64.RawURLEncoding.DecodeString(coordinate)
			if err != nil {
				return nil, err
			}
			point = append(point, raw...)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired())
	if err != nil || claims.Subject != user {
		t.Errorf("the assertion is of %q, want %s: %v", claims.Subject, user, err)
	}
}
