package component

import "context"

// Work and Care are one turn each of what Run does.
func (p *Platform) Work(ctx context.Context) { p.work(ctx) }
func (p *Platform) Care(ctx context.Context) { p.Caretaker()(ctx) }

// Caretaker is all that Run does about the ticket and the platform's token, turn by
// turn.
func (p *Platform) Caretaker() func(context.Context) {
	var c caretaker
	return func(ctx context.Context) { p.care(ctx, &c) }
}

// Wait waits for all that runs beside.
func (p *Platform) Wait() { p.background.Wait() }
