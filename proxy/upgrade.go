package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"wxgate/proxy/transport"
)

// switchProtocols joins client and app, who agreed on a WebSocket. Whatever the
// request needed is let go of: most of these connections last for hours and say
// next to nothing.
func (s *Server) switchProtocols(v *visit, res *http.Response) error {
	app, first, err := hijacked(res)
	if err != nil {
		return err
	}
	// A tunnel that the client did not ask for would carry its next requests
	// past every rule.
	if !asksToSwitch(v.r.Header) || !slices.EqualFunc(res.Header["Upgrade"], upgradeWebSocket, strings.EqualFold) {
		app.Close()
		return errors.New("the app switches to a protocol that nobody asked for")
	}
	dropHopByHop(res.Header)
	if err := s.answer(v, res); err != nil {
		app.Close()
		return err
	}
	client, buf, err := http.NewResponseController(v.w).Hijack()
	if err != nil {
		app.Close()
		return err
	}
	// Bytes that came right behind the handshake belong to the app.
	waiting, _ := buf.Reader.Peek(buf.Reader.Buffered())
	early := slices.Clone(waiting)

	v.status, v.upgraded = http.StatusSwitchingProtocols, true
	key := ""
	if v.live != nil {
		key = v.live.key
	}
	head := switchingHead(res.Header)
	v.detach()
	over := func(in, out int64) {
		v.received.Store(in)
		v.sent = out
		s.metrics.inFlight.Dec()
		s.end(v)
	}
	// Until the tunnel stands: whoever ends the session must not miss it.
	leave := s.streams.join(key, handshake{client, app})
	defer leave()
	client.SetWriteDeadline(time.Now().Add(handshakePatience))
	if _, err := client.Write(head); err != nil {
		client.Close()
		app.Close()
		over(0, 0)
		return nil
	}
	client.SetWriteDeadline(time.Time{})
	s.streams.tunnel(key, client, early, app, first, over)
	return nil
}

// asksToSwitch reports that a client wants a WebSocket; there is no other
// upgrade here.
func asksToSwitch(h http.Header) bool {
	return isWebSocket(h) && httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade")
}

// handshake is an upgraded connection whose client has not been told yet.
type handshake struct{ client, app net.Conn }

func (h handshake) end() {
	h.client.Close()
	h.app.Close()
}

func (h handshake) endless() bool { return true }

// handshakePatience is how long a client may take to take the answer that
// makes it a WebSocket.
const handshakePatience = 10 * time.Second

func switchingHead(h http.Header) []byte {
	h["Connection"], h["Upgrade"] = connectionUpgrade, upgradeWebSocket
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Write(&b) // checks and sorts
	b.WriteString("\r\n")
	return []byte(b.String())
}

// hijacked takes the app's connection out of its answer.
func hijacked(res *http.Response) (app net.Conn, first []byte, err error) {
	switch body := res.Body.(type) {
	case *transport.Upgraded:
		app, first = body.Hijack()
		return app, first, nil
	case io.ReadWriteCloser:
		return stranger{ReadWriteCloser: body}, nil, nil
	}
	res.Body.Close()
	return nil, nil, errors.New("the app's connection cannot be switched")
}

// stranger is an upgraded connection of the standard transport, which shows
// nothing of what it is.
type stranger struct {
	io.ReadWriteCloser
	net.Conn // nil: nobody asks for addresses and deadlines
}

func (s stranger) Read(p []byte) (int, error)  { return s.ReadWriteCloser.Read(p) }
func (s stranger) Write(p []byte) (int, error) { return s.ReadWriteCloser.Write(p) }
func (s stranger) Close() error                { return s.ReadWriteCloser.Close() }

func (s stranger) CloseWrite() error {
	if half, ok := s.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}
