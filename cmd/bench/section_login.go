package main

import (
	"fmt"

	"wxgate/wechat/wechattest"
)

// logins is how many people log in, each twice.
const logins = 20

var loginRows = []string{"first login", "login of a known person"}

// measureLogin counts how often the gateway waits for Redis between a callback
// and its answer, with a WeChat that answers at once. The time is taken of other
// people's logins, through a gateway that asks Redis without the relay.
func measureLogin(s *stage, r *report) error {
	between, err := s.relayRedis()
	if err != nil {
		return err
	}
	defer between.stop()
	measured := make([]string, len(loginRows))
	s.storeAt = between.addr
	err = s.logIn("counted", func(row int, all []*visitor) (err error) {
		measured[row], err = s.countTrips(between, all)
		return err
	})
	s.storeAt = ""
	if err != nil {
		return err
	}
	took := make([][]float64, len(loginRows))
	err = s.logIn("timed", func(row int, all []*visitor) error {
		for _, v := range all {
			lasted, err := v.login(s.ctx)
			if err != nil {
				return err
			}
			took[row] = append(took[row], float64(lasted.Microseconds()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, what := range loginRows {
		limit := ""
		if i == 0 {
			limit = "6"
		}
		r.goal(what+", callback to session: store round trips", measured[i], limit)
		r.goal(what+", callback to session: time", micros(median(took[i])), "")
	}
	return nil
}

// logIn starts a gateway and hands over, for each row, a browser of each person.
// Each time it is a new one: it logs in because it has no session.
func (s *stage) logIn(group string, each func(row int, all []*visitor) error) error {
	gate, err := s.startGateway()
	if err != nil {
		return err
	}
	defer gate.stop()
	for row := range loginRows {
		var all []*visitor
		for person := range logins {
			player := fmt.Sprintf("bench-%s-%d", group, person)
			s.wechat.AddPlayer(wechattest.Player{ID: player, Nickname: player})
			all = append(all, s.newVisitor(player))
		}
		if err := each(row, all); err != nil {
			return err
		}
	}
	return nil
}

// countTrips lets visitors log in and tells the median of their round trips.
func (s *stage) countTrips(between *relay, all []*visitor) (string, error) {
	var counts []float64
	like := map[float64]string{} // what was called so often
	for _, v := range all {
		trips, err := s.oneLogin(between, v)
		if err != nil {
			return "", err
		}
		n := float64(len(trips))
		counts, like[n] = append(counts, n), roundTrips(trips)
	}
	middle := median(counts)
	if measured := like[middle]; measured != "" {
		return measured, nil
	}
	return fmt.Sprint(middle), nil // between two numbers
}

// oneLogin returns the round trips of the callback of a login.
func (s *stage) oneLogin(between *relay, v *visitor) ([][]redisCall, error) {
	callback, err := v.begin(s.ctx)
	if err != nil {
		return nil, err
	}
	if _, err := between.take(); err != nil { // what came before
		return nil, err
	}
	if _, err := v.finish(s.ctx, callback); err != nil {
		return nil, err
	}
	return between.take()
}
