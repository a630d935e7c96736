package clawmachine

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// steerTo holds the stick until the claw is as near to (x, y) as ticks allow.
func steerTo(m *machine, x, y float64) {
	toward := func(have, want float64) int {
		switch {
		case want-have > aimSpeed/2:
			return 1
		case have-want > aimSpeed/2:
			return -1
		}
		return 0
	}
	for m.phase == phaseAim {
		dx, dy := toward(m.claw.X, x), toward(m.claw.Y, y)
		if dx == 0 && dy == 0 {
			return
		}
		m.steer(dx, dy)
		m.step()
	}
}

// finish runs until the round ends and fails if it does not.
func finish(t *testing.T, m *machine) outcome {
	t.Helper()
	for range 1000 {
		if m.step() {
			return m.result
		}
	}
	t.Fatalf("still in phase %s after 1000 ticks", m.phase)
	return outcome{}
}

func round(t *testing.T, m *machine, x, y float64) outcome {
	t.Helper()
	m.start()
	steerTo(m, x, y)
	m.drop()
	return finish(t, m)
}

func TestAimedAtTheMiddleWins(t *testing.T) {
	m := newMachine(1)
	for range 5 {
		target := m.toys[0]
		before := len(m.toys)
		got := round(t, m, target.X, target.Y)
		if want := (outcome{won: true, kind: target.Kind, touched: true}); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if len(m.toys) != before-1 && len(m.toys) != fullMachine {
			t.Fatalf("%d toys left of %d", len(m.toys), before)
		}
		if m.claw != (claw{X: homeX, Y: homeY, Z: railHeight}) {
			t.Fatalf("claw not home and open: %+v", m.claw)
		}
	}
}

func TestNothingUnderTheClaw(t *testing.T) {
	m := newMachine(1)
	m.toys = []*toy{{ID: 1, Kind: "cat", X: 90, Y: 90}}
	if got := round(t, m, 40, 40); got != (outcome{}) {
		t.Errorf("got %+v", got)
	}
	if len(m.toys) < 2 {
		t.Error("a nearly empty machine was not filled up")
	}
}

func TestOffCentreSlipsSometimes(t *testing.T) {
	var won, slipped int
	for seed := range uint64(60) {
		m := newMachine(seed)
		m.toys = []*toy{{ID: 1, Kind: "frog", X: 60, Y: 60}}
		switch got := round(t, m, 60+sureRadius+4, 60); got {
		case outcome{won: true, kind: "frog", touched: true}:
			won++
		case outcome{kind: "frog", touched: true}:
			slipped++
			// What slipped lies on the floor again, within reach, outside the hole.
			i := slices.IndexFunc(m.toys, func(t *toy) bool { return t.ID == 1 })
			if i < 0 || m.toys[i].Z != 0 || m.toys[i].X < chuteWidth && m.toys[i].Y < chuteDepth {
				t.Errorf("seed %d: slipped toy is gone or in the air: %+v", seed, m.toys)
			}
		default:
			t.Errorf("seed %d: %+v", seed, got)
		}
	}
	if won < 10 || slipped < 10 {
		t.Errorf("%d won, %d slipped: neither should be rare", won, slipped)
	}
}

func TestTimeLimitDrops(t *testing.T) {
	m := newMachine(1)
	m.start()
	for range aimTicks - 1 {
		m.step()
	}
	if m.phase != phaseAim {
		t.Fatalf("phase %s before the time was up", m.phase)
	}
	m.step()
	if m.phase != phaseDrop {
		t.Fatalf("phase %s when the time was up", m.phase)
	}
	finish(t, m)
}

func TestControlsOutOfTurn(t *testing.T) {
	m := newMachine(1)
	m.steer(1, 1)
	m.drop()
	for range 10 {
		m.step()
	}
	if home := (claw{X: homeX, Y: homeY, Z: railHeight}); m.phase != phaseIdle || m.claw != home {
		t.Fatalf("an idle machine moved: %s %+v", m.phase, m.claw)
	}
	m.start()
	m.drop()
	m.steer(1, 1)
	m.start()
	finish(t, m)
	m.start()
	m.step()
	if m.claw.X != homeX || m.claw.Y != homeY {
		t.Errorf("the stick of the last round still moves the claw: %+v", m.claw)
	}
}

// Whatever a player does, rounds end, nothing leaves the machine but through the
// hole, and the same seed with the same inputs gives the same machine.
func TestAnyInput(t *testing.T) {
	play := func(seed uint64) *machine {
		m, inputs := newMachine(seed), rand.New(rand.NewPCG(seed, 1))
		for range 20 {
			m.start()
			for m.phase == phaseAim {
				m.steer(inputs.IntN(100)-50, inputs.IntN(3)-1)
				if inputs.IntN(40) == 0 {
					m.drop()
				}
				m.step()
				if c := m.claw; c.X < margin || c.X > fieldSize-margin || c.Y < margin || c.Y > fieldSize-margin {
					t.Fatalf("seed %d: claw outside: %+v", seed, c)
				}
			}
			finish(t, m)
			if len(m.toys) < refillBelow {
				t.Fatalf("seed %d: %d toys", seed, len(m.toys))
			}
			for _, toy := range m.toys {
				if toy.Z != 0 || math.Abs(toy.X-50) > 50 || math.Abs(toy.Y-50) > 50 {
					t.Fatalf("seed %d: toy astray: %+v", seed, toy)
				}
			}
		}
		return m
	}
	for seed := range uint64(20) {
		a, b := play(seed), play(seed)
		if diff := cmp.Diff(a.toys, b.toys); diff != "" {
			t.Fatalf("seed %d: two runs differ:\n%s", seed, diff)
		}
	}
}
