package wechattest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// pushForm pushes what a form of the control page asks for. Fields other than
// those of the form become elements of an event.
func (s *Server) pushForm(w http.ResponseWriter, r *http.Request) {
	appid, player, event := r.PostFormValue("appid"), r.PostFormValue("player"), r.PostFormValue("event")
	var p Pushed
	if event == "" {
		p = s.PushText(r.Context(), appid, player, r.PostFormValue("text"))
	} else {
		var more []string
		for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
			if !slices.Contains([]string{"appid", "player", "event", "text"}, name) {
				more = append(more, name, r.PostForm.Get(name))
			}
		}
		p = s.PushEvent(r.Context(), appid, player, event, more...)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if p.Err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "not accepted, %d attempts: %v\n", len(p.Attempts), p.Err)
		return
	}
	fmt.Fprintf(w, "accepted\n%s", p.Reply)
}
