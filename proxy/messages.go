package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
)

const (
	// pushReadLimit is how long the body of a push may take. WeChat gives up
	// after as long.
	pushReadLimit = 5 * time.Second
	// pushMemory is how long a push is remembered. [wechat.Push] takes one for
	// twenty minutes at the most, ten before its time and ten after.
	pushMemory = 30 * time.Minute
	// heedLimit bounds what an event makes us write, heedLease is when another
	// replica may try.
	heedLimit = 4 * time.Second
	heedLease = 10 * time.Second
	// taskPoll is how often a push looks whether another replica is done.
	taskPoll = 100 * time.Millisecond
)

// inbox is the callback URL to which WeChat pushes the messages and events of an
// account. It asks for no session and no rate: what proves a push is its
// signature, and what one without costs is the reading of 64 KiB. Why a push is
// refused is for the log alone, or it would help to forge one.
//
// Events that concern a user are followed here. Everything is acknowledged, and
// handed to the app if it wants messages.
type inbox struct {
	s     *Server
	push  *wechat.Push
	appID string // whose openids the messages have
	app   *messageApp
	// readLimit is pushReadLimit, for tests to shorten.
	readLimit time.Duration
}

func newInbox(s *Server, push *wechat.Push, appID string, app *messageApp) *inbox {
	return &inbox{s: s, push: push, appID: appID, app: app, readLimit: pushReadLimit}
}

func (b *inbox) serve(v *visit) {
	noStore(v.Header())
	switch v.r.Method {
	case http.MethodGet:
		b.verify(v)
	case http.MethodPost:
		b.receive(v)
	default:
		v.Header().Set("Allow", "GET, POST")
		b.s.fail(v, methodNotAllowed, nil)
	}
}

// verify answers WeChat's look at a URL that is entered in the console.
func (b *inbox) verify(v *visit) {
	echo, err := b.push.Echo(v.r.URL.RawQuery)
	if err == nil {
		err = b.bind(v, nil)
	}
	if err != nil {
		b.refuse(v, err)
		return
	}
	b.answer(v, "text/plain; charset=utf-8", []byte(echo))
}

// receive takes a push. The order matters: nothing is read of a message, and
// nothing stored, before its signature is known to be right.
func (b *inbox) receive(v *visit) {
	arrived := b.s.now()
	body, err := b.read(v)
	if err != nil {
		b.s.fail(v, badRequest, err)
		return
	}
	e, err := b.push.Open(v.r.URL.RawQuery, body)
	if err == nil && !e.Encrypted() {
		err = b.bind(v, e.XML)
	}
	var m wechat.Message
	if err == nil {
		m, err = wechat.ParsePush(e.XML)
	}
	if err != nil {
		b.refuse(v, err)
		return
	}
	b.s.log.LogAttrs(v.r.Context(), slog.LevelDebug, "push", slog.String("id", v.id), slog.String("type", plainWord(m.MsgType)),
		slog.String("event", plainWord(m.Event)), slog.String("message", messageName(m)), slog.Bool("encrypted", e.Encrypted()))
	if err := b.heed(v, m); err != nil {
		b.s.fail(v, storeUnavailable, err) // WeChat pushes it again
		return
	}
	var reply []byte
	if b.app != nil {
		var p *problem
		if reply, p, err = b.relay(v, m, e.XML, arrived); p != nil {
			b.s.fail(v, p, err)
			return
		}
	}
	sealed, err := b.push.Seal(e, reply)
	if err != nil || len(sealed) == 0 {
		v.cause = err
		b.answer(v, "text/plain; charset=utf-8", []byte("success"))
		return
	}
	b.answer(v, "text/xml; charset=utf-8", sealed)
}

// read reads the body of a push, with no regard for what it says of its own
// length. The deadline is for the body alone and ends with it.
func (b *inbox) read(v *visit) ([]byte, error) {
	http.NewResponseController(v).SetReadDeadline(time.Now().Add(b.readLimit))
	body, err := io.ReadAll(http.MaxBytesReader(v, v.r.Body, wechat.MaxPush))
	v.received.Add(int64(len(body)))
	if err != nil {
		return nil, errors.New("the body of a push is too long, too slow or cut off")
	}
	return body, nil
}

func (b *inbox) answer(v *visit, contentType string, body []byte) {
	h := v.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	v.write(http.StatusOK, body)
}

// refuse answers every push that is not WeChat's alike.
func (b *inbox) refuse(v *visit, err error) {
	if errors.Is(err, wechat.ErrPush) {
		b.s.fail(v, badRequest, err)
		return
	}
	b.s.fail(v, storeUnavailable, err)
}

// bind ties the signature of a request whose body it does not cover to that
// body: that of a plain push, or none. Whoever sees a query, in some access log,
// could else send any message with it.
func (b *inbox) bind(v *visit, body []byte) error {
	q, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil {
		return err // Push has read it before
	}
	same, err := b.s.cfg.Sessions.Bind(v.r.Context(), "push "+b.appID+" "+q.Get("signature"), body, pushMemory)
	if err == nil && !same {
		err = fmt.Errorf("%w: its signature came with another body before", wechat.ErrPush)
	}
	return err
}

