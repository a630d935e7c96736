package yunxin

import (
	"context"
	"errors"
)

// Block bans an account and ends its connections. Banning it again succeeds; for
// an account that does not exist the error Is ErrUnknownAccount. Its token stays
// what it is: where that must not come back to life with Unblock, SetToken or
// Withdraw comes first.
func (c *Client) Block(ctx context.Context, accid string) error {
	accid, err := checkAccid(apiBlock, accid)
	if err != nil {
		return err
	}
	// What Yunxin answers about an account that is blocked already is not
	// documented; "it is blocked" is as good as success.
	if _, err = c.call(ctx, c.api.block(accid)); blocked(err) {
		return nil
	}
	return err
}

// Unblock lifts a ban; an account without one stays as it is. For one that does
// not exist the error Is ErrUnknownAccount.
func (c *Client) Unblock(ctx context.Context, accid string) error {
	accid, err := checkAccid(apiUnblock, accid)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, c.api.unblock(accid))
	return err
}

// Withdraw makes token the account's only valid static token and then ends its
// connections, so that whoever holds the old token is out and stays out. An
// empty token (dynamic tokens are in use) only ends the connections. After an
// error some of it may be done; the whole is repeated, with the same token, until
// it succeeds. For an account that does not exist the error Is ErrUnknownAccount.
// Dynamic tokens cannot be taken back: they let their holder in again until they
// expire. In v2 a blocked account stays blocked, and Yunxin may answer about it
// with an error of KindBlocked.
//
// v1 cannot end connections but by a block. There Withdraw blocks the account and
// unblocks it at once, which asks of the caller:
//
//   - Never call it for an account that is to be blocked: it would end unblocked,
//     and Yunxin documents no way to see that before. There SetToken and then Block
//     do the same work. Who may have been blocked meanwhile, by another replica or
//     person, is looked up again after Withdraw, and blocked with Block. So the
//     decision to block must be recorded before Block is called.
//   - Repeat it after an error even if nobody asks for it any more: between its
//     block and its unblock the player is locked out. A context that ends with
//     somebody's request is therefore the wrong one.
func (c *Client) Withdraw(ctx context.Context, accid, token string) error {
	accid, err := checkAccid(apiUpdateToken, accid)
	if err != nil {
		return err
	}
	if len(token) > maxToken {
		return badRequest(apiUpdateToken, "token has over 128 characters")
	}
	q, ok := c.api.kick(accid, token)
	if !ok {
		return c.withdrawByBlock(ctx, accid, token)
	}
	_, err = c.call(ctx, q)
	return err
}

// withdrawByBlock is Withdraw for v1. The new token comes first: set later, it
// would let the old one in again after the kick.
func (c *Client) withdrawByBlock(ctx context.Context, accid, token string) error {
	if token != "" {
		err := c.SetToken(ctx, accid, token)
		if blocked(err) {
			// By an earlier Withdraw that came no further. Whoever slips in
			// with the old token now is kicked below.
			if err = c.Unblock(ctx, accid); err == nil {
				err = c.SetToken(ctx, accid, token)
			}
		}
		if err != nil {
			return err
		}
	}
	// Not begun where the way back is known to be shut.
	unblock := c.api.unblock(accid)
	if err := c.mayCall(apiUnblock, interfaceOf(unblock.method, unblock.path)); err != nil {
		return err
	}
	if err := c.Block(ctx, accid); err != nil {
		return err
	}
	return c.Unblock(ctx, accid)
}

// blocked reports that Yunxin refused a call because the account is blocked.
func blocked(err error) bool {
	var e *APIError
	return errors.As(err, &e) && e.Kind() == KindBlocked
}
