package yunxintest

import "time"

// Fault is something that goes wrong. Of Reset, Status and Code the first that
// is set replaces the call, which then has no effect. The others let it take
// effect and spoil its reply.
//
// A refused connection is no fault but a Server that was closed: serve one
// Simulator on two, and close the primary.
type Fault struct {
	API   string // the interface to strike, such as Create; "" strikes all
	Times int    // calls to strike; 0 means 1, below 0 all until ClearFaults
	After int    // calls to let pass first

	Reset  bool   // the connection breaks and nothing has happened
	Status int    // an HTTP status with Body, by default a page of HTML; 200 without Body is an empty reply
	Body   string // goes with Status
	Code   int    // a business code, with HTTP status 200
	Text   string // its desc or msg

	Delay time.Duration // the reply is held back, or until the caller gives up
	Drop  bool          // the connection breaks without a reply: commit, then drop
	Cut   bool          // the connection breaks in the middle of the reply's body
}

// Inject adds a fault. Faults strike in the order of their injection, one a call.
func (s *Simulator) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults removes the faults that are left.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault returns the fault that strikes a call of api, if any.
func (s *Simulator) takeFault(api string) Fault {
	for _, f := range s.faults {
		if f.Times == 0 || f.API != "" && f.API != api {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f
	}
	return Fault{}
}
