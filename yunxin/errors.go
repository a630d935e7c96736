package yunxin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrExists is what errors.Is finds in an APIError of KindExists.
	ErrExists = errors.New("account exists")

	// ErrUnknownAccount is what errors.Is finds in an APIError of
	// KindUnknownAccount: there is nothing to block, to clear or to withdraw.
	ErrUnknownAccount = errors.New("no such account")

	// ErrMismatch means that Yunxin answered for another account than asked.
	ErrMismatch = errors.New("reply names another account")
)

// Kind says what a caller can do about an APIError. Its text serves as the
// class of metrics.
type Kind string

const (
	KindExists         Kind = "exists"          // create: the account is there already
	KindUnknownAccount Kind = "unknown_account" // no such account
	KindAuth           Kind = "auth"            // key, secret, clock, allow-list or region: nothing works until an operator acts
	KindRate           Kind = "rate"            // too many calls; the interface is shut, see APIError.RetryAfter
	KindRetry          Kind = "retry"           // Yunxin is busy or asks to repeat; try again later
	KindRefused        Kind = "refused"         // name or avatar hit the antispam filter
	KindBlocked        Kind = "blocked"         // this account is disabled
	KindQuota          Kind = "quota"           // the app may have no more accounts; existing ones work
	KindBadRequest     Kind = "bad_request"     // a parameter that Yunxin does not take
	KindUnknown        Kind = "unknown"         // a code not known here
)

// APIError is an answer of Yunxin's other than success. Its text is fit for
// logs: secrets are removed from it and it has one line.
type APIError struct {
	API  string // as Config.Observe is told
	Code int    // Yunxin's code; 414 and 416 are also given locally, without a call
	Desc string // Yunxin's explanation, for people

	// RetryAfter is set with KindRate: before it is over, calls of this
	// interface fail here without being sent.
	RetryAfter time.Duration

	// Skew is set with KindAuth: local clock minus the reply's Date. Over five
	// minutes it is the cause. v2 has no other way to tell it from a wrong secret.
	Skew time.Duration

	kind Kind
}

// Kind classifies the error.
func (e *APIError) Kind() Kind {
	if e.kind == "" {
		return classify(e.Code, e.Desc)
	}
	return e.kind
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("yunxin %s: code %d", e.API, e.Code)
	if e.Desc != "" {
		s += ": " + e.Desc
	}
	if e.Skew.Abs() >= time.Minute {
		s += fmt.Sprintf(" (local clock minus Yunxin's: %v)", e.Skew)
	}
	return s
}

// Is lets errors.Is find ErrExists and ErrUnknownAccount.
func (e *APIError) Is(target error) bool {
	return target == ErrExists && e.Kind() == KindExists || target == ErrUnknownAccount && e.Kind() == KindUnknownAccount
}

// UnavailableError means that there was no usable reply: no connection, no time
// left, an HTTP status other than 200, a body that is not Yunxin's. Whether the
// call had an effect is not known. It wraps the cause; its own text carries
// neither URL nor secrets.
type UnavailableError struct {
	API  string // as in APIError
	Host string // the address that was asked

	text  string
	cause error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("yunxin %s: no usable reply from %s: %s", e.API, e.Host, e.text)
}

func (e *UnavailableError) Unwrap() error { return e.cause }

// classify gives a reply code its kind. One table serves both generations: the
// short codes mean the same in both, and those with six digits (1, two of the
// resource, three of the error) exist in v2 alone.
// https://doc.commsease.com/en/messaging/server-apis/TM5NTk2Mzc?platform=server (v1),
// https://doc.yunxin.163.com/messaging2/client-apis/DUxNjU3MzU?platform=client (v2).
func classify(code int, text string) Kind {
	switch code {
	case 102405:
		return KindExists
	case 404, 102404, 103404:
		return KindUnknownAccount
	case 315, 403, 101301, 101302, 101303, 101304, 101305: // 315 is the allow-list of addresses, 101303 also the wrong region
		return KindAuth
	case 416:
		return KindRate
	case 408, 431, 449, 102449: // 431 is "request repeated", 102449 a concurrent operation on the account
		return KindRetry
	case 463, 103451:
		return KindRefused
	case 301, 422, 102422:
		return KindBlocked
	case 419, 102434:
		return KindQuota
	case 405, 406, 509:
		return KindBadRequest
	case 414:
		return classify414(strings.ToLower(text))
	case 508: // recalling a message too late: not about accounts, although among the 5xx
		return KindUnknown
	}
	if code >= 500 && code <= 599 {
		return KindRetry
	}
	return KindUnknown
}

// classify414 tells the meanings of v1's 414 apart, by texts seen in public
// code; v2 should answer 414 to bad parameters only, but one public client saw
// signature errors with it. Taking any 414 for "exists" would hide a wrong
// secret until the players' logins fail.
func classify414(text string) Kind {
	switch {
	case strings.Contains(text, "already register"):
		return KindExists
	case strings.HasSuffix(strings.TrimRight(text, ". "), "not registered"): // "<accid> is not registered"
		return KindUnknownAccount
	}
	for _, sign := range []string{"checksum", "appkey", "curtime", "nonce", "http header", "authentication"} {
		if strings.Contains(text, sign) {
			return KindAuth
		}
	}
	return KindBadRequest
}

// class is what Config.Observe is told.
func class(ctx context.Context, err error) string {
	var e *APIError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return string(e.kind)
	case errors.Is(ctx.Err(), context.Canceled):
		return "canceled"
	default:
		return "unavailable"
	}
}
