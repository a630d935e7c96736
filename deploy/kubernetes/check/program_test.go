package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const projectRoot = "../../.."

// program is one of the project's programs itself.
type program struct{ path string }

func build(t *testing.T, name string) program {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/"+name)
	cmd.Dir = projectRoot
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/%s: %v\n%s", name, err, out)
	}
	return program{path}
}

// run gives exit code and all output of one command in exactly this environment.
func (p program) run(t *testing.T, env map[string]string, command string) (code int, out string) {
	t.Helper()
	cmd := exec.Command(p.path, command)
	cmd.Env = []string{} // nil would mean our own
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// soundSecrets are acceptable values for all secrets that the manifests mount.
func (p program) soundSecrets(t *testing.T) map[string]string {
	t.Helper()
	code, key := p.run(t, nil, "keygen")
	if code != 0 {
		t.Fatalf("wxgate keygen: exit code %d, %s", code, key)
	}
	return map[string]string{
		"WXGATE_SECRETS":           key,
		"WXGATE_MP_APP_SECRET":     strings.Repeat("0123456789abcdef", 2),
		"WXGATE_MP_TOKEN":          strings.Repeat("0123456789abcdef", 2),
		"WXGATE_MP_AES_KEY":        strings.Repeat("0123456789abcdef", 3)[:43],
		"WXGATE_ADMIN_TOKEN":       key,
		"WXGATE_YUNXIN_APP_SECRET": "0123456789ab",
		"WXGATE_STORE_URL":         "redis://:0123456789abcdef@redis:6379/0",

		"WXGATE_COMPONENT_APP_SECRET": strings.Repeat("0123456789abcdef", 2),
		"WXGATE_COMPONENT_TOKEN":      strings.Repeat("0123456789abcdef", 2),
		"WXGATE_COMPONENT_AES_KEY":    strings.Repeat("0123456789abcdef", 3)[:43],
	}
}

// The program accepts what the example's manifests tell it, once the secrets are real, and refuses to start with the
// example's own.
func TestProgramAcceptsManifests(t *testing.T) {
	wxgate := build(t, "wxgate")
	all := mustRender(t, "../example")

	t.Run("with secrets", func(t *testing.T) {
		env := mountSecrets(t, environment(all, clawMachine(all).wxgate), wxgate.soundSecrets(t))
		code, out := wxgate.run(t, env, "config")
		if code != 0 {
			t.Fatalf("wxgate config: exit code %d\n%s", code, out)
		}
		for _, want := range []string{"WXGATE_ADMIN_LISTEN=:9090\n", "WXGATE_PUBLIC_URL=https://play.example.com\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("wxgate config shows\n%swithout %s", out, want)
			}
		}
	})

	t.Run("with the example's", func(t *testing.T) {
		s, _ := get[corev1.Secret](all, "wxgate")
		values := map[string]string{}
		for key, value := range s.Data {
			values[key] = string(value)
		}
		code, out := wxgate.run(t, mountSecrets(t, environment(all, clawMachine(all).wxgate), values), "config")
		if code != 2 || !strings.Contains(out, "WXGATE_SECRETS") || !strings.Contains(out, "WXGATE_MP_APP_SECRET") {
			t.Errorf("wxgate config: exit code %d, want 2 and a fault of WXGATE_SECRETS and WXGATE_MP_APP_SECRET\n%s", code, out)
		}
	})
}

// The same for the example with its third-party platform.
func TestProgramAcceptsPlatform(t *testing.T) {
	wxgate := build(t, "wxgate")
	all := mustRender(t, platformDir)
	env := environment(all, clawMachine(all).wxgate)
	code, out := wxgate.run(t, mountSecrets(t, env, wxgate.soundSecrets(t)), "config")
	if code != 0 || strings.Contains(out, "warning: ") {
		t.Errorf("wxgate config: exit code %d\n%s", code, out)
	}
	for _, want := range []string{"WXGATE_COMPONENT_AES_KEY=***\n", "WXGATE_COMPONENT_ACCOUNTS=shop.example.com=wx0000000000000002\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("wxgate config shows\n%swithout %s", out, want)
		}
	}

	s, _ := get[corev1.Secret](all, "wxgate-platform")
	values := wxgate.soundSecrets(t)
	for key, value := range s.Data {
		values[key] = string(value)
	}
	code, out = wxgate.run(t, mountSecrets(t, env, values), "config")
	for name := range s.Data {
		if code != 2 || !strings.Contains(out, name+": ") {
			t.Errorf("wxgate config with the example's own: exit code %d, want 2 and a fault of %s\n%s", code, name, out)
		}
	}
}

// mountSecrets does what the kubelet does: one file for each key, at the place that the variable names.
func mountSecrets(t *testing.T, env, values map[string]string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	mounted := map[string]string{}
	for name, value := range env {
		if strings.HasSuffix(name, "_FILE") {
			key := filepath.Base(value)
			value = filepath.Join(dir, key)
			if err := os.WriteFile(value, []byte(values[key]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mounted[name] = value
	}
	return mounted
}

// Every variable that a file of deploy/ or the Dockerfile names, comments included, is in the README's table.
func TestVariablesAreInREADME(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(projectRoot, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)<!-- variables -->(.*?)<!-- /variables -->`).FindSubmatch(readme)
	if table == nil {
		t.Fatal("README.md has no table between <!-- variables --> and <!-- /variables -->")
	}
	name := regexp.MustCompile(`\bWXGATE_[A-Z0-9_]*[A-Z0-9]\b`)
	known := name.FindAllString(string(table[1]), -1)

	for _, file := range deploymentFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, used := range name.FindAllString(string(text), -1) {
			if !slices.Contains(known, used) {
				t.Errorf("%s: %s is not in the README's table", file, used)
			}
		}
	}
}

func deploymentFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{
		"Dockerfile", "deploy/README.md", "deploy/compose/*.*",
		"deploy/kubernetes/base/*.*", "deploy/kubernetes/example/*.*", "deploy/kubernetes/example/secrets/*.env",
		"deploy/kubernetes/example/third-party-platform/*.*",
	} {
		found, err := filepath.Glob(filepath.Join(projectRoot, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no files (%v)", pattern, err)
		}
		files = append(files, found...)
	}
	return files
}
