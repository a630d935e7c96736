package main

import (
	"encoding/json"
	"net/http"
)

// demoTab is a page of the demo that tells a story: the page itself, at path+".json"
// what it draws, and at path+"/step" the buttons that it has.
type demoTab struct {
	path, public string
	html         []byte
	view         func(*http.Request) (any, error)
	step         func(*http.Request, string) error
}

func (t demoTab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var err error
	switch {
	case r.URL.Path == t.path:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(t.html)
	case r.URL.Path == t.path+".json":
		var v any
		if v, err = t.view(r); err == nil {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(v)
		}
	case r.URL.Path == t.path+"/step" && r.Method == http.MethodPost && r.Header.Get("Origin") != "" && r.Header.Get("Origin") != t.public:
		w.WriteHeader(http.StatusForbidden) // another site's page plays with the demo
	case r.URL.Path == t.path+"/step" && r.Method == http.MethodPost:
		if err = t.step(r, r.FormValue("step")); err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
