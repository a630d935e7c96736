package clawmachine

import (
	"slices"
	"sync"
	"time"
)

const (
	// A machine's queue longer than this turns people away.
	maxQueue = 50
	// Shelves are kept in memory for as long as the process runs, for at most
	// this many people and with this many prizes each.
	maxShelves, maxPrizes = 1000, 60
	// How often one person may cheer.
	cheerPause = time.Second
)

// room is one machine and the people around it: who watches, who waits, whose
// turn it is. A person is a user id, however many connections they have: phone
// and PC of one person share a turn and a place in the queue.
type room struct {
	newTicker func() (<-chan time.Time, func())
	now       func() time.Time
	publish   func(event)

	mu      sync.Mutex // guards what follows
	machine *machine
	people  map[string]*person // by user id, those with a connection
	nextNum int
	queue   []*person
	playing *person
	ticking bool // a goroutine is moving the machine
	tick    int
	round   int
	last    *roundJSON
	shelves map[string]*shelf
	closed  bool
	stop    chan struct{}
	done    sync.WaitGroup
}

type person struct {
	player
	num     int // what others see instead of the user id
	seats   map[*seat]bool
	cheered time.Time
}

// seat is one connection. Its mailbox holds the newest frame only: each frame
// tells everything, so a slow reader misses frames and nothing else.
type seat struct {
	person *person
	hello  hello
	frames chan []byte
}

// shelf is what one person has won.
type shelf struct {
	Rounds int     `json:"rounds"`
	Prizes []prize `json:"prizes"`
}

type prize struct {
	Kind string    `json:"kind"`
	Time time.Time `json:"time"`
}

func newRoom(m *machine, newTicker func() (<-chan time.Time, func()), now func() time.Time, publish func(event)) *room {
	return &room{
		newTicker: newTicker, now: now, publish: publish, machine: m,
		people:  make(map[string]*person),
		shelves: make(map[string]*shelf),
		stop:    make(chan struct{}),
	}
}

// join seats a connection. The first frame is in its mailbox at once.
func (r *room) join(p player) *seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := r.people[p.id]
	if who == nil {
		r.nextNum++
		who = &person{num: r.nextNum, seats: make(map[*seat]bool)}
		r.people[p.id] = who
	}
	who.player = p // the newest connection has the newest name
	s := &seat{
		person: who,
		hello:  hello{Type: "hello", Num: who.num, Plays: !p.visitor},
		frames: make(chan []byte, 1),
	}
	who.seats[s] = true
	r.broadcast()
	return s
}

// leave gives up a connection. With a person's last one goes their place in the
// queue; a round of theirs ends by the claw going down where it is.
func (r *room) leave(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := s.person
	delete(who.seats, s)
	if len(who.seats) == 0 {
		delete(r.people, who.id)
		r.unqueue(who)
		if r.playing == who {
			r.machine.drop()
		}
	}
	r.broadcast()
}

// command is what a page may say.
type command struct {
	Type string `json:"type"` // start, move, drop, leave
	X    int    `json:"x"`    // move: -1 left, 1 right
	Y    int    `json:"y"`    // move: -1 towards the glass, 1 away from it
}

// do obeys a command if it is the sender's turn to give it. What is out of turn
// is ignored: the page's picture of the room is always a little old.
func (r *room) do(s *seat, c command) {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := s.person
	if who.visitor || r.closed {
		return
	}
	switch c.Type {
	case "start":
		if r.playing == who || slices.Contains(r.queue, who) || len(r.queue) >= maxQueue {
			return
		}
		r.queue = append(r.queue, who)
		r.next()
		r.broadcast()
	case "leave":
		r.unqueue(who)
		r.broadcast()
	case "move":
		if r.playing == who {
			r.machine.steer(c.X, c.Y)
		}
	case "drop":
		if r.playing == who {
			r.machine.drop()
			r.broadcast()
		}
	}
}

func (r *room) unqueue(who *person) {
	r.queue = slices.DeleteFunc(r.queue, func(p *person) bool { return p == who })
}

// next gives the machine to the head of the queue, if it is free.
func (r *room) next() {
	if r.playing != nil || len(r.queue) == 0 {
		return
	}
	r.playing = r.queue[0]
	r.queue = slices.Delete(r.queue, 0, 1)
	r.round++
	r.machine.start()
	r.publish(event{Kind: "started", Name: r.playing.name, Avatar: r.playing.avatar})
	if !r.ticking {
		r.ticking = true
		r.done.Add(1)
		go r.run()
	}
}

// run moves the machine for as long as somebody plays: an idle machine costs nothing.
func (r *room) run() {
	defer r.done.Done()
	ticks, stop := r.newTicker()
	defer stop()
	for {
		select {
		case <-ticks:
			if !r.advance() {
				return
			}
		case <-r.stop:
			return
		}
	}
}

func (r *room) advance() (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick++
	if r.machine.step() {
		r.finish()
		r.next()
	}
	r.ticking = r.playing != nil
	r.broadcast()
	return r.ticking
}

func (r *room) finish() {
	who, result := r.playing, r.machine.result
	r.playing = nil
	r.last = &roundJSON{
		Round: r.round, Player: who.num, Name: who.name,
		Won: result.won, Kind: result.kind, Near: result.touched && !result.won,
	}
	r.record(who.id, result)
	e := event{Kind: "missed", Name: who.name, Avatar: who.avatar}
	if result.won {
		e.Kind, e.Prize = "won", result.kind
	}
	r.publish(e)
}

func (r *room) record(id string, result outcome) {
	s := r.shelves[id]
	if s == nil {
		for old := range r.shelves {
			if len(r.shelves) < maxShelves {
				break
			}
			delete(r.shelves, old)
		}
		s = &shelf{}
		r.shelves[id] = s
	}
	s.Rounds++
	if result.won {
		s.Prizes = append(s.Prizes, prize{Kind: result.kind, Time: r.now()})
		s.Prizes = s.Prizes[max(0, len(s.Prizes)-maxPrizes):]
	}
}

// shelf returns a copy of what a person has won.
func (r *room) shelf(id string) shelf {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := shelf{Prizes: []prize{}}
	if s := r.shelves[id]; s != nil {
		out.Rounds = s.Rounds
		out.Prizes = append(out.Prizes, s.Prizes...)
	}
	return out
}

// cheer tells everybody that a person in the room cheers the one who plays.
func (r *room) cheer(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := r.people[id]
	if who == nil || who.visitor || r.playing == nil || r.playing == who || r.now().Sub(who.cheered) < cheerPause {
		return false
	}
	who.cheered = r.now()
	r.publish(event{Kind: "cheered", Name: who.name, Avatar: who.avatar, For: r.playing.name})
	return true
}

// close stops the machine for good and returns when its goroutine has ended.
func (r *room) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
	r.mu.Unlock()
	r.done.Wait()
}
