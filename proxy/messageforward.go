package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

// A person who writes to the account waits for the app's answer, and WeChat with
// them: it hangs up after five seconds, delivers the message again, three times
// in all, and if none is answered tells the person 该公众号暂时无法提供服务
// (https://developers.weixin.qq.com/doc/service/guide/product/message/Passive_user_reply_message).
// It says so, too, on an answer that it does not understand, and no word of it
// says whether it delivers again after an error status. So:
//
//   - The app gets a message once and has 15 seconds, about as long as three
//     deliveries take. Whichever is waiting when the app is done, or comes
//     after, brings its answer back: the person gets it late rather than never.
//   - A delivery that has no answer yet is not answered, unless it is the last
//     one. WeChat hanging up is the one thing of which it is documented that
//     another delivery follows; "success" would end the matter at once.
//   - The last one is answered "success" within 4.5 seconds: nothing can come any
//     more, and the person is not told of a fault that only the app's
//     operator can mend. An app that needs longer has the customer-service
//     messages for that.
//   - An app that could not be reached gets the next delivery.
const (
	// replyPatience is when the last delivery is answered, hangUp is how long
	// any other one is held: until a little after WeChat went away.
	replyPatience = 4500 * time.Millisecond
	hangUp        = 6 * time.Second
	// lastDelivery is how long after the first one WeChat's third delivery comes
	// at the earliest.
	lastDelivery = 8 * time.Second
	// messageLimit is how long the app may take.
	messageLimit = 15 * time.Second
	messageLease = messageLimit + 5*time.Second
	// messageStoreLimit bounds each question to the store.
	messageStoreLimit = 3 * time.Second
	// maxMessages are with the app at once; beyond it WeChat has to come again.
	maxMessages = 256
)

// messageApp is the part of the app that gets the messages.
type messageApp struct {
	s      *Server
	url    string
	client *http.Client
	slots  chan struct{}

	// The constants above, for tests to shorten.
	patience, hangUp, lastDelivery, limit time.Duration
}

func newMessageApp(s *Server, address string) (*messageApp, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("proxy: messages cannot be forwarded to what is no http or https URL")
	}
	return &messageApp{
		s: s, url: u.String(), slots: make(chan struct{}, maxMessages),
		client: &http.Client{
			// Without a limit of its own, so that a slow app is told from one
			// that cannot be reached.
			Transport: newStandardTransport(0),
			// Whoever is named there is not who may read the messages.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		patience: replyPatience, hangUp: hangUp, lastDelivery: lastDelivery, limit: messageLimit,
	}, nil
}

// relay hands a message to the app, unless that was done before, and returns the
// app's answer, nil for none. A problem leaves WeChat to deliver the message
// again.
func (b *inbox) relay(v *visit, m wechat.Message, text []byte, arrived time.Time) (reply []byte, p *problem, err error) {
	a := b.app
	claim := func() (*session.Task, error) {
		// A claim that WeChat hanging up cut short might stand and nobody know.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), messageStoreLimit)
		defer cancel()
		return b.s.cfg.Sessions.Claim(ctx, "message "+b.appID+" "+m.Key(), messageLease, pushMemory)
	}
	task, err := claim()
	if err != nil {
		return nil, storeUnavailable, err
	}
	last, limit := arrived.Sub(task.Began) >= a.lastDelivery, a.hangUp
	if last {
		limit = a.patience
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), limit-b.s.now().Sub(arrived))
	defer cancel()
	for !task.Done && !task.Mine {
		select {
		case <-ctx.Done():
			return unanswered(ctx, last, upstreamSlow)
		case <-time.After(taskPoll):
		}
		if task, err = claim(); err != nil {
			return nil, storeUnavailable, err
		}
	}
	if task.Done {
		return task.Result, nil, nil
	}
	select {
	case out := <-a.begin(v, task, appMessage{appID: b.appID, name: messageName(m), text: text}):
		if out.taken {
			return out.reply, nil, nil
		}
		return unanswered(ctx, last, upstreamDown)
	case <-ctx.Done():
	}
	return unanswered(ctx, last, upstreamSlow)
}

