package proxy

import (
	"context"
	"maps"
	"slices"
	"time"

	"wxgate/wechat/component"
)

// warnOfHosts says, once the store can be asked, which hosts are mapped to accounts
// that have not authorized the platform. It is no fault: a host may be waiting for
// its account.
func (s *Server) warnOfHosts(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for unknown := slices.Sorted(maps.Keys(s.hosts.accounts)); ; {
		unknown = slices.DeleteFunc(unknown, func(host string) bool {
			a, found, err := s.cfg.Component.Authorizer(ctx, s.hosts.accounts[host])
			if err == nil && (!found || a.Status != component.StatusAuthorized) {
				s.log.Warn("a host is mapped to an account that is not known to have authorized the third-party platform; nobody can log in there until it has",
					"host", host, "appid", s.hosts.accounts[host])
			}
			return err == nil
		})
		if len(unknown) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
