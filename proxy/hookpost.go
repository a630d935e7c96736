package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"wxgate/identity"
)

const (
	// hookLimit bounds one post, from the dial to the last byte of the answer.
	hookLimit = 10 * time.Second
	// hookAnswer bounds what is read of an answer, which nobody needs: a
	// connection can be used again only when it was read to its end.
	hookAnswer = 64 << 10
)

// newHookClient makes the connections to the app. A redirect is not followed:
// an event goes where the operator said, or nowhere.
func newHookClient() *http.Client {
	return &http.Client{
		Timeout:       hookLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    hookParallel,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: hookAnswer,
		},
	}
}

// hookFailure is why the app did not acknowledge an event. It says nothing of
// the URL, which may hold a password, and nothing that the app answered.
type hookFailure struct {
	status int // 0 without an answer
	reason string
	// down says that any other event would meet the same at the moment.
	down bool
}

func (f *hookFailure) Error() string {
	if f.status != 0 {
		return fmt.Sprintf("the app answered with status %d", f.status)
	}
	return f.reason
}

// post sends an event once, and returns nil if it was acknowledged.
func (h *hooks) post(ctx context.Context, event any) *hookFailure {
	body, err := json.Marshal(event)
	if err != nil {
		return &hookFailure{reason: err.Error()}
	}
	sum := sha256.Sum256(body)
	assertion, _, err := h.s.cfg.Signer.Sign(identity.Claims{Subject: identity.GatewaySubject, SHA256: hex.EncodeToString(sum[:])})
	if err != nil {
		return &hookFailure{reason: err.Error(), down: true}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.s.cfg.HookURL, bytes.NewReader(body))
	if err != nil {
		return &hookFailure{reason: "the address is no URL", down: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "wxgate")
	req.Header.Set("X-Request-Id", newRequestID())
	req.Header.Set(identity.HeaderAssertion, assertion)
	// Not sent: it lets the transport repeat on a fresh connection what went
	// into one that the app was just closing. An event may arrive twice anyway.
	req.Header["Idempotency-Key"] = []string{}

	res, err := h.client.Do(req)
	if err != nil {
		return &hookFailure{reason: hookReason(err), down: true}
	}
	defer res.Body.Close()
	if res.StatusCode >= 200 {
		// After a 101 there would be no end to it.
		_, _ = io.CopyN(io.Discard, res.Body, hookAnswer)
	}
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests, code >= 502 && code <= 504:
		return &hookFailure{status: code, down: true}
	default:
		return &hookFailure{status: code}
	}
}

// hookReason words a failure without an answer. Go's own words repeat the URL,
// and parts of an answer that is no HTTP.
func hookReason(err error) string {
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &network):
		return network.Error()
	case errors.As(err, &certificate):
		return certificate.Error()
	case errors.Is(err, http.ErrSchemeMismatch):
		return http.ErrSchemeMismatch.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed without an answer"
	}
	return "the answer is no HTTP"
}
