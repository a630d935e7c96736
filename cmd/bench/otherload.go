package main

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// loadByOther runs the generator that -load names. Its arguments are split at
// white space first, so a header with a space stays one argument.
func (s *stage) loadByOther(addr string, begin, end func()) (loadResult, error) {
	seconds := max(1, int(s.span.Round(time.Second)/time.Second)) // few generators take fractions
	fill := strings.NewReplacer(
		"{url}", "http://"+addr+"/api/room/7?seat=1", "{cookie}", "Cookie: "+s.cookie,
		"{conns}", strconv.Itoa(s.conns), "{seconds}", strconv.Itoa(seconds),
	)
	words := strings.Fields(s.load)
	if len(words) == 0 {
		return loadResult{}, errors.New("-load names no command")
	}
	for i := range words {
		words[i] = fill.Replace(words[i])
	}
	c := exec.CommandContext(s.ctx, words[0], words[1:]...)
	c.WaitDelay = time.Second
	begin()
	out, err := c.CombinedOutput()
	end()
	if err != nil {
		return loadResult{}, fmt.Errorf("-load: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

var (
	wrkTotal = regexp.MustCompile(`(?m)^\s*(\d+) requests in ([0-9.]+(?:us|ms|s|m))`)
	wrkShare = regexp.MustCompile(`(?m)^\s*(50|99)%\s+([0-9.]+(?:us|ms|s|m))`)
	wrkBad   = regexp.MustCompile(`(?m)^\s*(?:Non-2xx or 3xx responses|Socket errors):.*$`)
)

// parseWrk reads what wrk, and those who follow it, print with --latency.
func parseWrk(out string) (loadResult, error) {
	var res loadResult
	if bad := wrkBad.FindString(out); bad != "" {
		return res, fmt.Errorf("-load: %s", strings.TrimSpace(bad))
	}
	total := wrkTotal.FindStringSubmatch(out)
	if total == nil {
		return res, fmt.Errorf("-load: no line such as \"1234 requests in 2.00s\" in what it printed; it has to print as wrk does:\n%s", out)
	}
	var err error
	if res.Requests, err = strconv.Atoi(total[1]); err != nil {
		return res, err
	}
	if res.Took, err = time.ParseDuration(total[2]); err != nil {
		return res, err
	}
	if res.Requests == 0 || res.Took <= 0 {
		return res, errors.New("-load: it made no requests")
	}
	for _, m := range wrkShare.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[2])
		if err != nil {
			return res, err
		}
		if m[1] == "50" {
			res.P50 = d
		} else {
			res.P99 = d
		}
	}
	return res, nil
}
