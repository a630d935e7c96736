package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var errNoRequest = errors.New("a client of Redis sent something other than arrays of strings")

// requests reads the commands out of what a client sends to Redis, in whatever
// pieces it comes.
type requests struct {
	rest []byte // the beginning of a command that has not come in full
}

// feed returns the commands that end in this piece.
func (q *requests) feed(piece []byte) (calls []redisCall, err error) {
	q.rest = append(q.rest, piece...)
	for len(q.rest) > 0 {
		words, size, err := readCommand(q.rest)
		if err != nil {
			return calls, err
		}
		if size == 0 {
			break
		}
		calls = append(calls, callOf(words))
		q.rest = q.rest[size:]
	}
	return calls, nil
}

// within says that more of a command has to come.
func (q *requests) within() bool { return len(q.rest) > 0 }

// readCommand reads the first command and says how long it is on the wire: zero
// if its end is missing.
func readCommand(b []byte) (words []string, size int, err error) {
	n, at, err := readLength(b, 0, '*')
	if at == 0 || err != nil {
		return nil, 0, err
	}
	if n < 1 {
		return nil, 0, errNoRequest
	}
	for range n {
		length, begin, err := readLength(b, at, '$')
		if begin == 0 || err != nil {
			return nil, 0, err
		}
		// Not as begin+length+2 > len(b): with a length that somebody made up, the
		// sum overflows.
		if length > len(b)-begin-2 {
			return nil, 0, nil
		}
		end := begin + length
		if string(b[end:end+2]) != "\r\n" {
			return nil, 0, errNoRequest
		}
		words, at = append(words, string(b[begin:end])), end+2
	}
	return words, at, nil
}

// readLength reads a line such as "*3" and returns where the next one begins:
// zero if the end of this one is missing.
func readLength(b []byte, at int, mark byte) (n, next int, err error) {
	if at == len(b) {
		return 0, 0, nil
	}
	if b[at] != mark {
		return 0, 0, errNoRequest
	}
	length := bytes.Index(b[at:], []byte("\r\n"))
	if length < 0 {
		return 0, 0, nil
	}
	n, err = strconv.Atoi(string(b[at+1 : at+length]))
	if err != nil || n < 0 {
		return 0, 0, errNoRequest
	}
	return n, at + length + 2, nil
}

// roundTrips writes how many trips there were, and which if they are few: what
// went together is joined by +.
func roundTrips(trips [][]redisCall) string {
	if len(trips) == 0 || len(trips) > 20 {
		return fmt.Sprint(len(trips))
	}
	var all []string
	for _, calls := range trips {
		all = append(all, together(calls))
	}
	return fmt.Sprintf("%d (%s)", len(trips), strings.Join(all, " · "))
}

// together names the commands of one trip. More than three of a kind in a row
// are written as one, so that a long pipeline does not fill the table.
func together(calls []redisCall) string {
	var all []string
	for i := 0; i < len(calls); {
		same := i
		for same < len(calls) && calls[same].verb == calls[i].verb {
			same++
		}
		if n := same - i; n > 3 {
			all = append(all, fmt.Sprintf("%d×%s", n, calls[i].verb))
		} else {
			for range n {
				all = append(all, calls[i].verb)
			}
		}
		i = same
	}
	return strings.Join(all, "+")
}
