package check

import (
	"strings"
	"testing"
)

func TestDecodingIsStrict(t *testing.T) {
	const sound = `
apiVersion: v1
kind: Service
metadata:
  name: claw-machine
spec:
  ports:
    - port: 80
`
	if _, err := decode([]byte(sound)); err != nil {
		t.Fatalf("a sound document: %v", err)
	}

	tests := []struct{ name, old, new, wantErr string }{
		{"misspelt field", "ports:", "prots:", `unknown field "spec.prots"`},
		{"field of another kind", "port: 80", "containerPort: 80", `unknown field "spec.ports[0].containerPort"`},
		{"wrong type", "port: 80", `port: "80"`, "cannot unmarshal string"},
		{"doubled field", "spec:", "spec: {}\nspec:", `key "spec" already set`},
		{"unknown kind", "kind: Service", "kind: Servise", `no kind "Servise"`},
		{"unknown version", "apiVersion: v1", "apiVersion: v1beta1", `no kind "Service"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			broken := strings.Replace(sound, test.old, test.new, 1)
			if _, err := decode([]byte(broken)); err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("got error %v, want one with %q", err, test.wantErr)
			}
		})
	}
}

func TestRenderingRefusesBrokenManifests(t *testing.T) {
	const want = `unknown field "spec.template.spec.initContainers[0].restartPolicyy"`
	if _, err := render("testdata/broken"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}
