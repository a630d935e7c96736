//go:build race

package identity

func init() { underRace = true }
