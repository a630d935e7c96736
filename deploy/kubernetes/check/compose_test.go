package check

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = projectRoot + "/deploy/compose/compose.yaml"

// loadCompose reads a compose file as `docker compose config` does, by Compose's own schema.
func loadCompose(t *testing.T, file string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithoutEnvironmentResolution)
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func TestCompose(t *testing.T) {
	project, err := loadCompose(t, composeFile)
	if err != nil {
		t.Fatal(err)
	}
	gateway := project.Services["wxgate"]

	for name, s := range project.Services {
		for _, port := range s.Ports {
			if !loopback(port.HostIP) {
				t.Errorf("%s publishes port %s to the whole network", name, port.Published)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
		if s.Build != nil && !slices.Contains(stageNames(t), s.Build.Target) {
			t.Errorf("%s is built from stage %q, which the Dockerfile lacks", name, s.Build.Target)
		}
	}
	for _, name := range []string{"app", "fakewechat"} {
		if mode := project.Services[name].NetworkMode; mode != "service:wxgate" {
			t.Errorf("%s has network mode %q: wxgate cannot reach it on loopback", name, mode)
		}
	}

	if got := time.Duration(*gateway.StopGracePeriod); got <= 25*time.Second {
		t.Errorf("stop_grace_period %s is not above wxgate's own delay and grace of 25s", got)
	}
}

func stageNames(t *testing.T) (names []string) {
	for _, stage := range parseDockerfile(t) {
		names = append(names, stage.Name)
	}
	return names
}

func TestComposeFileIsReadStrictly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(file, []byte("name: x\nservices:\n  wxgate:\n    image: wxgate\n    prots: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadCompose(t, file); err == nil || !strings.Contains(err.Error(), "services.wxgate.prots") {
		t.Errorf("got error %v, want one about prots", err)
	}
}

// The program accepts the environment of the compose file, with secrets made as the service "keys" makes them.
func TestProgramAcceptsCompose(t *testing.T) {
	project, err := loadCompose(t, composeFile)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for name, value := range project.Services["wxgate"].Environment {
		env[name] = *value
	}

	dir := t.TempDir()
	script := project.Services["keys"].Command[0]
	script = string(regexp.MustCompile(`(?m)^\s*chown .*$`).ReplaceAll(bytes.ReplaceAll([]byte(script), []byte("/run/keys"), []byte(dir)), nil))
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, file := range env {
		if strings.HasSuffix(name, "_FILE") {
			env[name] = filepath.Join(dir, filepath.Base(file))
		}
	}

	if code, out := build(t, "wxgate").run(t, env, "config"); code != 0 {
		t.Errorf("wxgate config: exit code %d\n%s", code, out)
	}
}

// The simulator plays the accounts that the compose file tells wxgate about.
func TestComposeKnowsTheSimulator(t *testing.T) {
	project, err := loadCompose(t, composeFile)
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Clone([]string(project.Services["fakewechat"].Command))
	args[slices.Index(args, "-listen")+1] = "127.0.0.1:0"
	args[slices.Index(args, "-platform")+1] = "http://127.0.0.1:1" // nobody is there to push to

	cmd := exec.CommandContext(t.Context(), build(t, "fakewechat").path, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()

	played := map[string]string{}
	export := regexp.MustCompile(`export (WXGATE_\w+)='(.*)'`)
	for in := bufio.NewScanner(out); played["WXGATE_YUNXIN_URLS"] == "" && in.Scan(); {
		if m := export.FindStringSubmatch(in.Text()); m != nil {
			played[m[1]] = m[2]
		}
	}
	for _, name := range []string{
		"WXGATE_MP_APP_ID", "WXGATE_MP_APP_SECRET", "WXGATE_YUNXIN_APP_KEY", "WXGATE_YUNXIN_APP_SECRET", "WXGATE_WECHAT_OPEN_URL",
		"WXGATE_WECHAT_MP_URL", "WXGATE_COMPONENT_APP_ID", "WXGATE_COMPONENT_APP_SECRET", "WXGATE_COMPONENT_TOKEN", "WXGATE_COMPONENT_AES_KEY",
	} {
		told := project.Services["wxgate"].Environment[name]
		if told == nil || *told != played[name] {
			t.Errorf("%s: the compose file says %v, the simulator %q", name, told, played[name])
		}
	}
}
