package component

import "context"

// Work and Care are one turn each of what Run does.
func (p *Platform) Work(ctx context.Context) { p.work(ctx) }
func (p *Platform) Care(ctx context.Context) { p.care(ctx) }

// Wait waits for all that runs beside.
func (p *Platform) Wait() { p.background.Wait() }
