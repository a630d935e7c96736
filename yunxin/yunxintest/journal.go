package yunxintest

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// maxJournal bounds the memory of a simulator that runs for long.
const maxJournal = 4096

// Entry is one request as the simulator saw it.
type Entry struct {
	Time         time.Time // of the simulator's clock
	Host         string
	Method, Path string
	Query        string // as it was sent
	Version      string // "v1" or "v2"; "" for a path that does not exist
	API          string // such as Create; "" likewise
	Header       http.Header
	Body         []byte
	Params       map[string]string // of the body and the path, under v1's names
	Status       int               // HTTP status of the reply
	Code         int               // code in its body; 0 if a fault stood in for it
	Kicked       int               // sessions that the call ended
	Lost         bool              // a fault broke the reply or held it back
}

func (s *Simulator) record(q *request, out outgoing, code, kicked int) {
	if len(s.journal) == maxJournal {
		s.journal = slices.Delete(s.journal, 0, maxJournal/4)
	}
	s.journal = append(s.journal, Entry{
		Time:    s.now(),
		Host:    q.http.Host,
		Method:  q.http.Method,
		Path:    q.http.URL.EscapedPath(),
		Query:   q.http.URL.RawQuery,
		Version: q.version,
		API:     q.api,
		Header:  q.http.Header.Clone(),
		Body:    q.body,
		Params:  maps.Clone(q.params),
		Status:  out.status,
		Code:    code,
		Kicked:  kicked,
		Lost:    out.drop || out.cut || out.delay > 0,
	})
}

// Journal returns the requests so far, of one interface if api is not "". Only
// the latest few thousand are kept.
func (s *Simulator) Journal(api string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Entry
	for _, e := range s.journal {
		if api == "" || e.API == api {
			list = append(list, e)
		}
	}
	return list
}

// ClearJournal forgets the requests so far.
func (s *Simulator) ClearJournal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = nil
}
