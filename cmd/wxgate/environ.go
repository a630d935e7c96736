package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

// envPrefix marks the names that are ours.
const envPrefix = "WXGATE_"

// readSecretFiles reads every secret that NAME_FILE points to, which is how container platforms hand secrets over
// without showing them in the environment.
func (c *config) readSecretFiles(lookup func(name string) (string, bool)) {
	for _, s := range c.settings() {
		v := s.base()
		file, _ := lookup(v.name + "_FILE")
		if !s.secret() || strings.TrimSpace(file) == "" {
			continue
		}
		// A secret with a default has one in text already, so ask the environment.
		if text, _ := lookup(v.name); strings.TrimSpace(text) != "" {
			v.fault("%s_FILE is given too; keep one of the two", v.name)
			continue
		}
		text, wrong := readSecret(file)
		if wrong != "" {
			v.faults = append(v.faults, v.name+"_FILE: "+wrong)
		}
		v.text = text
	}
}

// maxSecretFile is far above any key list, and keeps a wrong path (a device, a log) from filling the memory.
const maxSecretFile = 1 << 20

func readSecret(file string) (text, wrong string) {
	shown := file
	if !looksLikePath(file) {
		// Probably the secret itself, given under the wrong name.
		shown = "the file (not named here, because the value does not look like a path)"
	}
	f, err := os.Open(file)
	if err != nil {
		return "", "cannot read " + shown + ": " + reason(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", "cannot read " + shown + ": " + reason(err)
	case len(content) > maxSecretFile:
		return "", shown + " is larger than 1 MiB; it cannot be a secret"
	}
	text = string(content)
	if cut, found := strings.CutSuffix(text, "\n"); found {
		text = strings.TrimSuffix(cut, "\r")
	}
	if strings.TrimSpace(text) == "" {
		return "", shown + " is empty"
	}
	return text, ""
}

// looksLikePath tells a path from a secret: no key or app secret has a dot or begins with a slash, and whatever has
// line breaks or a scheme is a PEM block or a URL.
func looksLikePath(text string) bool {
	return !strings.ContainsAny(text, "\r\n@") && !strings.Contains(text, "://") &&
		(strings.HasPrefix(text, "/") || strings.Contains(text, "."))
}

// reason is the operating system's part of a file error.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// kubernetesName matches what Kubernetes puts into every container for each Service of the namespace: a Service named
// wxgate-redis becomes WXGATE_REDIS_SERVICE_HOST, WXGATE_REDIS_PORT_6379_TCP_ADDR and more.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var kubernetesName = regexp.MustCompile(`^WXGATE(_.+)?_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_.+)?)$`)

// unknownNames finds variables with our prefix that nobody reads, most of them misspelt, and names the nearest one
// that exists. Values are not repeated: behind a misspelt name may stand a secret.
func (c *config) unknownNames(environ []string) faults {
	var known []string
	for _, s := range c.settings() {
		known = append(known, s.base().name)
		if s.secret() {
			known = append(known, s.base().name+"_FILE")
		}
	}
	var found faults
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name):
		case !kubernetesName.MatchString(name):
			found = append(found, name+": unknown; the nearest known variable is "+nearest(name, known))
		case name == envPrefix+"PORT" && bareNumber.MatchString(text):
			// Kubernetes itself writes tcp://ADDRESS:PORT here, so this was a person.
			c.Listen.warnings = append(c.Listen.warnings,
				name+": ignored, because Kubernetes injects such names; addresses to listen on are WXGATE_LISTEN and WXGATE_ADMIN_LISTEN")
		}
	}
	slices.Sort(found)
	return found
}

// nearest returns the known name that takes the fewest edits to reach; of several, the first.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance counts the bytes to insert, delete or replace to turn a into b (Levenshtein, one row at a time).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
