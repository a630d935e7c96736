package clawmachine

import (
	"math"
	"math/rand/v2"
)

// The machine's floor is fieldSize × fieldSize: x runs from left to right, y from
// the glass to the back. z is the height above the floor, in the same unit, and
// railHeight is where the claw travels. Time passes in ticks, never by the clock,
// so that a seed and a list of inputs determine a round.
const (
	ticksPerSecond = 10

	fieldSize  = 100.0
	railHeight = 100.0
	margin     = 6.0 // how near the claw comes to a wall

	chuteWidth, chuteDepth = 24.0, 28.0 // the hole in the front left corner
	homeX, homeY           = 12.0, 13.0 // above the hole

	aimTicks   = 25 * ticksPerSecond
	closeTicks = 5
	openTicks  = 4
	aimSpeed   = 2.8 // per tick, along each axis
	dropSpeed  = 8.0
	liftSpeed  = 6.0
	carrySpeed = 4.0
	fallSpeed  = 14.0
	grabHeight = 6.0 // where the claw closes

	grabRadius = 13.0 // a toy whose middle is farther away is not touched
	sureRadius = 5.0  // within this a grip always holds

	fullMachine, refillBelow = 14, 7
	toySpacing               = 14.5
)

type phase string

const (
	phaseIdle  phase = "idle"
	phaseAim   phase = "aim"   // the player steers
	phaseDrop  phase = "drop"  // down
	phaseClose phase = "close" // fingers shut
	phaseLift  phase = "lift"  // up
	phaseCarry phase = "carry" // back to the hole
	phaseOpen  phase = "open"  // fingers open, the toy falls
)

// kinds are the toys' names on the wire; the page knows how each looks.
var kinds = []string{"bear", "bunny", "cat", "penguin", "frog", "panda"}

type toy struct {
	ID   int     `json:"id"`
	Kind string  `json:"kind"`
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	Z    float64 `json:"z"`
	Tilt float64 `json:"tilt"` // radians
}

type claw struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	Z    float64 `json:"z"`
	Grip float64 `json:"grip"` // 0 open, 1 shut
}

// outcome is how a round ended.
type outcome struct {
	won     bool
	kind    string // of the toy won, or of the one that slipped
	touched bool   // the claw had a toy and lost it
}

// machine is the claw machine without its players. It is not safe for concurrent use.
type machine struct {
	rand   *rand.Rand
	phase  phase
	claw   claw
	toys   []*toy
	nextID int

	left   int // ticks left of the phases aim, close and open
	dx, dy float64
	held   *toy
	slipAt float64 // the part of lift and carry (0 to 2) after which the toy is lost; above 2: never
	from   claw    // where carrying began
	result outcome
}

func newMachine(seed uint64) *machine {
	m := &machine{
		rand:  rand.New(rand.NewPCG(seed, 0)),
		phase: phaseIdle,
		claw:  claw{X: homeX, Y: homeY, Z: railHeight},
	}
	m.fill()
	return m
}

// fill puts toys where there is room. Positions are tried at random a fixed number
// of times: a machine that holds fewer than it could is no harm.
func (m *machine) fill() {
	for try := 0; try < 400 && len(m.toys) < fullMachine; try++ {
		x, y := m.between(9, fieldSize-9), m.between(9, fieldSize-9)
		if x < chuteWidth+8 && y < chuteDepth+8 || m.nearest(x, y, toySpacing) != nil {
			continue
		}
		m.nextID++
		m.toys = append(m.toys, &toy{
			ID: m.nextID, Kind: kinds[m.rand.IntN(len(kinds))], X: x, Y: y, Tilt: m.between(-0.35, 0.35),
		})
	}
}

func (m *machine) between(low, high float64) float64 { return low + m.rand.Float64()*(high-low) }

// nearest returns the toy on the floor nearest to (x, y) within radius, or nil.
func (m *machine) nearest(x, y, radius float64) *toy {
	var best *toy
	for _, t := range m.toys {
		if d := math.Hypot(t.X-x, t.Y-y); d < radius && t.Z == 0 {
			best, radius = t, d
		}
	}
	return best
}

// start begins a round. It does nothing unless the machine is idle.
func (m *machine) start() {
	if m.phase == phaseIdle {
		m.phase, m.left, m.result, m.dx, m.dy = phaseAim, aimTicks, outcome{}, 0, 0
	}
}

