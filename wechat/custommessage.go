package wechat

import "context"

const apiCustomSend = "cgi-bin/message/custom/send"

// SendText sends a customer-service message (客服消息) of plain text to somebody who
// wrote to the account within the last 48 hours. POST
// /cgi-bin/message/custom/send, WeChat docs:
// https://developers.weixin.qq.com/doc/service/api/customer/message/api_sendcustommessage
//
// token is the account's access token. Errors are [*APIError] and
// [*UnavailableError]; after the latter the message may have been sent.
func (c *Client) SendText(ctx context.Context, token, openid, text string) error {
	return c.call(ctx, request{
		api:   apiCustomSend,
		query: map[string][]string{"access_token": {token}},
		body:  map[string]any{"touser": openid, "msgtype": "text", "text": map[string]any{"content": text}},
		hide:  []string{"access_token", "touser"},
	}, func(reply) error { return nil })
}
