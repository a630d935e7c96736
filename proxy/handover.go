package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"wxgate/session"
)

// WeChat returns to one or two registered domains only. A host that cannot
// share cookies with the public one, A, logs in there and takes the result over:
//
//	B login ─ pending login in B's cookie ─→ A login?bind=… ─→ WeChat ─→ A callback
//	  ↑                                                                     │
//	  └──────────── B handover?ticket=… ←───────────────────────────────────┘
//
// The code never leaves A. The ticket is sealed, lives a minute, names B, and
// is worth something only to the browser that holds the pending login at B.
//
// A host that is assigned to an account of its own logs in by itself inside
// WeChat; only the website app returns to the public host for it too.

// sharesCookies reports that a host sees the public host's cookies.
func (s *Server) sharesCookies(host string) bool {
	if host == s.hosts.public {
		return true
	}
	domain := s.cfg.CookieDomain
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}

// loginElsewhere begins a login that runs on another host, its home. Where what
// it is for is on yet another host, or the cookies are shared, it goes there as
// it is; else what it is for stays here and only its binding goes along.
func (s *Server) loginElsewhere(v *visit, q loginQuery, home, host, next string) {
	q.next = s.location(host, next)
	if host != v.host || s.sharesCookies(host) {
		s.redirect(v, http.StatusFound, s.loginURL(home, q))
		return
	}
	logins := s.cfg.Sessions.Logins(v.r.Header)
	if s.stopLoop(v, logins, q, host, next) {
		return
	}
	p := session.Pending{State: session.NewState(), Next: next, Again: q.again}
	if err := s.keepPending(v, logins, p); err != nil {
		s.fail(v, internalError, err)
		return
	}
	q.bind = session.BindingOf(p.State)
	q.next = s.location(host, "/") // the path stays in this host's cookie
	v.outcome = outcomeRedirected
	s.redirect(v, http.StatusFound, s.loginURL(home, q))
}

// mayHandOver reports that a session of this host may become one of a host whose
// login would be by the given account. A host that is assigned to an account of
// its own gets nobody by the account of this one.
func (s *Server) mayHandOver(l *live, by account, host string) bool {
	return s.accountOn(host) == s.accountOn(s.hosts.public) || by == account{l.session.Channel, l.session.AppID}
}

// handOver sends a browser with a fresh or running session at the public host
// to the host that waits for it.
func (s *Server) handOver(v *visit, l *live, host string, q loginQuery) {
	ticket, err := s.cfg.Sessions.SealTicket(session.Ticket{Host: host, Binding: q.bind, Source: l.key})
	if err != nil {
		s.fail(v, internalError, err)
		return
	}
	to := s.hosts.origin(host) + prefix + "handover?ticket=" + url.QueryEscape(ticket)
	if q.again {
		to += "&again=1" // as at the callback
	}
	s.land(v, to)
}

// handover makes a session of a ticket. Delivered twice by the same browser it
// gives the same session; anybody else gets nothing.
func (s *Server) handover(v *visit) {
	if v.r.Method != http.MethodGet {
		v.Header().Set("Allow", http.MethodGet)
		s.fail(v, methodNotAllowed, nil)
		return
	}
	if !s.withinRate(v) {
		return
	}
	query := v.r.URL.Query()
	text := query.Get("ticket")
	ticket, ok := s.cfg.Sessions.OpenTicket(text, v.host)
	logins := s.cfg.Sessions.Logins(v.r.Header)
	p, mine := logins.FindBound(ticket.Binding)
	if !ok || !mine {
		s.strayed(v, query.Has("again"))
		return
	}
	id := v.id
	out, replayed, err := s.redeemer.Redeem(v.r.Context(), v.host, text, p.State, func(ctx context.Context, _ *session.Redemption) session.Outcome {
		failure, token, err := s.takeOver(ctx, ticket.Source)
		if err != nil {
			s.log.Error("a login could not be handed over", "id", id, "error", err)
		}
		return session.Outcome{Failure: failure, Token: token}
	})
	switch {
	case errors.Is(err, session.ErrForeignCode), errors.Is(err, session.ErrCodeLost), out.Failure == failedCode:
		s.strayed(v, query.Has("again"))
	case err != nil:
		s.failPage(v, storeUnavailable, err, pageData{ActionURL: s.location(v.host, p.Next)})
	case out.Failure != "":
		s.failPage(v, problemOf(out.Failure), errors.New("hand-over failed: "+out.Failure), pageData{ActionURL: s.location(v.host, p.Next)})
	default:
		if !replayed {
			s.retire(v, p)
		}
		s.arrive(v, logins, p, out.Token)
	}
}
