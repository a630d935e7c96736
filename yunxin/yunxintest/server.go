package yunxintest

import (
	"net"
	"net/http"
	"sync"
)

// Server is a Simulator on a loopback address.
type Server struct {
	*Simulator

	// URL is the base address, without a slash at its end. It is the base for
	// v2 as it stands; for v1 add "/nimserver".
	URL string

	http http.Server
	done sync.WaitGroup
}

// NewServer starts a new simulator on a free loopback port. Close it after use.
func NewServer(cfg Config) *Server { return New(cfg).Serve() }

// Serve gives the simulator a further loopback address: Yunxin's backup, which
// goes on when the primary is closed. It panics if there is no port to be had.
func (s *Simulator) Serve() *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("yunxintest: " + err.Error())
	}
	srv := &Server{Simulator: s, URL: "http://" + l.Addr().String()}
	srv.http.Handler = s
	srv.done.Go(func() { srv.http.Serve(l) })
	return srv
}

// Close refuses further connections and breaks those that are open. The
// simulator lives on: its state can be read and served elsewhere.
func (s *Server) Close() {
	s.http.Close()
	s.done.Wait()
}
