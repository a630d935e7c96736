package identity

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	// importWorkers is as many writes as the embedded store commits at once.
	importWorkers = 256
	// maxLine is the longest line in bytes: an export of the largest record has less.
	maxLine = 2 * maxRecord
	// maxPending bounds the bytes of lines that are being worked on.
	maxPending = 8 << 20
	// maxLineErrors is how many faulty lines a report tells about; the others are only counted.
	maxLineErrors = 100
)

// ImportOptions adjusts an import. The zero value is ready to use.
type ImportOptions struct {
	Workers int // lines that are worked on at once; default 256
}

// ImportReport says what became of the lines. Blank lines do not count.
type ImportReport struct {
	Lines     int         `json:"lines"`
	Created   int         `json:"created"`
	Updated   int         `json:"updated"`
	Unchanged int         `json:"unchanged"`
	Failed    int         `json:"failed"`
	Errors    []LineError `json:"errors"` // of the first 100 that failed; Failed counts all
	// Through is the number of the line up to which, itself included, everything was dealt with: the last one, unless the import
	// was stopped. Of later lines some may have been dealt with, too.
	Through int `json:"through"`
}

// LineError says why a line was not imported.
type LineError struct {
	Line  int    `json:"line"` // counted from 1, blank ones included
	Error string `json:"error"`
}

// Import reads users in the form of [Directory.Export], one a line, and creates them or brings them up to date. A line that cannot be
// imported is reported and keeps no other from being so. Running the same import again writes nothing new; so after a stop it is
// simply run again, and skips, by reads alone, what is there.
//
// Only accounts or unionids are required of a user that an app brings from elsewhere, for example
//
//	{"accounts":[{"channel":"mp","appid":"wx…","openid":"o…"}],"profile":{"name":"…"},"yunxin":{"accid":"player7"}}
//
// Without id the user is whoever has one of the accounts or unionids, else a new one. Nobody is told an event about imported users:
// the app knows them. Aliases are ids that are to lead to the user. accid may be the one of an account that exists at Yunxin; it becomes
// pending, for the first login to take it into use. Of a user that is there already everything stays, and what the line
// knows more or newer is added: accounts, unionids where there is none, a newer profile, an accid where there is none.
//
// Nothing is taken from anybody: a line with an account, a unionid, an accid or an alias of another user is refused, as a whole unless a
// login that happens at the same moment is what gets in the way. An erased user stays erased, a blocked one blocked.
//
// An error means that the import was stopped by ctx, by the reader or by the store; the report tells how far it has come. A Read that
// waits is not interrupted. Memory: the lines being worked on, of which there are at most 8 MiB.
func (d *Directory) Import(ctx context.Context, r io.Reader, opts ImportOptions) (ImportReport, error) {
	i := &imports{d: d, open: map[int]struct{}{}, weight: semaphore.NewWeighted(maxPending)}
	err := i.run(ctx, r, cmp.Or(max(opts.Workers, 0), importWorkers))
	i.finish()
	if err != nil {
		return i.report, fmt.Errorf("identity: the import was stopped; all lines up to %d were dealt with: %w", i.report.Through, err)
	}
	return i.report, nil
}

type imports struct {
	d      *Directory
	weight *semaphore.Weighted

	mu     sync.Mutex
	report ImportReport
	open   map[int]struct{} // lines that are not dealt with
}

type numbered struct {
	number int
	text   []byte
}

func (i *imports) run(ctx context.Context, r io.Reader, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	lines := make(chan numbered)
	var broken error
	g.Go(func() error {
		defer close(lines)
		broken = i.read(ctx, bufio.NewReaderSize(r, 64<<10), lines)
		return nil // what was read is good, and is not abandoned
	})
	for range workers {
		g.Go(func() error {
			for l := range lines {
				if err := i.line(ctx, l); err != nil {
					return err
				}
				i.weight.Release(int64(len(l.text)))
			}
			return nil
		})
	}
	return cmp.Or(g.Wait(), broken)
}

// read hands the lines to the workers.
func (i *imports) read(ctx context.Context, r *bufio.Reader, lines chan<- numbered) error {
	for number := 1; ; number++ {
		text, tooLong, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading line %d: %w", number, err)
		}
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff")) // as Windows programs begin files
		}
		text = bytes.TrimSpace(text)
		i.take(number)
		switch {
		case tooLong:
			i.done(number, unchanged, refuse("longer than %d bytes", maxLine))
			continue
		case len(text) == 0:
			i.skip(number)
			continue
		}
		if err := i.weight.Acquire(ctx, int64(len(text))); err != nil {
			return err
		}
		select {
		case lines <- numbered{number, text}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readLine returns a copy of the next line, or, of one that is too long, nothing. The end of the input is [io.EOF], and no line.
func readLine(r *bufio.Reader) (text []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(text)+len(part) > maxLine; tooLong {
			text = nil
		} else {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (len(text) > 0 || tooLong): // a last line without end
			return text, tooLong, nil
		default:
			return text, tooLong, err
		}
	}
}

// line imports one line. An error is one that stops everything.
func (i *imports) line(ctx context.Context, l numbered) error {
	in, err := i.d.parseLine(l.text, i.d.now())
	var r result
	if err == nil {
		r, err = i.d.importUser(ctx, in)
	}
	var reason refused
	if err != nil && !errors.As(err, &reason) && !errors.Is(err, ErrRecord) && !errors.Is(err, ErrContended) {
		return err
	}
	i.done(l.number, r, err)
	return nil
}

func (i *imports) take(number int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open[number] = struct{}{}
	i.report.Through = number
}

func (i *imports) skip(number int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, number)
}

func (i *imports) done(number int, r result, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, number)
	i.report.Lines++
	switch {
	case err != nil:
		i.report.Failed++
		// Workers are not in step: those of the first lines are kept, whoever came first.
		at, _ := slices.BinarySearchFunc(i.report.Errors, number, func(e LineError, n int) int { return e.Line - n })
		if at < maxLineErrors {
			i.report.Errors = slices.Insert(i.report.Errors, at, LineError{number, err.Error()})
			i.report.Errors = i.report.Errors[:min(len(i.report.Errors), maxLineErrors)]
		}
	case r == created:
		i.report.Created++
	case r == updated:
		i.report.Updated++
	default:
		i.report.Unchanged++
	}
}

func (i *imports) finish() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for number := range i.open {
		i.report.Through = min(i.report.Through, number-1)
	}
	if i.report.Errors == nil {
		i.report.Errors = []LineError{}
	}
}
