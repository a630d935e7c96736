package component_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"wxgate/wechat/component"
)

// check looks whether all is well; first what nobody has to be asked for, then
// what the operator can have restored.
func (s *storm) check() {
	if at := s.ticketAt(); at.Before(s.ticket) {
		s.Errorf("the ticket is of %v, though one of %v was acknowledged", at, s.ticket)
	}
	for _, appid := range stormAccounts {
		last := s.last[appid]
		if !s.heard[last] {
			continue
		}
		want := component.StatusUnauthorized
		if s.authorization(appid) != nil {
			want = component.StatusAuthorized
		}
		if a := s.account(appid); a.Status != want {
			s.Errorf("%s is %s, want %s, though the push came", appid, a.Status, want)
		} else if want == component.StatusAuthorized {
			s.works(appid)
		}
	}
	if s.Failed() {
		return
	}
	if _, err := s.some().Sync(s.Context()); err != nil {
		s.Error(err)
	}
	s.work()
	for _, appid := range stormAccounts {
		switch a, at := s.account(appid), s.authorization(appid); {
		case at == nil && a.Status != component.StatusUnauthorized && a.Status != "":
			s.Errorf("%s is %s, but not so at WeChat", appid, a.Status)
		case at != nil && a.Status != component.StatusAuthorized:
			s.Errorf("%s is %s, but authorized at WeChat", appid, a.Status)
		case at != nil && at.Exchanged:
			s.works(appid)
			if got, want := s.refreshToken(appid), s.authorization(appid).RefreshToken; got != want {
				s.Errorf("%s has an old refresh token", appid)
			}
		}
		s.events(appid)
	}
}

// works calls WeChat with an account's token, as the app's calls do: once more if
// the token is void.
func (s *storm) works(appid string) {
	s.Helper()
	p := s.some()
	for try := range 3 { // its own, the store's, a new one
		token, err := p.Token(s.Context(), appid)
		p.Wait()
		if err != nil {
			s.Errorf("there is no token of %s: %v", appid, err)
			return
		}
		res, err := http.Get(s.sim.URL + "/cgi-bin/user/info?access_token=" + token)
		if err != nil {
			s.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case strings.Contains(string(body), "41009"): // no openid: the token was fine
			return
		case try == 2:
			s.Errorf("the token of %s does not work: %s", appid, body)
		}
		p.Drop(appid, token)
	}
}

// refreshToken reads the record itself.
func (s *storm) refreshToken(appid string) string {
	key := "t:" + platformID + "/account/" + appid
	var r struct {
		Body struct {
			Account struct {
				Refresh []byte `json:"refresh"`
			} `json:"account"`
			Access struct {
				Lease string `json:"lease"`
			} `json:"access"`
		} `json:"body"`
	}
	if err := json.Unmarshal(s.store.values[key].value, &r); err != nil {
		s.Fatal(err)
	}
	if r.Body.Access.Lease != "" {
		s.Errorf("the lease of %s is left", appid)
	}
	secret, _ := s.seal.Open(r.Body.Account.Refresh, key)
	return string(secret)
}

// events are one story, and nobody acknowledged any.
func (s *storm) events(appid string) {
	list, err := s.some().Notices(s.Context(), appid)
	if err != nil {
		s.Error(err)
	}
	status := component.StatusUnauthorized
	for i, e := range list {
		if fits := (e.Type == component.NoticeAuthorized) == (status == component.StatusUnauthorized); !fits {
			s.Errorf("event %d of %s is %s while it is %s", i, appid, e.Type, status)
		}
		if status = component.StatusAuthorized; e.Type == component.NoticeUnauthorized {
			status = component.StatusUnauthorized
		}
		if _, queued := s.store.queues["hooks"][component.NoticeKey(appid, e.ID)]; !queued {
			s.Errorf("nobody will deliver event %d of %s", i, appid)
		}
	}
	if a := s.account(appid); a.Status != status && a.Status != "" {
		s.Errorf("%s is %s; after all that the app is told it is %s", appid, a.Status, status)
	}
}

// calm is two periods without any fault, in which everything is minted once each.
func (s *storm) calm() {
	s.sim.Advance(6 * time.Minute) // the last of what was void
	s.pushTicket()
	authorized := []string{}
	for _, a := range s.sim.ComponentState(platformID).Authorizations {
		if a.Exchanged {
			authorized = append(authorized, a.AppID)
			s.works(a.AppID)
		}
	}
	mints := func() map[string]int {
		state := s.sim.ComponentState(platformID)
		m := map[string]int{"": state.Mints}
		for _, a := range state.Authorizations {
			m[a.AppID] = a.Mints
		}
		return m
	}
	before := mints()
	for _, step := range []time.Duration{100, 9, 2, 8, 100} {
		s.sim.Advance(step * time.Minute)
		s.pushTicket()
		for _, r := range s.replicas {
			s.aside(func() { r.Care(s.Context()) })
			for _, appid := range authorized {
				s.aside(func() {
					if _, err := r.Token(s.Context(), appid); err != nil {
						s.Errorf("in calm weather: %v", err)
					}
				})
			}
		}
		s.running.Wait()
		for _, r := range s.replicas {
			r.Wait()
		}
	}
	for appid, n := range mints() {
		if n -= before[appid]; n > 2 || appid != "" && slices.Contains(authorized, appid) && n < 1 {
			s.Errorf("%d tokens of %q were minted in two periods", n, appid)
		}
	}
	s.rotate()
	s.pushes = nil // codes from then are too old
	s.open()
}

// rotate gives all replicas another secret; sometimes the former one is gone.
func (s *storm) rotate() {
	switch s.N(3) {
	case 0:
		return
	case 1:
		s.secrets = []byte{s.secrets[0] + 1, s.secrets[0]}
	case 2:
		s.secrets = []byte{s.secrets[0] + 1}
	}
	s.note("the secrets are %v", s.secrets)
	s.seal = newSealer(s.T, s.store, s.secrets...)
	for i := range s.replicas {
		s.start(i)
	}
	s.sim.Advance(time.Second)
	s.pushTicket()
}
