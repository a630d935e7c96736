package main

import (
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// config is everything that the environment can say about wxgate: one field is one variable. Nothing else has to be
// touched to add one; its name, default and description in the tags feed the parser, the faults, the print-out of
// `wxgate config`, the search for misspelt names and the table in the README.
//
// Tags of a field:
//
//	envconfig  the full name. Were it the part after WXGATE_ with the prefix handed to envconfig, envconfig would fall
//	           back to the name without prefix, and the app's own JWT_KEY would become ours.
//	default    used if the variable is absent or empty
//	implied    how the table describes a default that is computed instead
//	needed     what to say if it is absent and nothing works without it
//	oneof      the words that a choice may be
//	desc       the table's text; what stands between single quotes is code
//
// A field's Value is meaningful only if loading reported no fault. The groups are exported because envconfig and
// reflection pass over embedded structs that are not.
type config struct {
	Core
	WeChat
	Component
	Yunxin
	Identity
}

// faults is every reason for which a configuration was refused, one line each, in the order of the fields.
type faults []string

func (f faults) Error() string { return strings.Join(f, "\n") }

// loadConfig reads and judges the environment of this process. An error is always of type faults, and like the
// warnings it never repeats a secret.
func loadConfig() (*config, error) {
	c := new(config)
	// envconfig stops at the first problem and quotes the value in its message. Every field therefore only keeps
	// the text that it is handed, which cannot fail; judge looks at all of them afterwards.
	if err := envconfig.Process("", c); err != nil {
		return nil, faults{err.Error()}
	}
	c.readSecretFiles(os.LookupEnv)
	return c, c.judge(os.Environ())
}

// newConfig judges the given variables instead of the process's environment: for the demo, which brings its own, and
// for tests. Secrets are not read from files here.
func newConfig(given map[string]string) (*config, error) {
	c := new(config)
	for _, s := range c.settings() {
		v := s.base()
		v.text = given[v.name]
	}
	var environ []string
	for name, text := range given {
		environ = append(environ, name+"="+text)
	}
	return c, c.judge(environ)
}

// judge parses every variable, then the rules between them, then looks for unknown names, so that one start-up tells
// all there is to repair.
func (c *config) judge(environ []string) error {
	settings := c.settings()
	for _, s := range settings {
		resolve(s)
	}
	c.check()

	var all faults
	for _, s := range settings {
		all = append(all, s.base().faults...)
	}
	all = append(all, c.unknownNames(environ)...)
	if len(all) == 0 {
		return nil
	}
	return all
}

// resolve turns the text of one variable, or its default, into its value. Set but empty is the same as not given:
// templates of manifests leave such variables behind.
func resolve(s setting) {
	v := s.base()
	if strings.TrimSpace(v.text) == "" {
		v.text = v.tag.Get("default")
	}
	switch needed := v.tag.Get("needed"); {
	case v.text != "":
		s.parse(v.text)
	case needed != "" && v.ok():
		v.fault("required: %s", needed)
	}
}

// warnings are doubts that do not keep wxgate from starting, one line each.
func (c *config) warnings() []string {
	var all []string
	for _, s := range c.settings() {
		all = append(all, s.base().warnings...)
	}
	return all
}

// settings lists the variables in the order of the fields and makes sure that each knows its own name and tags.
func (c *config) settings() []setting {
	var list []setting
	groups := reflect.ValueOf(c).Elem()
	for g := range groups.NumField() {
		group := groups.Field(g)
		for i := range group.NumField() {
			field := group.Type().Field(i)
			s := group.Field(i).Addr().Interface().(setting)
			v := s.base()
			v.name, v.tag, v.group = field.Tag.Get("envconfig"), field.Tag, groups.Type().Field(g).Name
			list = append(list, s)
		}
	}
	return list
}
