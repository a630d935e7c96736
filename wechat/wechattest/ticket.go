package wechattest

import "time"

const ticketLife = 2 * time.Hour

// ticket is a jsapi_ticket or wx_card ticket of one account.
type ticket struct {
	value   string
	expires time.Time
}

// ticketKey names the one ticket of an account and type.
type ticketKey struct{ app, kind string }

// getTicket gives the account's ticket, the same one inside its life:
// https://developers.weixin.qq.com/doc/service/api/invoice/auth/api_getticket.html
func (c *call) getTicket() answer {
	appid, a, ok := c.account()
	if !ok {
		return a
	}
	if c.s.apps[appid].Kind != ServiceAccount {
		return refuse(48001)
	}
	kind := c.query.Get("type")
	if kind != "jsapi" && kind != "wx_card" {
		return refuse(40097)
	}
	key := ticketKey{appid, kind}
	t, found := c.s.tickets[key]
	if !found || !c.now.Before(t.expires) {
		t = ticket{value: "kgt8" + random(82), expires: c.now.Add(ticketLife)}
		c.s.tickets[key] = t
	}
	life := t.expires.Sub(c.now)
	if c.b.TicketFullLife {
		life = ticketLife
	}
	return answer{fields: []field{
		{"errcode", 0}, {"errmsg", "ok"}, {"ticket", t.value}, {"expires_in", int(life / time.Second)},
	}}
}
