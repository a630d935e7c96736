package clawmachine

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

const (
	playMessage = 256              // bytes of the longest command
	playWrite   = 10 * time.Second // a page that takes no frame for so long is gone
	playPing    = 20 * time.Second // finds phones that left without a word
)

// hello is the first message on a connection: who the page's player is in the frames.
type hello struct {
	Type  string `json:"type"` // "hello"
	Num   int    `json:"n"`
	Plays bool   `json:"plays"` // false: a visitor, who may watch
}

// servePlay is the game's WebSocket. Who plays is settled by the assertion on the
// handshake and stays so: the assertion's minutes of life bound its use here, the
// connection's end is the gateway's to enforce when the session ends.
func (a *App) servePlay(w http.ResponseWriter, r *http.Request) {
	c, ok := a.identify(w, r)
	if !ok {
		return
	}
	done, ok := a.stream()
	if !ok {
		writeError(w, http.StatusServiceUnavailable, "closing", "the machine is being switched off")
		return
	}
	defer done()
	// Accept refuses pages of other origins by comparing Origin with Host.
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		a.config.Logger.Debug("websocket handshake", "err", err)
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(playMessage)

	seat := a.room.join(a.playerOf(c))
	defer a.room.leave(seat)

	ctx, cancel := context.WithCancel(r.Context())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer cancel()
		a.readCommands(ctx, conn, seat)
	}()
	a.writeFrames(ctx, conn, seat)
	cancel()
	conn.CloseNow() // wakes the reader
	<-read
}

// readCommands obeys the page until the connection ends or talks nonsense.
func (a *App) readCommands(ctx context.Context, conn *websocket.Conn, s *seat) {
	for {
		kind, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var c command
		if kind != websocket.MessageText || json.Unmarshal(b, &c) != nil {
			conn.Close(websocket.StatusUnsupportedData, "commands are JSON objects")
			return
		}
		a.room.do(s, c)
	}
}

// writeFrames shows the room to the page until the connection ends or the app closes.
func (a *App) writeFrames(ctx context.Context, conn *websocket.Conn, s *seat) {
	write := func(f func(context.Context) error) bool {
		ctx, cancel := context.WithTimeout(ctx, playWrite)
		defer cancel()
		return f(ctx) == nil
	}
	if !write(func(ctx context.Context) error { return wsjson.Write(ctx, conn, s.hello) }) {
		return
	}
	ping := time.NewTicker(playPing)
	defer ping.Stop()
	for {
		select {
		case b := <-s.frames:
			if !write(func(ctx context.Context) error { return conn.Write(ctx, websocket.MessageText, b) }) {
				return
			}
		case <-ping.C:
			if !write(conn.Ping) {
				return
			}
		case <-ctx.Done():
			return
		case <-a.closing:
			conn.Close(websocket.StatusGoingAway, "the machine is being switched off")
			return
		}
	}
}
