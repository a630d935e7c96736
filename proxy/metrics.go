package proxy

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"wxgate/identity"
)

// The steps of a login, in their order, and the ways out of it.
const (
	stepStarted     = "started"
	stepReturned    = "returned"
	stepExchanged   = "exchanged"
	stepCompleted   = "completed"
	stepDenied      = "denied"
	stepSnapshot    = "snapshot"
	stepReplayed    = "replayed"
	stepStateLost   = "state_lost"
	stepLoopStopped = "loop_stopped"
	stepFailed      = "failed"
)

// Metrics are what operators count the gateway by. Labels come from closed
// sets only: no path, id or host ever becomes one.
type Metrics struct {
	Registry *prometheus.Registry

	requests   map[string]requestMetrics // by outcome
	inFlight   prometheus.Gauge
	webSockets prometheus.Gauge

	logins       *prometheus.CounterVec
	lookupCache  prometheus.Counter
	lookupStore  prometheus.Counter
	usersCreated prometheus.Counter
	usersMerged  prometheus.Counter

	calls     map[string]*prometheus.CounterVec
	callTimes *prometheus.HistogramVec

	storeErrors *prometheus.CounterVec
	storeTimes  *prometheus.HistogramVec
}

// requestMetrics are those of one outcome, resolved once: a label look-up per
// request is dear.
type requestMetrics struct {
	count prometheus.Counter
	took  prometheus.Observer
}

// NewMetrics makes and registers them. version and goVersion describe the
// build.
func NewMetrics(version, goVersion string) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	m.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(c)
		return c
	}
	histograms := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, labels)
		m.Registry.MustRegister(h)
		return h
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.Registry.MustRegister(g)
		return g
	}

	requests := counters("wxgate_http_requests_total", "Requests by what became of them.", "outcome")
	durations := histograms("wxgate_http_request_duration_seconds", "Time from request to the end of its answer, upgraded connections left out.", "outcome")
	m.requests = map[string]requestMetrics{}
	for _, o := range outcomes {
		m.requests[o] = requestMetrics{requests.WithLabelValues(o), durations.WithLabelValues(o)}
	}
	m.inFlight = gauge("wxgate_upstream_requests_in_flight", "Requests that the app is working on.")
	m.webSockets = gauge("wxgate_websockets_open", "Upgraded connections.")
	m.logins = counters("wxgate_logins_total", "Steps of logins.", "channel", "step")
	lookups := counters("wxgate_session_lookups_total", "Sessions looked up, by where they were found.", "source")
	m.lookupCache, m.lookupStore = lookups.WithLabelValues("cache"), lookups.WithLabelValues("store")
	m.usersCreated = counters("wxgate_users_created_total", "Users created.").WithLabelValues()
	m.usersMerged = counters("wxgate_users_merged_total", "Users that turned out to be another one, or were merged by an operator.").WithLabelValues()
	m.calls = map[string]*prometheus.CounterVec{
		"wechat": counters("wxgate_wechat_calls_total", "Calls to WeChat, by result.", "api", "class"),
		"yunxin": counters("wxgate_yunxin_calls_total", "Calls to Yunxin, by result.", "api", "class"),
	}
	m.callTimes = histograms("wxgate_wechat_call_duration_seconds", "Duration of calls to WeChat.", "api")
	m.storeErrors = counters("wxgate_store_errors_total", "Store operations that failed.", "op")
	for _, op := range []string{"get", "get_many", "batch", "put", "create", "replace", "delete", "schedule", "take_due", "done", "ping"} {
		m.storeErrors.WithLabelValues(op) // there from the start, or nobody could alert on the first one
	}
	m.storeTimes = histograms("wxgate_store_duration_seconds", "Duration of store operations.", "op")

	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wxgate_build_info", Help: "Always 1; the labels describe the build."}, []string{"version", "go"})
	m.Registry.MustRegister(info)
	info.WithLabelValues(version, goVersion).Set(1)
	return m
}

func (m *Metrics) request(outcome string, took time.Duration, upgraded bool) {
	r := m.requests[outcome]
	r.count.Inc()
	if !upgraded {
		r.took.Observe(took.Seconds())
	}
}

func (m *Metrics) login(channel, step string) { m.logins.WithLabelValues(channel, step).Inc() }

// WeChatCall counts a call to WeChat.
func (m *Metrics) WeChatCall(api, class string, took time.Duration) {
	m.calls["wechat"].WithLabelValues(api, class).Inc()
	m.callTimes.WithLabelValues(api).Observe(took.Seconds())
}

// YunxinCall counts a call to Yunxin.
func (m *Metrics) YunxinCall(api, class string, _ time.Duration) {
	m.calls["yunxin"].WithLabelValues(api, class).Inc()
}

// StoreCall counts a store operation.
func (m *Metrics) StoreCall(op string, took time.Duration, failed bool) {
	m.storeTimes.WithLabelValues(op).Observe(took.Seconds())
	if failed {
		m.storeErrors.WithLabelValues(op).Inc()
	}
}

// scrapeLimit bounds what a gauge may ask the store.
const scrapeLimit = time.Second

// observe registers the gauges that look into a server.
func (m *Metrics) observe(s *Server) {
	gauge := func(name, help string, value func() float64) {
		m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("wxgate_sessions_cached", "Sessions held in memory.", func() float64 { return float64(s.sessions.size()) })
	length := func(queue string) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
			defer cancel()
			n, err := s.cfg.Queue.QueueLen(ctx, queue)
			if err != nil {
				return -1
			}
			return float64(n)
		}
	}
	if s.cfg.Yunxin != nil {
		gauge("wxgate_yunxin_pending", "Users whose IM account is not as it should be yet; -1 when the store cannot tell.", length(imQueue))
	}
	if s.cfg.HookURL != "" {
		gauge("wxgate_hooks_pending", "Events that the app has not acknowledged; -1 when the store cannot tell.", length(identity.QueueNotices))
	}
	m.Registry.MustRegister(tokenGauges{s})
}
