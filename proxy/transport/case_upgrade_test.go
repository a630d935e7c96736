package transport_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wxgate/proxy/transport"
)

const switching = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: echo\n\n"

func upgrading(t *testing.T) *http.Request {
	req := newRequest(t, "GET", "/socket", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	return req
}

// upgrade asks for another protocol and gets it.
func upgrade(t *testing.T, rt http.RoundTripper) io.ReadWriteCloser {
	t.Helper()
	res, err := rt.RoundTrip(upgrading(t))
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "echo" || res.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("got %s %q", res.Status, res.Header)
	}
	rw, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("the body is a %T", res.Body)
	}
	return rw
}

// expectRead reads what must come.
func expectRead(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

func TestUpgrade(t *testing.T) {
	for name, listen := range map[string]func(testing.TB, func(*peer)) *upstream{"tcp": newUpstream, "unix": newUnixUpstream} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k kind) {
				up := listen(t, func(p *peer) {
					if head := p.head(); !strings.Contains(head, "\r\nConnection: Upgrade\r\n") || !strings.Contains(head, "\r\nUpgrade: echo\r\n") {
						t.Errorf("sent %q", head)
					}
					p.say(switching + "the first bytes") // in one piece
					io.Copy(p.Conn, p.R)
				})
				rw := upgrade(t, k.open(t, up, transport.Config{}))
				expectRead(t, rw, "the f")
				io.WriteString(rw, "ping")
				expectRead(t, rw, "irst bytesping")
				io.WriteString(rw, strings.Repeat("x", 10000))
				expectRead(t, rw, strings.Repeat("x", 10000))
				if err := rw.Close(); err != nil {
					t.Error(err)
				}
				if _, err := rw.Read(make([]byte, 1)); err == nil {
					t.Error("read after close")
				}
			})
		})
	}
}

// Each direction ends by itself.
func TestUpgradeHalfClosed(t *testing.T) {
	for name, listen := range map[string]func(testing.TB, func(*peer)) *upstream{"tcp": newUpstream, "unix": newUnixUpstream} {
		t.Run(name, func(t *testing.T) {
			nothingLeft(t)
			up := listen(t, func(p *peer) {
				p.head()
				p.say(switching)
				all, _ := io.ReadAll(p.R)
				p.raw("got " + string(all))
			})
			rw := upgrade(t, ours.open(t, up, transport.Config{}))
			defer rw.Close()
			io.WriteString(rw, "ping")
			if err := rw.(*transport.Upgraded).CloseWrite(); err != nil {
				t.Error(err)
			}
			if all, err := io.ReadAll(rw); err != nil || string(all) != "got ping" {
				t.Errorf("read %q, %v", all, err)
			}
		})
	}
	t.Run("by the app", func(t *testing.T) {
		each(t, func(t *testing.T, k kind) {
			got := make(chan string)
			up := newUpstream(t, func(p *peer) {
				p.head()
				p.say(switching + "bye")
				p.Conn.(*net.TCPConn).CloseWrite()
				all, _ := io.ReadAll(p.R)
				got <- string(all)
			})
			rw := upgrade(t, k.open(t, up, transport.Config{}))
			if all, err := io.ReadAll(rw); err != nil || string(all) != "bye" {
				t.Errorf("read %q, %v", all, err)
			}
			io.WriteString(rw, "still here")
			rw.Close()
			if all := await(t, got, "the rest"); all != "still here" {
				t.Errorf("the app read %q", all)
			}
		})
	})
}

func TestUpgradeHijacked(t *testing.T) {
	nothingLeft(t)
	up := newUpstream(t, func(p *peer) {
		p.head()
		p.say(switching + "the first bytes")
		io.Copy(p.Conn, p.R)
	})
	conn, first := upgrade(t, ours.open(t, up, transport.Config{HeaderTimeout: patience})).(*transport.Upgraded).Hijack()
	defer conn.Close()
	if _, ok := conn.(*net.TCPConn); !ok {
		t.Errorf("the connection is a %T", conn)
	}
	br := bufio.NewReader(io.MultiReader(strings.NewReader(string(first)), conn))
	io.WriteString(conn, "ping")
	expectRead(t, br, "the first bytesping")
}

// Reading and writing go on at the same time, and Close ends both.
func TestUpgradeClosedWhileInUse(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			p.head()
			p.say(switching)
			p.hang()
		})
		rw := upgrade(t, k.open(t, up, transport.Config{}))
		ended := make(chan error, 2)
		go func() { _, err := rw.Read(make([]byte, 1)); ended <- err }()
		go func() { _, err := io.Copy(rw, zeros{}); ended <- err }()
		rw.Close()
		for range 2 {
			if err := await(t, ended, "the end"); err == nil {
				t.Error("no error")
			}
		}
	})
}

// The clock of the reply's header has no part in what comes after it.
func TestUpgradeStaysSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, k kind) {
		up := newPipeUpstream(t, func(p *peer) {
			p.head()
			p.say(switching)
			io.Copy(p.Conn, p.R)
		})
		rw := upgrade(t, k.open(t, up, transport.Config{HeaderTimeout: 5 * time.Second}))
		defer rw.Close()
		for range 3 {
			go func() {
				time.Sleep(time.Hour)
				io.WriteString(rw, "ping")
			}()
			expectRead(t, rw, "ping")
		}
	})
}

// An app may decline, with an ordinary reply.
func TestUpgradeDeclined(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		up := newUpstream(t, func(p *peer) {
			for {
				p.head()
				p.say(own)
			}
		})
		rt := k.open(t, up, transport.Config{})
		for range 2 {
			if res, body := do(t, rt, upgrading(t)); res.StatusCode != http.StatusOK || body != "own" {
				t.Errorf("%s %q", res.Status, body)
			}
		}
		if n := up.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// A client that asked for no other protocol would be handed a connection that
// speaks one, and the next request with it.
func TestUpgradeThatNobodyAskedFor(t *testing.T) {
	nothingLeft(t)
	up := newUpstream(t, func(p *peer) {
		p.head()
		p.say(switching + own)
		p.drain()
	})
	rt := ours.open(t, up, transport.Config{})
	for range 2 {
		if res, err := rt.RoundTrip(newRequest(t, "GET", "/", nil)); err == nil {
			res.Body.Close()
			t.Errorf("answered %s", res.Status)
		}
	}
	if n := up.count(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// A long-lived connection takes no place of those that serve requests.
func TestUpgradedConnectionsAreNotCounted(t *testing.T) {
	nothingLeft(t)
	up := newUpstream(t, func(p *peer) {
		if strings.Contains(p.head(), "/socket") {
			p.say(switching)
			io.Copy(p.Conn, p.R)
			return
		}
		p.say(own)
		p.drain()
	})
	rt := ours.open(t, up, transport.Config{MaxConns: 1})
	for range 3 {
		rw := upgrade(t, rt)
		defer rw.Close()
		io.WriteString(rw, "ping")
		expectRead(t, rw, "ping")
	}
	do(t, rt, newRequest(t, "GET", "/", nil))
	if n := up.count(); n != 4 {
		t.Errorf("%d connections", n)
	}
}
