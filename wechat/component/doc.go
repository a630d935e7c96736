// Package component is the memory of a third-party platform (第三方平台): what
// WeChat tells it once and expects it to know for ever.
//
// It owns the verify ticket, the platform's token and those of all accounts that
// authorized it, the codes that still have to become such tokens, and the one-time
// links that invite to an authorization. All of it rests in a store that replicas
// share, so that a process may be killed between any two of its lines:
//
//   - A push is committed before it is acknowledged. What it asks for, an exchange
//     of a code say, is done afterwards, by whichever replica comes first.
//   - A token is minted by one replica at a time: who wants to writes a lease into
//     the token's record, and the result only over that lease. A refresh token is
//     replaced in the write that replaces the access token.
//   - What WeChat answered to a process that died is asked for again, or, where it
//     cannot be had twice, read back with api_get_authorizer_info.
//
// It refuses to know who visits and what they log in to; it has no pages and no
// sessions. It calls WeChat with package wechat and nothing else.
//
// Facts: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/creat_token.html
// (the ticket lives 12 hours and is only ever pushed),
// https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getcomponentaccesstoken
// (the platform's token lives two hours; minting it voids the former one, after
// five minutes by a word of WeChat's support), and
// https://developers.weixin.qq.com/doc/oplatform/developers/dev/AuthorizerAccessToken.html
// (a refresh token is good until the authorization ends; it can be read again, but
// not before the authorization's code was exchanged once).
package component
