package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wxgate/session/storetest"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	s := newStage(t, "WXGATE_SHUTDOWN_DELAY=2s", "WXGATE_SHUTDOWN_GRACE=25s")
	p := s.start()
	v := s.visitor("aqiang")
	v.login()
	conn := v.websocket()
	slow := make(chan answer, 1)
	go func() {
		a, err := v.do(http.MethodGet, "/slow")
		if err != nil {
			t.Errorf("the slow request: %v", err)
		}
		slow <- a
	}()
	<-s.app.reached

	told := time.Now()
	p.signal(syscall.SIGTERM)
	eventually(t, time.Second, "not ready any more", func() bool { return probe(s.admin, "/readyz") == http.StatusServiceUnavailable })
	if status := probe(s.admin, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d while draining", status)
	}
	if _, status := v.who(); status != http.StatusOK {
		t.Errorf("a request within the delay got %d", status)
	}
	say(t, conn, "still here")

	// Then no new connections, and WebSockets are told.
	if _, _, err := read(conn); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %v, want close status 1001", err)
	}
	if early := time.Since(told); early < 2*time.Second {
		t.Errorf("the WebSocket was closed after %v, within the delay", early)
	}
	eventually(t, patience, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", s.listen)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if !p.running() {
		t.Fatal("wxgate did not wait for the slow request")
	}
	s.app.letGo()
	if a := <-slow; a.status != http.StatusOK || a.body != "slow but whole" {
		t.Errorf("the slow request got %d %q", a.status, a.body)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d after a drain", code)
	}
}

func TestGraceIsBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t, "WXGATE_SHUTDOWN_GRACE=300ms")
	p := s.start()
	v := s.visitor("aqiang")
	v.login()
	cut := make(chan error, 1)
	go func() {
		_, err := v.do(http.MethodGet, "/slow")
		cut <- err
	}()
	<-s.app.reached
	p.signal(os.Interrupt)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if err := <-cut; err == nil {
		t.Error("the request that nobody answered was answered")
	}
	if !strings.Contains(p.stderr.String(), "cut off") {
		t.Error("the log does not say that requests were cut off")
	}
}

func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, signals := range [][2]os.Signal{{syscall.SIGTERM, syscall.SIGTERM}, {os.Interrupt, os.Interrupt}} {
		t.Run(fmt.Sprint(signals[0]), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "WXGATE_SHUTDOWN_DELAY=10m")
			p := s.start()
			p.signal(signals[0])
			eventually(t, patience, "not ready any more", func() bool { return probe(s.admin, "/readyz") == http.StatusServiceUnavailable })
			p.signal(signals[1])
			if code := p.exit(); code == exitOK {
				t.Error("a run that was cut short counts as a success")
			}
		})
	}
}

// TestStartsThatFail wants an exit code and, but for faulty configurations, exactly one line that names the variable
// and the reason.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	folder := t.TempDir()
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no store file\n", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	owner := newStage(t)
	owner.start()
	for name, c := range map[string]struct {
		setting string
		code    int
		want    []string
	}{
		"port in use":          {"WXGATE_LISTEN=" + taken.Addr().String(), exitFailure, []string{"WXGATE_LISTEN", taken.Addr().String(), "in use"}},
		"admin port in use":    {"WXGATE_ADMIN_LISTEN=" + taken.Addr().String(), exitFailure, []string{"WXGATE_ADMIN_LISTEN", "in use"}},
		"store in use":         {"WXGATE_STORE_URL=" + owner.env["WXGATE_STORE_URL"], exitFailure, []string{"WXGATE_STORE_URL", "in use by another process"}},
		"store in no folder":   {"WXGATE_STORE_URL=bolt:" + folder + "/nowhere/wxgate.db", exitFailure, []string{"WXGATE_STORE_URL", "nowhere", "no such file"}},
		"store is a folder":    {"WXGATE_STORE_URL=bolt:" + folder, exitFailure, []string{"WXGATE_STORE_URL", folder, "is a directory"}},
		"store is a text file": {"WXGATE_STORE_URL=bolt:" + text, exitFailure, []string{"WXGATE_STORE_URL", text, "invalid"}},
		"one fault":            {"WXGATE_UPSTREAM=ftp://127.0.0.1", exitUsage, []string{"WXGATE_UPSTREAM"}},
		"unknown name":         {"WXGATE_UPSTREAMS=http://127.0.0.1:1", exitUsage, []string{"WXGATE_UPSTREAMS", "WXGATE_UPSTREAM"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.setting)
			p := launch(t, s.env)
			if code := p.exit(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(p.stderr.String(), want) {
					t.Errorf("no %q in %s", want, p.stderr)
				}
			}
			if lines := p.stderr.lines(); c.code == exitFailure && len(lines) != 1 {
				t.Errorf("%d lines instead of one:\n%s", len(lines), p.stderr)
			}
		})
	}
}

