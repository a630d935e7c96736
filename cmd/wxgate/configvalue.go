package main

import (
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"wxgate/identity"
	"wxgate/proxy"
)

// setting is one variable of any kind. A kind is a struct with an embedded value[T] and its own parse; kinds whose
// text must not be printed as it is also have their own shown.
type setting interface {
	base() *variable
	parse(text string) // sets Value, or records faults; never called with an empty text
	shown() string     // for the print-out; secrets are masked
	secret() bool      // also read from NAME_FILE
}

// variable is what all kinds share.
type variable struct {
	name, group string
	tag         reflect.StructTag
	text        string // as the environment has it, or the default
	faults      []string
	warnings    []string
}

// value adds what the text means.
type value[T any] struct {
	variable
	Value T
}

// Decode is envconfig's hook. It never fails, see loadConfig.
func (v *variable) Decode(text string) error {
	v.text = text
	return nil
}

func (v *variable) base() *variable { return v }
func (v *variable) shown() string   { return strings.TrimSpace(v.text) }
func (v *variable) secret() bool    { return false }
func (v *variable) ok() bool        { return len(v.faults) == 0 }
func (v *variable) given() bool     { return v.text != "" }

// fault records a line that says what is wrong and what would be right. The caller keeps secrets out of it.
func (v *variable) fault(format string, args ...any) {
	v.faults = append(v.faults, v.name+": "+fmt.Sprintf(format, args...))
}

// faultLines records an error that joins several, each on a line of its own.
func (v *variable) faultLines(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		v.fault("%s", line)
	}
}

func (v *variable) warn(format string, args ...any) {
	v.warnings = append(v.warnings, v.name+": "+fmt.Sprintf(format, args...))
}

// quote makes a value fit for a message: short, on one line, and not at all if it could hold a password, which is what
// an @ means in most of the places where people put one.
func quote(text string) string {
	const most = 60
	if strings.Contains(text, "@") {
		return "the value"
	}
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return strconv.Quote(text)
}

// items splits a list at its commas. Blanks around items, and empty items such as after a last comma, mean nothing.
func items(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// boolean is a switch.
type boolean struct{ value[bool] }

func (b *boolean) parse(text string) {
	on, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		b.fault("%s is neither true nor false; write one of them", quote(text))
	}
	b.Value = on
}

// duration is a span of time above zero.
type duration struct{ value[time.Duration] }

var bareNumber = regexp.MustCompile(`^[0-9]+$`)

func (d *duration) parse(text string) {
	text = strings.TrimSpace(text)
	span, err := time.ParseDuration(text)
	switch {
	case bareNumber.MatchString(text) && strings.Trim(text, "0") != "":
		d.fault("%s lacks a unit; write %ss for seconds, or use m or h", quote(text), text)
	case err != nil:
		d.fault("%s is not a duration; write one such as 30s, 10m or 720h", quote(text))
	case span <= 0:
		d.fault("%s is not above zero; write a duration such as 30s", quote(text))
	default:
		d.Value = span
	}
}

// choice is one word out of those in the tag oneof.
type choice struct{ value[string] }

func (c *choice) parse(text string) {
	text = strings.TrimSpace(text)
	words := strings.Fields(c.tag.Get("oneof"))
	if !slices.Contains(words, text) {
		c.fault("%s is not known; write %s", quote(text), strings.Join(words, " or "))
		return
	}
	c.Value = text
}

func (c *choice) shown() string { return c.Value }

// word is a name without blanks, taken as it is.
type word struct{ value[string] }

var blankOrControl = regexp.MustCompile(`[\s\p{Cc}]`)

func (w *word) shown() string { return w.Value }

func (w *word) parse(text string) {
	w.Value = strings.TrimSpace(text)
	if blankOrControl.MatchString(w.Value) {
		w.fault("contains a blank or a control character; write it without")
	}
}

// appID is WeChat's name of an account.
type appID struct{ value[string] }

var (
	plainID      = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)
	usualWxAppID = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
)

func (a *appID) parse(text string) {
	text = strings.TrimSpace(text)
	switch {
	case !plainID.MatchString(text):
		a.fault("is not an AppID; copy it from the WeChat console, it looks like wx0123456789abcdef")
	case !usualWxAppID.MatchString(text):
		// A doubt only: WeChat promises no shape, and simulators invent their own.
		a.warn("%s", unlikeAppID(text))
	}
	a.Value = text
}

// unlikeAppID says why a text may be no AppID.
func unlikeAppID(text string) string {
	const doubt = "does not look like an AppID of WeChat"
	if strings.HasPrefix(text, "gh_") {
		return doubt + ", which is wx and 16 hexadecimal digits (this is an original id, not an AppID)"
	}
	return doubt + " (wx and 16 hexadecimal digits)"
}

// loginRate is N tokens per unit of time.
type loginRate struct{ value[proxy.Rate] }

var rateShape = regexp.MustCompile(`^([0-9]{1,9})/([smh])$`)

func (l *loginRate) parse(text string) {
	parts := rateShape.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		l.fault("%s is not a rate; write a number per second, minute or hour, such as 60/m", quote(text))
		return
	}
	count, err := strconv.Atoi(parts[1])
	if err != nil || count == 0 {
		l.fault("%s would let nobody log in; write a number above zero, such as 60/m", quote(text))
		return
	}
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	l.Value = proxy.Rate{N: count, Per: units[parts[2]]}
}

// logLevel is one of slog's four.
type logLevel struct{ value[slog.Level] }

func (l *logLevel) parse(text string) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, known := levels[strings.ToLower(strings.TrimSpace(text))]
	if !known {
		l.fault("%s is not a level; write debug, info, warn or error", quote(text))
	}
	l.Value = level
}

// verifyFiles maps the names of WeChat's domain verification files to their contents.
type verifyFiles struct{ value[map[string]string] }

var verifyName = regexp.MustCompile(`^[0-9A-Za-z_-][0-9A-Za-z._-]*\.txt$`)

func (f *verifyFiles) parse(text string) {
	f.Value = map[string]string{}
	for _, item := range items(text) {
		name, body, found := strings.Cut(item, "=")
		name, body = strings.TrimSpace(name), strings.TrimSpace(body)
		switch _, twice := f.Value[name]; {
		case !found || body == "":
			f.fault("%s has no content; write NAME.txt=BODY, with the text of the file that WeChat offered", quote(item))
		case !verifyName.MatchString(name):
			f.fault("%s is not the name of a verification file; write it without a folder and ending in .txt, such as MP_verify_abc.txt=abc", quote(name))
		case twice:
			f.fault("%s is given twice; keep one", quote(name))
		default:
			f.Value[name] = body
		}
	}
}

// nameTemplate makes names for users who showed none.
type nameTemplate struct{ value[*template.Template] }

// goodNames remembers templates by their text. Trying out all ten thousand names of one takes a hundredth of a second,
// too long for tests that read hundreds of configurations.
var goodNames sync.Map

func (n *nameTemplate) parse(text string) {
	if known, found := goodNames.Load(text); found {
		n.Value = known.(*template.Template)
		return
	}
	name, err := identity.ParseNameTemplate(text)
	if err != nil {
		n.fault("%s; write one such as 玩家{{.Digits}}", strings.TrimPrefix(err.Error(), "identity: default name: "))
		return
	}
	goodNames.Store(text, name)
	n.Value = name
}
