package proxy

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin serves the operator's listener: probes, metrics, and the keys that
// assertions are checked with. Its requests are not logged, or probes would be
// most of the log.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := s.notReady(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.Registry, promhttp.HandlerOpts{Registry: s.metrics.Registry}))
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write(s.cfg.Signer.JWKS())
	})
	return mux
}

// notReady says why no traffic should come, "" if it should.
func (s *Server) notReady() string {
	switch {
	case s.draining.Load():
		return "shutting down"
	case !s.storeUp.Load():
		return "the store does not answer"
	}
	return ""
}
