package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
)

// The names of what is compared, as the table has them.
const (
	nameGateway = "wxgate, logged in"
	nameNginx   = "nginx"
	nameHAProxy = "haproxy"
	nameTuned   = "ReverseProxy, tuned transport"
	nameStock   = "ReverseProxy, default transport"
)

const noPeer = "%s is not on PATH; its row is left out. Install it, or add its folder (often /usr/sbin) to PATH."

// startPeers starts all that can be started here, without the gateway.
func (s *stage) startPeers(r *report) ([]*process, error) {
	var peers []*process
	for _, start := range []func() (*process, error){s.startNginx, s.startHAProxy, s.startTuned, s.startStock} {
		p, err := start()
		if lacks, ok := err.(missing); ok {
			r.note(noPeer, string(lacks))
			continue
		}
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}

// missing is a program that is not on this machine.
type missing string

func (m missing) Error() string { return string(m) + " is not on PATH" }

// nginxConfig: one worker in one process, so that one account has all its time
// and killing it leaves nobody behind; no access log; as many kept connections
// to the app as it ever needs.
const nginxConfig = `daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	client_body_temp_path %[1]s/nginx-body;
	proxy_temp_path %[1]s/nginx-proxy;
	fastcgi_temp_path %[1]s/nginx-fastcgi;
	uwsgi_temp_path %[1]s/nginx-uwsgi;
	scgi_temp_path %[1]s/nginx-scgi;
	upstream app {
		server %[2]s;
		keepalive 512;
		keepalive_requests 1000000000;
	}
	server {
		listen %[3]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Connection "";
		}
	}
}
`

func (s *stage) startNginx() (*process, error) {
	return s.startConfigured(nameNginx, "nginx", nginxConfig, func(file string) []string {
		return []string{"-e", "stderr", "-p", s.dir, "-c", file}
	})
}

// haproxyConfig: one thread, no log, connections to the app shared by all clients.
const haproxyConfig = `global
	nbthread 1
	maxconn 8192
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	http-reuse always
frontend front
	bind %[3]s
	default_backend app
backend app
	server app %[2]s
`

func (s *stage) startHAProxy() (*process, error) {
	return s.startConfigured(nameHAProxy, "haproxy", haproxyConfig, func(file string) []string {
		return []string{"-db", "-f", file}
	})
}

// startConfigured starts a program with a configuration file that is made of
// the run's folder, the app's address and the program's own.
func (s *stage) startConfigured(name, program, config string, args func(file string) []string) (*process, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, missing(program)
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, program+".conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, s.dir, s.app.addr, addr), 0o600); err != nil {
		return nil, err
	}
	p, err := s.start(command{name: name, path: path, args: args(file)})
	if err != nil {
		return nil, err
	}
	p.addr = addr
	return p, p.listening(s.ctx)
}

// stockSettings choose the transport of a ReverseProxy.
type stockSettings struct {
	App   string
	Tuned bool
}

func (s *stage) startTuned() (*process, error) {
	return s.startReverseProxy(nameTuned, stockSettings{App: s.app.addr, Tuned: true})
}

func (s *stage) startStock() (*process, error) {
	return s.startReverseProxy(nameStock, stockSettings{App: s.app.addr})
}

func (s *stage) startReverseProxy(name string, settings stockSettings) (*process, error) {
	p, err := s.startRole("stock", settings)
	if err != nil {
		return nil, err
	}
	p.name = name
	p.addr, err = p.line()
	return p, err
}

// playStock is what anybody writes who wants a reverse proxy in Go: no login,
// no log, no metrics.
func playStock(settings []byte, ended <-chan struct{}) error {
	var c stockSettings
	if err := json.Unmarshal(settings, &c); err != nil {
		return err
	}
	l, err := announce(ended)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.Tuned {
		// With the default of 2, most replies end in a closed connection.
		transport.MaxIdleConnsPerHost = 512
		transport.MaxIdleConns = 512
	}
	app := &url.URL{Scheme: "http", Host: c.App}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(app)
			r.Out.Host = r.In.Host
		},
	}
	return unlessEnded((&http.Server{Handler: proxy}).Serve(l))
}
