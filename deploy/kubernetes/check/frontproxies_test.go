package check

import (
	"bytes"
	"os"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// The Ingress objects for ingress-nginx are read as strictly as the other manifests, and keep the question to wxgate from
// browsers: its path belongs to the Ingress whose every request is asked about.
func TestIngressNGINX(t *testing.T) {
	text, err := os.ReadFile(projectRoot + "/deploy/front-proxies/ingress-nginx.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const annotation = "nginx.ingress.kubernetes.io/auth-url"
	asked, unasked := map[string]bool{}, map[string]bool{}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		o, err := decode(document)
		if err != nil {
			t.Fatal(err)
		}
		ingress := o.(*networkingv1.Ingress)
		for _, rule := range ingress.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				name := string(*path.PathType) + " " + path.Path
				if strings.HasSuffix(ingress.Annotations[annotation], ":8080/.wxgate/auth") {
					asked[name] = true
				} else {
					unasked[name] = true
				}
			}
		}
	}
	if !asked["Prefix /"] || !asked["Exact /.wxgate/auth"] || !unasked["Prefix /.wxgate/"] || unasked["Prefix /"] {
		t.Errorf("wxgate is asked about %v and not about %v", asked, unasked)
	}
}
