package wechattest

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Entry is one request that the simulator saw, or made: to verify a domain or a
// push URL, or to push.
// Requests to /sim/ are left out, but for the administrator's buttons on a phone,
// and so are the QR page's polls and pictures.
type Entry struct {
	Time         time.Time // by the simulator's clock
	Method, Path string
	Query        url.Values
	Header       http.Header
	// AppID of the account or the third-party platform that a server interface was
	// called for, or that a push is about, if known.
	AppID string
	// Event is what a push is about: its InfoType, Event or MsgType.
	Event string
	// Player who visits or whom the answer is about, if known.
	Player string
	// Errcode of the answer, or number of the error page; 0 for none.
	Errcode int
	// Result in a word or two: "ok", "errcode", "dropped", "abandoned" (the
	// client went away first), "fault"; for the authorize page "redirect",
	// "redirect twice", "choose page", "consent page", "denied", "not wechat",
	// "error page"; for the QR login also "qr page", "scanned", "expired", "over"
	// (a button after the end); for the authorization of a third-party platform
	// also "grant page" and "granted"; for a domain or push URL "verified" or "not
	// verified"; for a push "accepted" or "not accepted".
	Result string
}

// maxJournal bounds the journal; the older half goes when it is full.
const maxJournal = 20_000

// seen begins the entry of a request.
func (s *Server) seen(r *http.Request) Entry {
	return Entry{
		Time: s.Now(), Method: r.Method, Path: r.URL.Path,
		Query: r.URL.Query(), Header: r.Header.Clone(),
	}
}

func (s *Server) record(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.journal) >= maxJournal {
		s.journal = slices.Delete(s.journal, 0, maxJournal/2)
	}
	s.journal = append(s.journal, e)
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// nextEntry is closed when the journal gets another entry.
func (s *Server) nextEntry() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// Journal returns what was seen, oldest first.
func (s *Server) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

// Calls returns what was seen on one path.
func (s *Server) Calls(path string) []Entry {
	return slices.DeleteFunc(s.Journal(), func(e Entry) bool { return e.Path != path })
}

// Exchanges counts the attempts to exchange each code, successful or not.
func (s *Server) Exchanges() map[string]int {
	n := map[string]int{}
	for _, e := range s.Journal() {
		switch e.Path {
		case AccessTokenPath, ComponentAccessTokenPath:
			n[e.Query.Get("code")]++
		case Code2SessionPath, ComponentCode2SessionPath:
			n[e.Query.Get("js_code")]++
		}
	}
	return n
}

// ForgetJournal empties the journal.
func (s *Server) ForgetJournal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = nil
}
