package wechattest

import (
	"encoding/json"
	"fmt"
	"slices"
)

// releasePlayer writes to the test accounts.
const releasePlayer = "release-test"

// enter makes the simulator know a test account and who writes to it. leave puts
// everything back as it was.
func (s *Server) enter(componentID string, of testAccount, kind AppKind) (player string, leave func()) {
	forget := func() { // a test that was given up has not de-authorized
		c := s.components[componentID]
		c.accounts = slices.DeleteFunc(c.accounts, func(a *authorization) bool { return a.appid == of.appid })
		delete(s.desk.grants, [2]string{componentID, of.appid})
	}
	s.mu.Lock()
	forget()
	formerApp, hadApp := s.apps[of.appid]
	formerPlayer, hadPlayer := s.players[releasePlayer]
	s.mu.Unlock()
	s.AddPlayer(Player{ID: releasePlayer, Nickname: "全网发布检测", Note: "release test", Follower: true})
	s.AddApp(App{ID: of.appid, Secret: random(32), Kind: kind, Name: "全网发布检测 " + of.userName, UserName: of.userName})
	return releasePlayer, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		forget()
		if hadApp {
			s.apps[of.appid] = formerApp
		} else {
			delete(s.apps, of.appid)
			s.appOrder = slices.DeleteFunc(s.appOrder, func(id string) bool { return id == of.appid })
		}
		if hadPlayer {
			s.players[releasePlayer] = formerPlayer
		} else {
			delete(s.players, releasePlayer)
			s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == releasePlayer })
		}
	}
}

// releaseAccount tells whether an appid is one of the test accounts, which WeChat
// knows when nobody tests, too.
func releaseAccount(appid string) bool {
	return slices.ContainsFunc(releaseGroups[:], func(group [2]testAccount) bool {
		return group[0].appid == appid || group[1].appid == appid
	})
}

// isText tells what is wrong with a message of an account.
func isText(m CustomMessage, openid, want string) error {
	var in struct {
		Text struct {
			Content string `json:"content"`
		} `json:"text"`
	}
	if err := json.Unmarshal(m.Body, &in); err != nil {
		return err
	}
	switch {
	case m.OpenID != openid:
		return fmt.Errorf("a message went to %s, not to %s, who wrote", m.OpenID, openid)
	case m.Type != "text" || in.Text.Content != want:
		return fmt.Errorf("a message is %s %.80q", m.Type, in.Text.Content)
	}
	return nil
}
