package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"text/template"
)

// nameData is what the template of default names may use.
type nameData struct {
	Digits string // four decimal digits
}

// ParseNameTemplate reads the template of the names for people whose nickname is not known, such as "玩家{{.Digits}}". All ten
// thousand names that it can make are tried: each must be non-empty, at most [MaxNameUnits] UTF-16 units long, and such
// that [CleanName] leaves it alone. So [DefaultName] cannot fail later.
func ParseNameTemplate(s string) (*template.Template, error) {
	t, err := template.New("name").Parse(s)
	if err != nil {
		return nil, fmt.Errorf("identity: default name: %w", err)
	}
	for n := range 10000 {
		digits := fmt.Sprintf("%04d", n)
		name, err := executeName(t, digits)
		switch {
		case err != nil:
			return nil, fmt.Errorf("identity: default name: %w", err)
		case name == "":
			return nil, fmt.Errorf("identity: default name: empty for digits %s", digits)
		case CleanName(name) != name:
			return nil, fmt.Errorf("identity: default name: for digits %s it is longer than %d UTF-16 units, "+
				"has white space at an end, or has characters that names may not have", digits, MaxNameUnits)
		}
	}
	return t, nil
}

// DefaultName is the name shown for a person whose nickname is not known. It depends on the user id alone, so every replica and
// every start of the program gives the same. The template must come from [ParseNameTemplate].
func DefaultName(tmpl *template.Template, userID string) string {
	sum := sha256.Sum256([]byte(userID))
	digits := fmt.Sprintf("%04d", binary.BigEndian.Uint32(sum[:4])%10000)
	name, err := executeName(tmpl, digits)
	if err != nil {
		return "玩家" + digits // only a template that ParseNameTemplate never saw
	}
	return name
}

func executeName(t *template.Template, digits string) (string, error) {
	var w nameWriter
	err := t.Execute(&w, nameData{digits})
	return w.String(), err
}

// nameWriter stops templates that would write without end.
type nameWriter struct{ strings.Builder }

func (w *nameWriter) Write(b []byte) (int, error) {
	if w.Len()+len(b) > 1024 {
		return 0, errors.New("much too long")
	}
	return w.Builder.Write(b)
}
