package clawmachine

import "encoding/json"

// frame is everything a page shows of the room.
type frame struct {
	Type     string       `json:"type"` // "state"
	Tick     int          `json:"tick"`
	Round    int          `json:"round"`
	Phase    phase        `json:"phase"`
	Left     float64      `json:"left"` // seconds left to steer
	Claw     claw         `json:"claw"`
	Held     int          `json:"held"` // id of the toy in the claw, or 0
	Toys     []*toy       `json:"toys"`
	Player   *personJSON  `json:"player"`
	Queue    []personJSON `json:"queue"`
	Watching int          `json:"watching"`
	Last     *roundJSON   `json:"last"`
}

type personJSON struct {
	Num    int    `json:"n"`
	Name   string `json:"name"`
	Avatar string `json:"avatar,omitempty"`
}

// roundJSON is how the last round ended.
type roundJSON struct {
	Round  int    `json:"round"`
	Player int    `json:"player"`
	Name   string `json:"name"`
	Won    bool   `json:"won"`
	Near   bool   `json:"near"` // had a toy, lost it
	Kind   string `json:"kind,omitempty"`
}

func (p *person) json() personJSON { return personJSON{Num: p.num, Name: p.name, Avatar: p.avatar} }

// summary is what the list of machines says of this one.
type summary struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Status   string `json:"status"` // free, playing
	Toys     int    `json:"toys"`
	Queue    int    `json:"queue"`
	Watching int    `json:"watching"`
	Rounds   int    `json:"rounds"`
}

func (r *room) summary() summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := summary{
		ID: 1, Name: "一号机", Status: "free",
		Toys: len(r.machine.toys), Queue: len(r.queue), Watching: len(r.people), Rounds: r.round,
	}
	if r.playing != nil {
		s.Status = "playing"
	}
	return s
}

func (r *room) frame() frame {
	f := frame{
		Type: "state", Tick: r.tick, Round: r.round, Phase: r.machine.phase, Claw: r.machine.claw,
		Toys: r.machine.toys, Queue: []personJSON{}, Watching: len(r.people), Last: r.last,
	}
	if f.Phase == phaseAim {
		f.Left = float64(r.machine.left) / ticksPerSecond
	}
	if r.machine.held != nil {
		f.Held = r.machine.held.ID
	}
	if r.playing != nil {
		p := r.playing.json()
		f.Player = &p
	}
	for _, p := range r.queue {
		f.Queue = append(f.Queue, p.json())
	}
	return f
}

// broadcast puts the present state into every mailbox, replacing what was not read yet.
func (r *room) broadcast() {
	b, err := json.Marshal(r.frame())
	if err != nil {
		panic(err) // plain numbers and strings; a NaN in the machine would be a bug to see at once
	}
	for _, p := range r.people {
		for s := range p.seats {
			select {
			case <-s.frames:
			default:
			}
			s.frames <- b // never blocks: senders hold the lock, so the mailbox stays empty
		}
	}
}
