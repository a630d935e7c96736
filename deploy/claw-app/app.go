package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed web
var web embed.FS

// released is when the page was last changed. Its answers say so and nothing
// else of caching, so that browsers keep them for months by their heuristics.
var released = time.Date(2018, 7, 9, 8, 0, 0, 0, time.UTC)

const (
	touristLife = 6 * time.Hour
	maxTourists = 10_000
)

// app is the server. Calls of its API are POST with a form; they answer with
// status 200 and a code inside, errors too.
type app struct {
	address string // its own; it knows no other

	mu       sync.Mutex
	tourists map[string]*tourist
}

// tourist is an account for whoever comes. Naming the accid is all it takes to
// get the token of one that is there already.
type tourist struct {
	Accid    string `json:"accid"`
	Nickname string `json:"nickname"`
	Token    string `json:"imToken"`
	expires  time.Time
}

type room struct {
	RoomID          string `json:"roomId"`
	Name            string `json:"name"`
	Creator         string `json:"creator"`
	RoomStatus      int    `json:"roomStatus"`
	LiveStatus      int    `json:"liveStatus"`
	OnlineUserCount int    `json:"onlineUserCount"`
	QueueCount      int    `json:"queueCount"`
}

var rooms = []room{
	{"3400123", "一号娃娃机", "machine-1", 0, 1, 3, 0},
	{"3400124", "二号娃娃机", "machine-2", 0, 0, 0, 0},
}

func newApp(address string) http.Handler {
	a := &app{address: address, tourists: map[string]*tourist{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /h5/", static)
	mux.HandleFunc("GET /h5/audio/tune.wav", serveTune)
	mux.HandleFunc("POST /dollsCatcher/tourist", a.tourist)
	mux.HandleFunc("POST /dollsCatcher/room/list", a.roomList)
	mux.HandleFunc("POST /dollsCatcher/host/query", a.hostQuery)
	mux.HandleFunc("/healthCheck", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("OK")) })
	return mux
}

// home redirects with the server's own address, as application servers do that
// were never told of another.
func (a *app) home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", "http://"+a.address+"/h5/index.html")
	w.WriteHeader(http.StatusFound)
}

// static serves the page. Pictures have a hash of their content behind the
// question mark, and another hash is another picture, which is not there.
func static(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	content, err := fs.ReadFile(web, "web/"+name)
	if err != nil || strings.HasSuffix(name, ".png") && r.URL.RawQuery != hashOf(content) {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, path.Base(name), released, bytes.NewReader(content))
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:10]
}

func (a *app) tourist(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	t := a.tourists[r.PostFormValue("sid")]
	if t == nil || now.After(t.expires) {
		if len(a.tourists) >= maxTourists {
			reply(w, 1101, nil)
			return
		}
		id := fmt.Sprintf("%016x", rand.Uint64())
		t = &tourist{Accid: "tourist" + id, Nickname: "游客" + id[:4], Token: hashOf([]byte(id)), expires: now.Add(touristLife)}
		a.tourists[t.Accid] = t
	}
	reply(w, 200, t)
}

// roomList wants to know who asks and believes whatever it is told.
func (a *app) roomList(w http.ResponseWriter, r *http.Request) {
	sid := r.PostFormValue("sid")
	limit, err := strconv.Atoi(r.PostFormValue("limit"))
	switch {
	case r.PostFormValue("limit") == "":
		limit = 10
	case err != nil || limit < 0:
		reply(w, 400, nil)
		return
	}
	if !plausible(sid) {
		reply(w, 401, nil)
		return
	}
	reply(w, 200, map[string]any{"total": len(rooms), "list": rooms[:min(limit, len(rooms))]})
}

// plausible reports that a text has the form of an accid.
func plausible(accid string) bool {
	return accid != "" && len(accid) <= 32 && strings.Trim(strings.ToLower(accid), "abcdefghijklmnopqrstuvwxyz0123456789_-@.") == ""
}

// hostQuery hands the machine's own account to anybody: the list of addresses
// that it is meant to check came switched off.
func (a *app) hostQuery(w http.ResponseWriter, r *http.Request) {
	reply(w, 200, map[string]string{"accid": "machine-1", "imToken": "whoever-has-this-moves-the-claw"})
}

func reply(w http.ResponseWriter, code int, data any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	json.NewEncoder(w).Encode(map[string]any{"code": code, "data": data})
}
