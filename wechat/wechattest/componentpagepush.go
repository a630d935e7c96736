package wechattest

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// pushPatience is how long a push that comes after the redirect waits for the
// code to be exchanged.
const pushPatience = 3 * time.Second

// desk is what the pages of third-party platforms remember.
type desk struct {
	launches  map[string]*launch     // by uuid
	grants    map[[2]string]*granted // by component and appid
	written   map[[2]string]written  // by component and appid
	reports   map[string]ReleaseReport
	releasing bool

	ending context.Context // of pushes that no request waits for
	end    context.CancelFunc
	ended  bool
	pushes sync.WaitGroup
}

// keep remembers a grant for the control page.
func (s *Server) keep(g granted) *granted {
	if s.desk.grants == nil {
		s.desk.grants = map[[2]string]*granted{}
	}
	s.desk.grants[[2]string{g.Component, g.AppID}] = &g
	return &g
}

// pushGranted pushes what an account granted last, on the page or otherwise, so
// many times.
func (s *Server) pushGranted(ctx context.Context, componentID, appid string, times int) (p Pushed, err error) {
	s.mu.Lock()
	c := s.components[componentID]
	var a *authorization
	if c != nil {
		a = c.authorization(appid)
	}
	if a == nil {
		s.mu.Unlock()
		return failedPush(fmt.Errorf("%s has not authorized %s", appid, componentID))
	}
	g, known := s.desk.grants[[2]string{componentID, appid}], ""
	if g != nil {
		known = g.Code
	}
	if code := c.newestCode(a, known); code != known {
		g = s.keep(granted{Component: componentID, AppID: appid, Code: code})
	}
	g.Waiting = false
	g.Pushes += times
	code, preAuth := g.Code, g.PreAuth
	s.mu.Unlock()
	for range times {
		if p, err = s.PushAuthorized(ctx, componentID, appid, code, preAuth); err != nil {
			break
		}
	}
	return p, err
}

// exchanged tells whether an authorization code was.
func (s *Server) exchanged(componentID, code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[componentID]
	return c != nil && c.codes[code] != nil && c.codes[code].used
}

// pushAfterwards pushes when the browser has come back and the code was
// exchanged, or after a while. Close ends it.
func (s *Server) pushAfterwards(g granted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.desk.ended {
		return
	}
	if s.desk.ending == nil {
		s.desk.ending, s.desk.end = context.WithCancel(context.Background())
	}
	ctx := s.desk.ending
	s.desk.pushes.Go(func() {
		within, cancel := context.WithTimeout(ctx, pushPatience)
		defer cancel()
		s.await(within, func() bool { return s.exchanged(g.Component, g.Code) })
		if ctx.Err() == nil {
			s.pushGranted(ctx, g.Component, g.AppID, 1)
		}
	})
}

// endPushes ends those that no request waits for.
func (s *Server) endPushes() {
	s.mu.Lock()
	s.desk.ended = true
	if s.desk.end != nil {
		s.desk.end()
	}
	s.mu.Unlock()
	s.desk.pushes.Wait()
}

// await waits until a condition holds that changes with what the journal records.
func (s *Server) await(ctx context.Context, condition func() bool) bool {
	for {
		next := s.nextEntry()
		if condition() {
			return true
		}
		select {
		case <-next:
		case <-ctx.Done():
			return condition()
		}
	}
}
