package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// report collects what the sections found.
type report struct {
	machine string
	peers   [][]string // rows of the table of peers
	goals   [][]string // rows of the other figures
	notes   []string
}

var (
	peerHead = []string{"proxy", "CPU per request", "of nginx", "of tuned", "of default", "requests/s", "of tuned", "p50", "p99", "resident"}
	goalHead = []string{"goal", "measured", "at most"}
)

// goal adds a row of the other figures. limit is what the figure should not
// exceed, in words; empty where the figure only explains another.
func (r *report) goal(what, measured, limit string) {
	r.goals = append(r.goals, []string{what, measured, limit})
}

// note adds a line below the tables, once.
func (r *report) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, n := range r.notes {
		if n == text {
			return
		}
	}
	r.notes = append(r.notes, text)
}

// print writes Markdown.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", r.machine)
	if len(r.peers) > 0 {
		fmt.Fprintln(w)
		markdown(w, peerHead, r.peers)
	}
	if len(r.goals) > 0 {
		fmt.Fprintln(w)
		markdown(w, goalHead, r.goals)
	}
	if len(r.notes) > 0 {
		fmt.Fprintln(w)
		for _, n := range r.notes {
			fmt.Fprintf(w, "- %s\n", n)
		}
	}
}

// markdown writes a table whose columns line up in plain text too. The first
// column is to the left, all others are to the right.
func markdown(w io.Writer, head []string, rows [][]string) {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	line := func(row []string) {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(&b, "| %s%s ", pad, cell)
			}
		}
		fmt.Fprintln(w, b.String()+"|")
	}
	line(head)
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = strings.Repeat("-", widths[i]-1) + ":"
		if i == 0 {
			rule[i] = strings.Repeat("-", widths[i])
		}
	}
	line(rule)
	for _, row := range rows {
		line(row)
	}
}

// none stands where there is no figure.
const none = "–"

// times writes a ratio.
func times(ratio float64) string {
	if ratio == 0 {
		return none
	}
	return fmt.Sprintf("%.2f ×", ratio)
}

// micros writes microseconds.
func micros(us float64) string {
	switch {
	case us == 0:
		return none
	case us < 100:
		return fmt.Sprintf("%.1f µs", us)
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 100_000:
		return fmt.Sprintf("%.1f ms", us/1e3)
	default:
		return fmt.Sprintf("%.0f ms", us/1e3)
	}
}

// megabytes writes an amount of memory.
func megabytes(bytes float64) string {
	if bytes == 0 {
		return none
	}
	return fmt.Sprintf("%.1f MB", bytes/1e6)
}

// kilobytes writes an amount of memory.
func kilobytes(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1e3) }