// unanswered is the end of a delivery without the app's answer, for a reason.
func unanswered(ctx context.Context, last bool, why *problem) ([]byte, *problem, error) {
	if last {
		return nil, nil, nil
	}
	<-ctx.Done()
	return nil, why, fmt.Errorf("the app has not answered the message: %w", ctx.Err())
}

// appMessage is a message for the app.
type appMessage struct {
	appID string // the account's that it was sent to
	name  string // for the log
	text  []byte
}

// forwardedMessage is what became of a message at the app. One that was not taken
// is to be forwarded again.
type forwardedMessage struct {
	taken bool
	reply []byte
}

// begin forwards a message beside the request, which may end before. The task is
// finished when the app has taken the message, with or without an answer.
func (a *messageApp) begin(v *visit, task *session.Task, m appMessage) <-chan forwardedMessage {
	done := make(chan forwardedMessage, 1)
	log := a.s.log.With("id", v.id, "message", m.name)
	ctx := context.WithoutCancel(v.r.Context())
	trace := traceParent(v.r.Header)
	a.s.background.Go(func() {
		var out forwardedMessage
		var err error
		select {
		case a.slots <- struct{}{}:
			out.reply, err = a.post(ctx, v.id, trace, m)
			<-a.slots
		default:
			err = fmt.Errorf("%w: %d messages are with it already", errNotTaken, cap(a.slots))
		}
		out.taken = !errors.Is(err, errNotTaken)
		done <- out
		ctx, cancel := context.WithTimeout(ctx, messageStoreLimit)
		defer cancel()
		if !out.taken {
			log.Error("the app did not take a message", "error", err)
			err = task.Release(ctx)
		} else {
			if err != nil {
				log.Error("the app has no usable answer to a message", "error", err)
			}
			err = task.Finish(ctx, out.reply)
		}
		if err != nil {
			log.Warn("it could not be kept what became of a message", "error", err)
		}
	})
	return done
}

// errNotTaken says that the app did not get a message, or did not get along.
var errNotTaken = errors.New("the message was not taken")

// post sends a message as it was decrypted. It is signed as events are and
// speaks for nobody: nothing of the request that brought it goes along.
func (a *messageApp) post(ctx context.Context, id, trace string, m appMessage) (reply []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.limit)
	defer cancel()
	sum := sha256.Sum256(m.text)
	assertion, _, err := a.s.cfg.Signer.Sign(identity.Claims{Subject: identity.GatewaySubject, SHA256: hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotTaken, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(m.text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotTaken, err)
	}
	req.Header = http.Header{
		"Content-Type":           {"text/xml; charset=utf-8"},
		"User-Agent":             {"wxgate"},
		identity.HeaderAssertion: {assertion},
		identity.HeaderAppID:     {m.appID},
		"X-Request-Id":           {id},
		"Traceparent":            {trace},
		// Not sent: it lets the transport repeat what went into a connection that
		// the app was just closing.
		"Idempotency-Key": {},
	}
	res, err := a.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("none within %v", a.limit)
		}
		return nil, fmt.Errorf("%w: %s", errNotTaken, hookReason(err))
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 500:
		return nil, fmt.Errorf("%w: status %d", errNotTaken, res.StatusCode)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, wechat.MaxPush+1))
	if err != nil {
		return nil, errors.New("it broke off, or took too long")
	}
	return replyOf(body)
}

// replyOf is what goes back to the person of an app's answer, nil for nothing.
// Anything but XML would be shown to them as a fault of the account.
func replyOf(body []byte) ([]byte, error) {
	if len(body) > wechat.MaxPush {
		return nil, fmt.Errorf("it has more than %d bytes", wechat.MaxPush)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || string(body) == "success" {
		return nil, nil
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	for depth, ended := 0, false; ; {
		token, err := d.Token()
		if err == io.EOF && ended {
			return body, nil
		}
		if err != nil { // which could quote it
			return nil, errNoXML
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth == 0 && (ended || token.Name.Local != "xml" || token.Name.Space != "") {
				return nil, errNoXML
			}
			depth++
		case xml.EndElement:
			depth--
			ended = depth == 0
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(token)) > 0 {
				return nil, errNoXML
			}
		case xml.Directive:
			return nil, errNoXML
		}
	}
}

var errNoXML = errors.New("it is neither empty, nor success, nor one element xml in UTF-8")
