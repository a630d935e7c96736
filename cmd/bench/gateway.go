package main

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gatewayBinary builds the gateway of the module that this program is run in, as
// the Dockerfile does.
func (s *stage) gatewayBinary() (string, error) {
	if s.wxgate != "" {
		path, err := filepath.Abs(s.wxgate)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("-wxgate names no file: %w", err)
		}
		return path, nil
	}
	path := filepath.Join(s.dir, "wxgate.exe") // a name that every system runs
	build := exec.CommandContext(s.ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, "wxgate/cmd/wxgate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s\nrun this inside the module, or give a built gateway with -wxgate", err, out)
	}
	return path, nil
}

func (s *stage) logFile() string { return filepath.Join(s.dir, "wxgate.log") }

// gatewayEnvironment is the gateway as a team would run it: one log record for
// each request, identity headers and an assertion for the app.
func (s *stage) gatewayEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WXGATE_") {
			env = append(env, v)
		}
	}
	return append(env,
		"WXGATE_LISTEN="+s.listen,
		"WXGATE_ADMIN_LISTEN="+s.admin,
		"WXGATE_PUBLIC_URL=http://"+s.listen,
		"WXGATE_UPSTREAM=http://"+s.app.addr,
		"WXGATE_SECRETS="+base64.RawURLEncoding.EncodeToString(s.secret[:]),
		"WXGATE_STORE_URL="+s.storeURL(),
		"WXGATE_LOGIN_RATE=100000000/s", // all visitors come from one address here
		"WXGATE_LOG_LEVEL=info",
		"WXGATE_MP_APP_ID="+appID,
		"WXGATE_MP_APP_SECRET="+appSecret,
		"WXGATE_WECHAT_API_URL="+s.wechat.URL,
		"WXGATE_WECHAT_OPEN_URL="+s.wechat.URL,
		"WXGATE_SHUTDOWN_DELAY=1ms",
	)
}

// launchGateway starts a gateway and does not wait for it.
func (s *stage) launchGateway() (*process, error) {
	p, err := s.start(command{name: "wxgate", path: s.binary, args: []string{"serve"}, env: s.gatewayEnvironment(), log: s.logFile()})
	if err == nil {
		p.addr = s.listen
	}
	return p, err
}

// startGateway starts one and waits until it is ready. There is one at a time.
func (s *stage) startGateway() (*process, error) {
	s.emptyLog()
	p, err := s.launchGateway()
	if err != nil {
		return nil, err
	}
	if err := p.await(s.ctx, time.Millisecond, s.ready); err != nil {
		log, _ := os.ReadFile(s.logFile())
		p.said.Write(log)
		p.stop()
		return nil, p.fault(err)
	}
	return p, nil
}

// ready asks /readyz without any of the costs of an HTTP client.
func (s *stage) ready() bool {
	c, err := net.DialTimeout("tcp", s.admin, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(c, "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", s.admin)
	reply := make([]byte, len("HTTP/1.1 200"))
	n, _ := c.Read(reply)
	return string(reply[:n]) == "HTTP/1.1 200"
}

// emptyLog keeps the gateway's log from filling the disk. Records are appended,
// so the gateway goes on at the new end.
func (s *stage) emptyLog() { os.Truncate(s.logFile(), 0) }
