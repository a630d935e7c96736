package wechattest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Player is a person who visits through WeChat.
type Player struct {
	ID string // 1 to 32 of a-z, 0-9 and "-"; names the person to the simulator
	// Note says in one line what is special, for the pages of the simulator.
	Note string
	// Nickname is sent byte for byte, only quotes, backslashes and slashes
	// escaped: control bytes and broken UTF-8 make an answer that is not JSON.
	Nickname string
	NoAvatar bool
	// Follower of every service account.
	Follower bool
	// Snapshot visitors see the page in snapshot mode: ids of a virtual account,
	// new ones each time, and no consent page.
	Snapshot bool
	// Refused is the errcode that code exchanges and jscode2session answer for this person: 50001,
	// 50002 or 40226. 0: none.
	Refused int
}

// SamplePlayers returns people with the names and gaps that were seen in the
// field. The first is ordinary.
func SamplePlayers() []Player {
	return []Player{
		{ID: "xiaomei", Nickname: "小美", Follower: true, Note: "关注者 · an ordinary person"},
		{ID: "aqiang", Nickname: "阿强🎮👨‍👩‍👧🐱", Note: "emoji 昵称"},
		{ID: "nameless", Nickname: "", Note: "空昵称 · empty nickname"},
		{ID: "wxuser", Nickname: "微信用户", NoAvatar: true, Note: "默认昵称，无头像"},
		{ID: "faceless", Nickname: "没有头像的老王", NoAvatar: true, Note: "无头像 · no avatar"},
		{ID: "control", Nickname: "糖\x14糖", Note: "昵称含控制字符 0x14"},
		{ID: "broken", Nickname: "坏\xe5\xbc码", Note: "昵称含错误 UTF-8"},
		{ID: "script", Nickname: `<script>alert(1)</script>`, Note: "昵称是 HTML"},
		{ID: "longname", Nickname: strings.Repeat("长", 3413), Note: "10 KB 昵称"},
		{ID: "snapshot", Nickname: "快照访客", Snapshot: true, Note: "快照页 · snapshot page"},
		{ID: "frozen", Nickname: "被限制的用户", Refused: 50002, Note: "账号被限制 · 50002"},
		{ID: "risky", Nickname: "高风险用户", Refused: 40226, Note: "高风险用户 · 40226"},
	}
}

var playerForm = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// AddPlayer adds a person, or replaces the one of the same ID. It panics on an
// ID of another form.
func (s *Server) AddPlayer(p Player) {
	if !playerForm.MatchString(p.ID) {
		panic(fmt.Sprintf("wechattest: player id %q is not 1 to 32 of a-z, 0-9 and -", p.ID))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.players[p.ID]; !known {
		s.order = append(s.order, p.ID)
	}
	s.players[p.ID] = p
}

// Players returns everybody, in the order in which they were added.
func (s *Server) Players() []Player {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.everybody()
}

func (s *Server) everybody() []Player {
	all := make([]Player, 0, len(s.order))
	for _, id := range s.order {
		all = append(all, s.players[id])
	}
	return all
}

// OpenID is the player's id at one appid, the same in every run.
func (s *Server) OpenID(player, appid string) string { return identifier("openid", player, appid) }

// UnionID is the player's id at the open-platform account of the appid, empty if
// it is bound to none.
func (s *Server) UnionID(player, appid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unionid(player, appid)
}

func (s *Server) unionid(player, appid string) string {
	app := s.apps[appid]
	if !app.Bound {
		return ""
	}
	if app.OpenAccount != "" {
		return identifier("unionid", player, app.OpenAccount)
	}
	return identifier("unionid", player)
}

// identifier makes 28 characters that begin with o.
func identifier(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}

// playerByOpenID finds the follower list's entry of an account.
func (s *Server) playerByOpenID(openid, appid string) (Player, bool) {
	i := slices.IndexFunc(s.order, func(id string) bool { return s.OpenID(id, appid) == openid })
	if i < 0 {
		return Player{}, false
	}
	return s.players[s.order[i]], true
}

// avatar is the headimgurl of a player.
func (s *Server) avatar(p Player) string {
	switch {
	case p.NoAvatar:
		return ""
	case s.publicURL != "":
		return s.publicURL + avatarPath(p.ID)
	default:
		return "https://thirdwx.qlogo.cn/mmopen/vi_32/" + identifier("avatar", p.ID) + "/132"
	}
}