func TestAllFaultsOfAnEnvironment(t *testing.T) {
	t.Parallel()
	p := launch(t, map[string]string{
		"WXGATE_PUBLIC_URL": "ftp://x", "WXGATE_SECRETS": "guessable-secret", "WXGATE_LISTEN": "nowhere",
		"WXGATE_SHUTDOWN_DELAY": "-1s", "WXGATE_STORE_URL": "mysql://x", "WXGATE_WHAT": "1",
		"WXGATE_MP_APP_ID": stageAppID,
	})
	if code := p.exit(); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	said := p.stderr.String()
	for _, name := range []string{
		"WXGATE_PUBLIC_URL", "WXGATE_SECRETS", "WXGATE_LISTEN", "WXGATE_SHUTDOWN_DELAY", "WXGATE_STORE_URL", "WXGATE_WHAT",
		"WXGATE_UPSTREAM", "WXGATE_MP_APP_SECRET",
	} {
		if !strings.Contains(said, name) {
			t.Errorf("nothing about %s in:\n%s", name, said)
		}
	}
	if strings.Contains(said, "guessable-secret") {
		t.Errorf("a secret was printed:\n%s", said)
	}
}

func TestRedisDownAtTheStart(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	redis.Stop()
	s := newStage(t, "WXGATE_STORE_URL="+redis.URL)
	p := launch(t, s.env)
	eventually(t, patience, "wxgate lives", func() bool { return probe(s.admin, "/healthz") == http.StatusOK })
	status, why := fetch("http://" + s.admin + "/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(why, "store") {
		t.Errorf("/readyz answers %d %q", status, why)
	}
	v := s.visitor("aqiang")
	callback := v.begin("/")
	if a, err := v.page(callback); err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a callback without a store: %v, %d %v", err, a.status, a.header)
	}
	const complaint = "the store does not answer"
	if !within(5*time.Second, func() bool { return strings.Contains(p.stderr.String(), complaint) }) {
		t.Error("the log does not say that the store is away")
	}

	redis.Restart()
	eventually(t, patience, "ready", func() bool { return probe(s.admin, "/readyz") == http.StatusOK })
	if n := strings.Count(p.stderr.String(), complaint); n != 1 {
		t.Errorf("the log says %d times that the store is away", n)
	}
	user := v.login()

	// Gone again: who is logged in stays so, and nobody else comes in.
	redis.Stop()
	eventually(t, patience, "not ready", func() bool { return probe(s.admin, "/readyz") == http.StatusServiceUnavailable })
	if still, status := v.who(); still != user {
		t.Errorf("with Redis away the app was told of %q (%d), before of %q", still, status, user)
	}
	stranger := s.visitor("nameless")
	if a, err := stranger.page(stranger.begin("/")); err != nil || a.status != http.StatusServiceUnavailable || stranger.cookie() != "" {
		t.Errorf("a callback with Redis away: %v, %d", err, a.status)
	}
	redis.Restart()
	eventually(t, patience, "ready again", func() bool { return probe(s.admin, "/readyz") == http.StatusOK })
	if still, status := v.who(); still != user {
		t.Errorf("with Redis back the app was told of %q (%d), before of %q", still, status, user)
	}
	stranger.login()
	if n := strings.Count(p.stderr.String(), complaint); n != 2 {
		t.Errorf("the log says %d times that the store is away, which it was twice", n)
	}
}

// websocket opens one with the visitor's cookies.
func (v *visitor) websocket() *websocket.Conn {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := *v.client
	client.Timeout = 0
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(v.public, "http")+"/ws", &websocket.DialOptions{HTTPClient: &client})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { conn.CloseNow() })
	say(v.t, conn, "hello")
	return conn
}

// say wants the echo of the toy app.
func say(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, echo, err := read(conn); err != nil || string(echo) != text+text {
		t.Fatalf("the WebSocket said %q, %v", echo, err)
	}
}

func read(conn *websocket.Conn) (websocket.MessageType, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return conn.Read(ctx)
}
