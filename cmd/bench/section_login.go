package main

import (
	"fmt"
	"time"

	"wxgate/wechat/wechattest"
)

// logins is how many people log in, each twice.
const logins = 20

// measureLogin counts what Redis is asked between a callback and its answer,
// with a WeChat that answers at once.
func measureLogin(s *stage, r *report) error {
	if s.redis == nil {
		return errNeedsRedis
	}
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	defer gate.stop()
	for i, what := range []string{"first login", "login of a known person"} {
		var trips, took []float64
		like := map[float64]string{} // what was called so often
		for person := range logins {
			player := fmt.Sprintf("bench-%d", person)
			s.wechat.AddPlayer(wechattest.Player{ID: player, Nickname: player})
			// Each time a new browser: it logs in because it has no session.
			calls, lasted, err := s.oneLogin(s.newVisitor(player))
			if err != nil {
				return err
			}
			n := float64(len(calls))
			trips, took = append(trips, n), append(took, float64(lasted.Microseconds()))
			like[n] = counted(calls)
		}
		limit := ""
		if i == 0 {
			limit = "6"
		}
		measured := like[median(trips)]
		if measured == "" {
			measured = fmt.Sprint(median(trips)) // between two numbers
		}
		r.goal(what+", callback to session: store round trips", measured, limit)
		r.goal(what+", callback to session: time", micros(median(took)), "")
	}
	return nil
}

// oneLogin returns what the callback of a login asked of Redis.
func (s *stage) oneLogin(v *visitor) (calls []redisCall, took time.Duration, err error) {
	callback, err := v.begin(s.ctx)
	if err != nil {
		return nil, 0, err
	}
	calls, err = s.callsDuring(func() error {
		took, err = v.finish(s.ctx, callback)
		return err
	})
	return calls, took, err
}
