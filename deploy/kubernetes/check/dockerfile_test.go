package check

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// The Dockerfile is read by BuildKit's own parser and linter, and its default image is what the manifests expect.
func TestDockerfile(t *testing.T) {
	stages := parseDockerfile(t)

	image := stages[len(stages)-1]
	if image.Name != "wxgate" {
		t.Errorf("the last stage, which is built by default, is %q", image.Name)
	}

	// What the image is made of, from the bottom up: its own stage and those that it begins with.
	var layers []instructions.Command
	for stage := &image; ; {
		layers = append(slices.Clone(stage.Commands), layers...)
		parent := slices.IndexFunc(stages, func(s instructions.Stage) bool { return s.Name == stage.BaseName })
		if parent < 0 {
			if stage.BaseName != "scratch" {
				t.Errorf("the image is based on %s", stage.BaseName)
			}
			break
		}
		stage = &stages[parent]
	}

	var said []string
	for _, command := range layers {
		said = append(said, command.(interface{ String() string }).String())
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{
		`USER 65532:65532`, // Kubernetes' runAsNonRoot believes numbers only
		`COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/`,
		`COPY --from=build --chown=65532:65532 /out/state /var/lib/wxgate`,
		`WORKDIR /var/lib/wxgate`,
		`HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/wxgate", "healthcheck"]`,
		`ENTRYPOINT ["/wxgate"]`,
	} {
		if !slices.Contains(said, want) {
			t.Errorf("the image has no %s; it is made by\n%s", want, text)
		}
	}
	if strings.Contains(text, "RUN") {
		t.Errorf("the image runs programs, which it does not have:\n%s", text)
	}
}

func parseDockerfile(t *testing.T) []instructions.Stage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(projectRoot, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("Dockerfile: %s", w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, url, message string, at []parser.Range) {
		t.Errorf("Dockerfile:%v: %s: %s", at, rule, message)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

// What the build copies in, the packages of the module, is what .dockerignore lets through.
func TestDockerignoreLetsAllPackagesThrough(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(projectRoot, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(projectRoot)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, e := range entries {
		needed := e.Name() == "go.mod" || e.Name() == "go.sum"
		if e.IsDir() {
			goFiles, err := filepath.Glob(filepath.Join(projectRoot, e.Name(), "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			needed = len(goFiles) > 0 || e.Name() == "cmd"
		}
		if got := slices.Contains(lines, "!"+e.Name()); got != needed {
			t.Errorf(".dockerignore lets %s through: %t, want %t", e.Name(), got, needed)
		}
	}
	if secret := regexp.MustCompile(`(?m)^!(deploy|\.git)`); secret.Match(text) {
		t.Errorf(".dockerignore lets %s through", secret.Find(text))
	}
}
