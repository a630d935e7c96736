package proxy

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin serves the operator's listener: probes, metrics, the keys that
// assertions are checked with, and the operator's API. Only the requests of
// that are logged, or probes would be most of the log.
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
	return s.operators(s.adminCalls(), mux)
}

// adminCalls are all calls of the operator's API.
func (s *Server) adminCalls() adminCalls {
	return adminCalls{
		"users":               {"GET": s.findUser},
		"users/export":        {"GET": s.exportUsers},
		"users/import":        {"POST": s.importUsers},
		"users/{id}":          {"GET": s.showUser, "DELETE": s.erase},
		"users/{id}/sessions": {"GET": s.showSessions, "DELETE": s.closeSessions},
		"users/{id}/block":    {"POST": s.block},
		"users/{id}/unblock":  {"POST": s.unblock},
		"users/{id}/merge":    {"POST": s.merge},
		"users/{id}/split":    {"POST": s.split},
		"mp/menu":             {"GET": s.showMenu, "PUT": s.setMenu},

		"component":                                    {"GET": s.ofPlatform(s.showPlatform)},
		"component/authorizers":                        {"GET": s.ofPlatform(s.listAuthorizers)},
		"component/authorizers/{appid}":                {"GET": s.ofPlatform(s.showAuthorizer)},
		"component/authorizers/{appid}/options/{name}": {"GET": s.ofPlatform(s.showOption), "PUT": s.ofPlatform(s.setOption)},

		"component/links":          {"POST": s.ofPlatform(s.makeLink)},
		"component/sync":           {"POST": s.ofPlatform(s.syncAuthorizers)},
		"component/templates":      {"GET": s.ofPlatform(s.showTemplates), "POST": s.ofPlatform(s.addTemplate)},
		"component/templates/{id}": {"DELETE": s.ofPlatform(s.deleteTemplate)},
		"component/drafts":         {"GET": s.ofPlatform(s.showDrafts)},
		"component/fastregister":   {"POST": s.ofPlatform(s.registerMini)},
	}
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
