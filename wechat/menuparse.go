package wechat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// maxMenu bounds a menu as JSON. The longest possible one, with every character
// escaped, stays below.
const maxMenu = 128 << 10

// ParseMenu reads a menu such as {"button":[{"type":"view","name":"…","url":"…"}]}
// and checks it as [Menu.Check] does. It reads strictly, so that no mistake ends
// in a menu that lacks something without a word: unknown and repeated fields and
// whatever follows the menu are refused. {"button":[]} is no menu; WeChat's habit
// of an empty sub_button in every button is accepted.
//
// The error is a [*MenuError] with all faults.
func ParseMenu(data []byte) (Menu, error) {
	f := menuFaults{unread: map[string]bool{}}
	m, ok := readMenu(data, &f)
	if ok {
		m.check(&f)
	}
	if err := f.error(); err != nil {
		return Menu{}, err
	}
	return m, nil
}

// readMenu reports what cannot be read, and false if nothing could.
func readMenu(data []byte, f *menuFaults) (Menu, bool) {
	if len(data) > maxMenu {
		f.add("", "%d bytes, more than %d", len(data), maxMenu)
		return Menu{}, false
	}
	if !utf8.Valid(data) {
		f.add("", "not UTF-8")
		return Menu{}, false
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		f.add("", "not JSON: %v", err)
		return Menu{}, false
	}
	var buttons []json.RawMessage
	found := false
	isObject := members(data, func(name string, value json.RawMessage) {
		switch {
		case name != "button":
			f.add("", "unknown field %.40q", name)
		case found:
			f.add("button", "given twice")
		default:
			found = true
			if json.Unmarshal(value, &buttons) != nil || buttons == nil {
				f.add("button", "not an array")
			}
		}
	})
	switch {
	case !isObject:
		f.add("", "not a JSON object")
	case !found:
		f.add("button", "missing; [] means no menu")
	}
	m := Menu{Buttons: make([]Button, len(buttons))}
	for i, raw := range buttons {
		m.Buttons[i] = readButton(raw, fmt.Sprintf("button[%d]", i), true, f)
	}
	return m, buttons != nil
}

// readButton reads a button of the first or second level.
func readButton(raw json.RawMessage, at string, first bool, f *menuFaults) Button {
	var b Button
	texts := b.texts()
	seen := map[string]bool{}
	isObject := members(raw, func(name string, value json.RawMessage) {
		text, isText := texts[name]
		place := at + "." + name
		switch {
		case !isText && name != "sub_button":
			f.add(at, "unknown field %.40q", name)
		case seen[name]:
			f.add(place, "given twice")
		case isText && value[0] != '"':
			f.add(place, "not a string")
			f.unread[place] = true
		case isText:
			json.Unmarshal(value, text) // it is a string and valid
		default:
			b.SubButtons = readSubButtons(value, place, first, f)
			if b.SubButtons == nil { // nobody can tell whether a type is missing
				f.unread[at+".type"] = true
			}
		}
		seen[name] = true
	})
	if !isObject {
		f.add(at, "not an object")
		f.unread[at] = true
	}
	return b
}

// readSubButtons returns nil for what is not a list of buttons here.
func readSubButtons(value json.RawMessage, place string, first bool, f *menuFaults) []Button {
	var all []json.RawMessage
	switch {
	case json.Unmarshal(value, &all) != nil || all == nil:
		f.add(place, "not an array")
		return nil
	case len(all) > 0 && !first:
		f.add(place, "a third level")
		return nil
	}
	buttons := make([]Button, len(all))
	for i, raw := range all {
		buttons[i] = readButton(raw, fmt.Sprintf("%s[%d]", place, i), false, f)
	}
	return buttons
}

// members calls visit with each member of a JSON object in turn, repeated ones
// too, and returns false if valid JSON is not an object.
func members(object json.RawMessage, visit func(name string, value json.RawMessage)) bool {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, _ := d.Token(); t != json.Delim('{') {
		return false
	}
	for d.More() {
		name, _ := d.Token()
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return false
		}
		visit(name.(string), value)
	}
	return true
}
