package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

// The tests in the files e2e_*_test.go and demo_test.go run wxgate as a process of its own, with nothing but its
// environment, between a simulated WeChat, a simulated Yunxin and a toy app that live in the test's process.

const (
	stageAppID  = "wx00000000000000e2"
	stageSecret = "5f3c1d0b9a8e7f6d5c4b3a2918070605"
)

// patience bounds every wait for something that has to come; a loaded machine may need most of it.
const patience = 30 * time.Second

// eventually looks again and again until ok, at most for the given time.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	if !within(limit, ok) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

func within(limit time.Duration, ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) lines() []string {
	return strings.FieldsFunc(o.String(), func(r rune) bool { return r == '\n' })
}

// program is a running wxgate.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	exited         chan struct{}
}

// launch starts this test binary as wxgate (see TestMain), with these variables and no other one of ours. It ends with
// the test at the latest.
func launch(t *testing.T, env map[string]string, args ...string) *program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limited, release := untilDeadline(t)
	t.Cleanup(release)
	p := &program{t: t, cmd: exec.CommandContext(limited, exe), stdout: &output{}, stderr: &output{}, exited: make(chan struct{})}
	p.cmd.Args = append([]string{"wxgate"}, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir, "TMPDIR=" + p.cmd.Dir}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if strings.Contains(p.stderr.String(), "DATA RACE") || t.Failed() {
			t.Errorf("wxgate %s said:\n%s", strings.Join(args, " "), p.stderr)
		}
	})
	return p
}

func (p *program) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// exit waits for the end and returns the exit code, -1 if a signal was the end.
func (p *program) exit() int {
	p.t.Helper()
	eventually(p.t, patience, "the process ends", func() bool { return !p.running() })
	return p.cmd.ProcessState.ExitCode()
}

// untilDeadline ends a little before go test gives up, when no clean-up would run any more: no process is left behind.
func untilDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	deadline, ok := t.Deadline()
	if !ok {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), deadline.Add(-5*time.Second))
}

// portBase begins below the ports that systems hand out by themselves, so that nobody takes one between two runs of
// the same program.
var portBase = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(15000 + rand.Int32N(14000))
	return &n
}()

func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", portBase.Add(1))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// stage is all that stands around wxgate.
type stage struct {
	t      *testing.T
	wechat *wechattest.Server
	yunxin *yunxintest.Simulator
	im     holdable // in front of yunxin
	app    *toyApp
	appAt  *httptest.Server
	listen string // where browsers go
	admin  string
	env    map[string]string
}

// newStage prepares the surroundings and the environment for one wxgate on a bolt file; settings ("NAME=value") are
// added to it.
func newStage(t *testing.T, settings ...string) *stage {
	t.Helper()
	s := &stage{t: t, yunxin: yunxintest.New(yunxintest.Config{PerSecond: 10_000}), app: newToyApp(), listen: freeAddress(t), admin: freeAddress(t)}
	s.wechat = wechattest.NewServer(wechattest.App{
		ID: stageAppID, Secret: stageSecret, Name: "开心抓娃娃", CallbackHosts: []string{"127.0.0.1"}, Bound: true,
	})
	t.Cleanup(s.wechat.Close)
	s.im.next = s.yunxin
	im := httptest.NewServer(&s.im)
	t.Cleanup(im.Close)
	t.Cleanup(func() { s.im.hold(false) })
	s.appAt = httptest.NewServer(s.app)
	t.Cleanup(s.appAt.Close)
	t.Cleanup(s.app.letGo)
	s.env = map[string]string{
		"WXGATE_LISTEN":       s.listen,
		"WXGATE_ADMIN_LISTEN": s.admin,
		"WXGATE_PUBLIC_URL":   "http://" + s.listen,
		"WXGATE_UPSTREAM":     s.appAt.URL,
		"WXGATE_SECRETS":      keyA,
		"WXGATE_STORE_URL":    "bolt:" + filepath.Join(t.TempDir(), "wxgate.db"),
		"WXGATE_ROUTES":       "public /public; profile /named",
		// The tests are one address with the habits of a crowd.
		"WXGATE_LOGIN_RATE":        "10000/s",
		"WXGATE_MP_APP_ID":         stageAppID,
		"WXGATE_MP_APP_SECRET":     stageSecret,
		"WXGATE_WECHAT_API_URL":    s.wechat.URL,
		"WXGATE_WECHAT_OPEN_URL":   s.wechat.URL,
		"WXGATE_YUNXIN_APP_KEY":    yunxintest.AppKey,
		"WXGATE_YUNXIN_APP_SECRET": yunxintest.AppSecret,
		"WXGATE_YUNXIN_URLS":       im.URL,
		"WXGATE_SHUTDOWN_DELAY":    "1ms",
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		s.env[name] = value
	}
	return s
}

// start runs wxgate and waits until it is ready.
func (s *stage) start() *program {
	s.t.Helper()
	p := launch(s.t, s.env, "serve")
	eventually(s.t, patience, "wxgate is ready", func() bool {
		if !p.running() {
			s.t.Fatal("wxgate ended at its start")
		}
		return probe(s.admin, "/readyz") == http.StatusOK
	})
	return p
}

// probe asks the admin listener; 0 means that nobody answers.
func probe(admin, path string) int {
	status, _ := fetch("http://" + admin + path)
	return status
}

func fetch(address string) (status int, body string) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(address)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}
