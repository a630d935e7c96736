package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"wxgate/wechat/wechattest"
)

// errNeedsRedis leaves a section out on a machine without redis-server.
var errNeedsRedis = errors.New("redis-server is not on PATH")

const (
	appID     = "wx00000000000000be"
	appSecret = "5f3c1d0b9a8e7f6d5c4b3a2918070605"
)

// stage is all that stands around what is measured: the app, the store, the
// simulated WeChat, and the surroundings of the gateway.
type stage struct {
	options
	ctx       context.Context
	stop      context.CancelFunc
	stderr    io.Writer
	dir       string // everything that is written
	processes []*process

	app     *process
	wechat  *wechattest.Server
	redis   *process // nil without redis-server
	storeAt string   // where gateways find Redis, if not at its own address
	secret  [32]byte
	binary  string // the gateway
	listen  string // its address, the same for each gateway of the run: sessions are bound to the public URL
	admin   string
	cookie  string // of somebody who is logged in, "wxgate=…"
}

// newStage starts what every section needs, a login included.
func newStage(ctx context.Context, o options, stderr io.Writer) (_ *stage, err error) {
	s := &stage{options: o, stderr: stderr}
	s.ctx, s.stop = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "wxgate-bench-"); err != nil {
		return nil, err
	}
	raiseFileLimit()
	rand.Read(s.secret[:])
	if s.binary, err = s.gatewayBinary(); err != nil {
		return nil, err
	}
	if s.app, err = s.startRole("app", nil); err != nil {
		return nil, err
	}
	if s.app.addr, err = s.app.line(); err != nil {
		return nil, err
	}
	if err = s.startRedis(); err != nil {
		return nil, err
	}
	s.wechat = wechattest.NewServer(wechattest.App{
		ID: appID, Secret: appSecret, Name: "bench", CallbackHosts: []string{"127.0.0.1"}, Bound: true,
	})
	if s.listen, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	gate, err := s.startGateway()
	if err != nil {
		return nil, err
	}
	defer gate.stop()
	v := s.newVisitor("xiaomei")
	if _, err = v.login(s.ctx); err != nil {
		return nil, err
	}
	s.cookie = v.cookie()
	return s, nil
}

// close stops everything and removes what was written.
func (s *stage) close() {
	s.stop()
	for _, p := range s.processes {
		p.stop()
	}
	if s.wechat != nil {
		s.wechat.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// say tells whoever waits what goes on.
func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(s.stderr, "bench: "+format+"\n", args...)
}

// startRedis leaves s.redis nil where there is none: the gateway then has its
// embedded store. Nothing is kept on disk.
func (s *stage) startRedis() error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		s.say("redis-server is not on PATH: the gateway uses its embedded store, and what counts store commands is left out")
		return nil
	}
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(addr)
	s.redis, err = s.start(command{name: "redis-server", path: program, args: []string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no",
		"--appendonly", "no", "--save", "", "--maxmemory-policy", "noeviction",
	}})
	if err != nil {
		return err
	}
	s.redis.addr = addr
	return s.redis.listening(s.ctx)
}

func (s *stage) storeURL() string {
	switch {
	case s.redis == nil:
		return "bolt:" + filepath.Join(s.dir, "wxgate.db")
	case s.storeAt != "":
		return "redis://" + s.storeAt
	}
	return "redis://" + s.redis.addr
}

// freeAddress finds a loopback port for programs that cannot choose one
// themselves. It looks below those that systems hand out for connections, so
// that none of the thousands made here takes it in between.
func freeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 15000+mathrand.IntN(14000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address, nil
		}
	}
	return "", errors.New("no free port between 15000 and 29000 on 127.0.0.1; stop what holds them")
}
