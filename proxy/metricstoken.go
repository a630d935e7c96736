package proxy

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wxgate/wechat"
)

// tokenGauges tell how far the tokens are from their end. What is not known, or not
// there, has no value at all: an age of 0 would pass for a fresh ticket, and an
// expiry of 0 for a token that ended in 1970.
type tokenGauges struct{ s *Server }

var (
	ticketAge = prometheus.NewDesc("wxgate_component_ticket_age_seconds",
		"Age of the newest component_verify_ticket, which comes every ten minutes and works for twelve hours.", nil, nil)
	tokenExpiry = prometheus.NewDesc("wxgate_token_expiry_timestamp_seconds",
		"When tokens end: of the third-party platform, the first one to end of the accounts that authorized it, and this process's own of the service account and the mini program.",
		[]string{"token"}, nil)
)

// Describe is of [prometheus.Collector].
func (g tokenGauges) Describe(out chan<- *prometheus.Desc) {
	out <- ticketAge
	out <- tokenExpiry
}

// Collect is of [prometheus.Collector]. Where the store is too slow to tell of all
// accounts, what it told until then counts.
func (g tokenGauges) Collect(out chan<- prometheus.Metric) {
	ends := func(token string, at time.Time) {
		if !at.IsZero() {
			out <- prometheus.MustNewConstMetric(tokenExpiry, prometheus.GaugeValue, float64(at.Unix()), token)
		}
	}
	for token, app := range map[string]wechat.App{"mp": g.s.cfg.MP, "mini": g.s.cfg.Mini} {
		if at, known := g.s.tokens.Expiry(app); known && app.ID != "" {
			ends(token, at)
		}
	}
	p := g.s.cfg.Component
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	ticket, own, authorizer, err := p.Expiries(ctx)
	if !ticket.IsZero() {
		out <- prometheus.MustNewConstMetric(ticketAge, prometheus.GaugeValue, g.s.now().Sub(ticket).Seconds())
	}
	ends("component", own)
	if err == nil {
		ends("authorizer", authorizer) // of half the accounts it would be a guess
	}
}
