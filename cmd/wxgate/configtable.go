package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// print writes the effective configuration, one NAME=value a line, with secrets masked.
func (c *config) print(w io.Writer) {
	for _, s := range c.settings() {
		v := s.base()
		text := s.shown()
		if strings.ContainsFunc(text, unicode.IsControl) {
			text = strconv.Quote(text)
		}
		mark := ""
		if implied := v.tag.Get("implied"); v.text == v.tag.Get("default") {
			mark = " (default)"
			if text == "" && implied != "" {
				mark = " (default: " + implied + ")"
			}
		}
		fmt.Fprintf(w, "%s=%s%s\n", v.name, text, mark)
	}
}

// writeVariableTable writes the variables as Markdown, one table a group, for the README.
func writeVariableTable(w io.Writer) {
	cell := strings.NewReplacer("|", `\|`, "'", "`")
	group := ""
	for _, s := range new(config).settings() {
		v := s.base()
		if v.group != group {
			group = v.group
			fmt.Fprintf(w, "\n### %s\n\n| variable | default | meaning |\n|---|---|---|\n", group)
		}
		byDefault := "empty"
		switch {
		case v.tag.Get("default") != "":
			byDefault = "`" + v.tag.Get("default") + "`"
		case v.tag.Get("needed") != "":
			byDefault = "required"
		case v.tag.Get("implied") != "":
			byDefault = v.tag.Get("implied")
		}
		meaning := cell.Replace(v.tag.Get("desc"))
		if s.secret() {
			meaning += "; or `" + v.name + "_FILE`"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", v.name, byDefault, meaning)
	}
}
