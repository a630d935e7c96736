package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/coder/websocket"
)

// holdable passes requests on, or keeps them waiting with no effect until it is let go or the caller leaves.
type holdable struct {
	next http.Handler
	mu   sync.Mutex
	held chan struct{}
}

func (h *holdable) hold(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case on && h.held == nil:
		h.held = make(chan struct{})
	case !on && h.held != nil:
		close(h.held)
		h.held = nil
	}
}

func (h *holdable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	held := h.held
	h.mu.Unlock()
	if held != nil {
		// The server only notices that its caller left once the body is read.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	}
	h.next.ServeHTTP(w, r)
}

// toyApp is an app that trusts the headers it gets: a page, its identity as JSON, a call that takes its time, and a
// WebSocket that says everything twice.
type toyApp struct {
	reached chan struct{} // receives when a slow call has come in
	release chan struct{}
	letGo   func()
}

func newToyApp() *toyApp {
	a := &toyApp{reached: make(chan struct{}, 16), release: make(chan struct{})}
	a.letGo = sync.OnceFunc(func() { close(a.release) })
	return a
}

func (a *toyApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/who":
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(r.Header)
	case "/slow":
		a.reached <- struct{}{}
		<-a.release
		io.WriteString(w, "slow but whole")
	case "/ws":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, text, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, slices.Repeat(text, 2)) != nil {
				return
			}
		}
	default:
		name, _ := url.PathUnescape(r.Header.Get("X-Wxgate-Name"))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><meta name="viewport" content="width=device-width"><title>app</title><link rel="icon" href="data:,">`+
			`<p id="user">%s</p><p id="name">%s</p><p id="path">%s</p><a id="more" href="/more">more</a>`,
			r.Header.Get("X-Wxgate-User"), html.EscapeString(name), html.EscapeString(r.URL.EscapedPath()))
	}
}