// steer sets the stick; each axis is -1, 0 or 1 and stays so until the next call.
func (m *machine) steer(x, y int) {
	m.dx, m.dy = float64(sign(x)), float64(sign(y))
}

func sign(n int) int { return max(-1, min(1, n)) }

// drop lets the claw down. It does nothing unless the player is steering.
func (m *machine) drop() {
	if m.phase == phaseAim {
		m.phase = phaseDrop
	}
}

// step advances the machine by one tick and reports whether that ended a round.
func (m *machine) step() (ended bool) {
	m.fall()
	c := &m.claw
	switch m.phase {
	case phaseAim:
		c.X = clamp(c.X+m.dx*aimSpeed, margin, fieldSize-margin)
		c.Y = clamp(c.Y+m.dy*aimSpeed, margin, fieldSize-margin)
		if m.left--; m.left <= 0 {
			m.drop()
		}
	case phaseDrop:
		if c.Z = max(grabHeight, c.Z-dropSpeed); c.Z == grabHeight {
			m.phase, m.left = phaseClose, closeTicks
		}
	case phaseClose:
		m.left--
		c.Grip = 1 - float64(m.left)/closeTicks
		if m.left == 0 {
			m.grab()
			m.phase = phaseLift
		}
	case phaseLift:
		c.Z = min(railHeight, c.Z+liftSpeed)
		m.carry((c.Z - grabHeight) / (railHeight - grabHeight))
		if c.Z == railHeight {
			m.phase, m.from = phaseCarry, *c
		}
	case phaseCarry:
		way := math.Hypot(homeX-c.X, homeY-c.Y)
		if way <= carrySpeed {
			c.X, c.Y = homeX, homeY
			m.carry(2)
			m.phase, m.left = phaseOpen, openTicks
			break
		}
		c.X += (homeX - c.X) * carrySpeed / way
		c.Y += (homeY - c.Y) * carrySpeed / way
		m.carry(2 - way/max(way, math.Hypot(homeX-m.from.X, homeY-m.from.Y)))
	case phaseOpen:
		m.left--
		c.Grip = max(0, float64(m.left)/openTicks)
		m.held = nil
		if m.left <= 0 && !m.falling() {
			m.phase = phaseIdle
			if len(m.toys) < refillBelow {
				m.fill()
			}
			return true
		}
	}
	return false
}

// grab decides the round: a toy close to the claw's middle is held for good, one
// farther out may slip on the way, the more likely the farther.
func (m *machine) grab() {
	t := m.nearest(m.claw.X, m.claw.Y, grabRadius)
	if t == nil {
		return
	}
	m.held, m.slipAt = t, math.Inf(1)
	m.result = outcome{kind: t.Kind, touched: true}
	off := math.Hypot(t.X-m.claw.X, t.Y-m.claw.Y)
	if luck := m.rand.Float64(); luck < (off-sureRadius)/(grabRadius-sureRadius) {
		m.slipAt = m.between(0.15, 1.7)
	}
}

// carry moves the held toy along with the claw, or loses it once progress has
// passed the point where it slips.
func (m *machine) carry(progress float64) {
	if m.held == nil {
		return
	}
	if progress >= m.slipAt {
		m.held = nil
		return
	}
	m.held.X, m.held.Y, m.held.Z = m.claw.X, m.claw.Y, max(0, m.claw.Z-grabHeight)
}

// fall lets loose toys fall. What lands in the hole is won, however it got there.
func (m *machine) fall() {
	for i := 0; i < len(m.toys); i++ {
		t := m.toys[i]
		if t == m.held || t.Z == 0 {
			continue
		}
		if t.Z = max(0, t.Z-fallSpeed); t.Z == 0 && t.X < chuteWidth && t.Y < chuteDepth {
			m.result = outcome{won: true, kind: t.Kind, touched: true}
			m.toys = append(m.toys[:i], m.toys[i+1:]...)
			i--
		}
	}
}

func (m *machine) falling() bool {
	for _, t := range m.toys {
		if t != m.held && t.Z > 0 {
			return true
		}
	}
	return false
}

func clamp(v, low, high float64) float64 { return max(low, min(high, v)) }
