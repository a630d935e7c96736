package wechattest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"
)

const (
	confirmPath = "/connect/confirm"

	// scanLife is how long a picture can be scanned.
	scanLife = 5 * time.Minute
	// maxScans bounds the pictures that are remembered.
	maxScans = 10_000
)

// States of a scan, by the numbers that the page polls.
const (
	scanWaiting   = 408
	scanScanned   = 404
	scanCancelled = 403
	scanExpired   = 402
	scanConfirmed = 405
)

// scan is one QR login from the picture to its end.
type scan struct {
	visit   *visit
	state   int
	player  string
	code    string
	back    string // where the page goes at the end; "" for nowhere
	expires time.Time
}

func (sc scan) words() string {
	switch sc.state {
	case scanScanned:
		return "扫描成功，在微信中轻触允许即可登录"
	case scanCancelled:
		return "你已取消此次登录"
	case scanExpired:
		return "二维码已失效"
	case scanConfirmed:
		return "已确认登录"
	}
	return "使用微信扫一扫登录"
}

func (s *Server) newScan(v *visit) (uuid string) {
	uuid = random(16)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.scans) >= maxScans {
		now := s.now()
		maps.DeleteFunc(s.scans, func(_ string, sc *scan) bool { return !now.Before(sc.expires) })
		if len(s.scans) >= maxScans {
			clear(s.scans)
		}
	}
	s.scans[uuid] = &scan{visit: v, state: scanWaiting, expires: s.now().Add(scanLife)}
	return uuid
}

// find returns a copy of a scan as it is now. An unknown one has expired.
func (s *Server) find(uuid string) scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := s.scans[uuid]
	if sc == nil {
		return scan{state: scanExpired}
	}
	s.age(sc)
	return *sc
}

func (s *Server) age(sc *scan) {
	if (sc.state == scanWaiting || sc.state == scanScanned) && !s.now().Before(sc.expires) {
		sc.state = scanExpired
	}
}

// press is a button: scan, confirm, cancel or expire, or fast for the login of
// the desktop's WeChat. player is who holds the phone, by default who visits.
func (s *Server) press(uuid, button, player string, e *Entry) (scan, error) {
	s.mu.Lock()
	sc := s.scans[uuid]
	if sc == nil {
		s.mu.Unlock()
		return scan{}, errors.New("no such QR code")
	}
	s.age(sc)
	if player == "" {
		player = sc.visit.player.ID
	}
	p, found := s.players[player]
	e.Player = player
	switch {
	case !found:
		s.mu.Unlock()
		return scan{}, errors.New("no such player")
	case sc.state != scanWaiting && sc.state != scanScanned: // nothing more happens
		e.Result = "over"
	case button == "scan":
		sc.state, sc.player, e.Result = scanScanned, player, "scanned"
	case button == "confirm", button == "fast" && sc.visit.b.FastLogin:
		sc.state, sc.player, e.Result = scanConfirmed, player, "redirect"
		sc.code = s.issue("", sc.visit.app.ID, p, scopeLogin, false)
		sc.back = sc.visit.qrCallback(sc.code, button == "fast")
	case button == "cancel":
		sc.state, sc.player, e.Result = scanCancelled, player, "denied"
		sc.back = sc.visit.qrDenial()
	case button == "expire":
		sc.state, e.Result = scanExpired, "expired"
	default:
		s.mu.Unlock()
		return scan{}, errors.New("qr is one of scan, confirm, cancel, expire and, if it is switched on, fast")
	}
	out := *sc
	s.mu.Unlock()
	s.record(*e)
	return out, nil
}

// poll tells the page how the scan stands, in the words of WeChat's own page and
// at once, where WeChat waits for a change. wx_back is the simulator's.
func (s *Server) poll(w http.ResponseWriter, r *http.Request) {
	sc := s.find(r.URL.Query().Get("uuid"))
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	back, err := json.Marshal(sc.back)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "window.wx_errcode=%d;window.wx_code='%s';window.wx_back=%s;", sc.state, sc.code, back)
}

// confirm is the page on the phone: opening it is the scan.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	e := s.seen(r)
	uuid, button, player := r.URL.Query().Get("uuid"), "scan", ""
	if r.Method == http.MethodPost {
		button, player = r.PostFormValue("qr"), r.PostFormValue("player")
	} else if p, chosen := s.visitor(r); chosen {
		player = p.ID
	}
	if s.find(uuid).visit == nil {
		s.page(w, "error.html", refusal{Text: scan{state: scanExpired}.words()})
		return
	}
	sc, err := s.press(uuid, button, player, &e)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.page(w, "phone.html", map[string]any{
		"App": sc.visit.app, "Words": sc.words(), "Open": sc.state == scanScanned,
		"Players": s.Players(), "Player": sc.player,
	})
}