// heed follows an event that concerns a user. Without an error it is stored,
// once for all deliveries of the event, and may be acknowledged.
func (b *inbox) heed(v *visit, m wechat.Message) error {
	var follow func(context.Context, wechat.Message) error
	switch m.Event {
	case wechat.EventRevoke, wechat.EventCancellation:
		follow = b.revoked
	case wechat.EventUserInfoModified:
		follow = b.profileModified
	case wechat.EventSubscribe:
		follow = b.subscribed
	default:
		return nil
	}
	// It is carried through even if WeChat hangs up meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), heedLimit)
	defer cancel()
	task, err := b.await(ctx, "account event "+b.appID+" "+m.Key())
	if err != nil || task.Done {
		return err
	}
	if err := follow(ctx, m); err != nil {
		return errors.Join(err, task.Release(ctx))
	}
	return task.Finish(ctx, nil)
}

// await claims a task and waits while another replica is at it.
func (b *inbox) await(ctx context.Context, name string) (*session.Task, error) {
	for {
		task, err := b.s.cfg.Sessions.Claim(ctx, name, heedLease, pushMemory)
		if err != nil || task.Mine || task.Done {
			return task, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("another replica is still at this event")
		case <-time.After(taskPoll):
		}
	}
}

// account is whom an event is about. The open platform also sends events about
// its other apps; one that is not configured here knows nobody.
func (b *inbox) account(m wechat.Message) (appID, openID string) {
	appID = b.appID
	cfg := &b.s.cfg
	if named := m.Field("AppID"); named != "" && slices.Contains([]string{cfg.MP.ID, cfg.Web.ID, cfg.Mobile.ID, cfg.Mini.ID}, named) {
		appID = named
	}
	return appID, cmp.Or(m.OpenID(), m.FromUserName)
}

// revoked: the person took the consent back, or closed the account.
func (b *inbox) revoked(ctx context.Context, m wechat.Message) error {
	appID, openID := b.account(m)
	u, found, err := b.s.cfg.Users.Find(ctx, appID, openID)
	if err != nil || !found {
		return err
	}
	if a := u.Account(appID, openID); a != nil && superseded(m, a.LastSeen) && (u.Profile == nil || superseded(m, u.Profile.UpdatedAt)) {
		b.s.log.Info("the person logged in again since this event; it is left alone", "event", m.Event, "user", u.ID)
		return nil
	}
	if found, err = b.s.revoke(ctx, identity.Revocation{AppID: appID, OpenID: openID, Reason: m.Event}); found {
		b.s.log.Info("the person took the consent back in WeChat", "event", m.Event, "user", u.ID)
	}
	return unlessGone(err)
}

// profileModified: WeChat took offence at name or picture.
func (b *inbox) profileModified(ctx context.Context, m wechat.Message) error {
	appID, openID := b.account(m)
	u, found, err := b.s.cfg.Users.Find(ctx, appID, openID)
	if err != nil || !found || u.Profile == nil || superseded(m, u.Profile.UpdatedAt) {
		return err
	}
	_, err = b.s.clearProfile(ctx, appID, openID)
	return unlessGone(err)
}

// subscribed: WeChat tells more about followers. Strangers are not asked about;
// whoever logs in later is asked about then.
func (b *inbox) subscribed(ctx context.Context, m wechat.Message) error {
	u, found, err := b.s.cfg.Users.Find(ctx, b.appID, m.FromUserName)
	if err != nil || !found {
		return err
	}
	b.s.followers.afterSubscribe(ctx, b.appID, m.FromUserName, u)
	return nil
}

// eventSlack is how much later than an event something has to be known to have
// happened to count as later. The two times are of different clocks; pushes are
// refused if they are farther apart than this.
const eventSlack = 10 * time.Minute

// superseded reports that something we took note of is younger than an event, so
// that the event, which WeChat held back or sends again, is no news. The times of
// logins are noted once an hour, and an event that is wrongly taken for news
// costs the person one more login, while one wrongly taken for old would leave
// data in use that must not be used any more: in doubt it is news.
func superseded(m wechat.Message, since time.Time) bool {
	return !m.CreateTime.IsZero() && since.Sub(m.CreateTime) > eventSlack
}

// unlessGone drops the errors of a user who is no more since we looked.
func unlessGone(err error) error {
	if errors.Is(err, identity.ErrErased) || errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	return err
}

var plainWordForm = regexp.MustCompile(`^[0-9A-Za-z_]{1,40}$`)

// plainWord is what the log shows of a word inside a message: what it decrypts
// to is nobody's business but for WeChat's own vocabulary.
func plainWord(s string) string {
	if s == "" || plainWordForm.MatchString(s) {
		return s
	}
	return "?"
}

// messageName is how the log names a message.
func messageName(m wechat.Message) string { return m.Key()[:16] }
