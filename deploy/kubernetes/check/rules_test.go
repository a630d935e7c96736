package check

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// rules look at all objects of a rendering for what an API server would accept and an operator regret.
var rules = []func(objects) (wrong []string){
	nativeSidecar, probes, appOnLoopback, appListener, termination, // rules_pod_test.go
	services, networkPolicies, ingress, references, // rules_network_test.go
	secretsAsFiles, secretsNowhereElse, restricted, // rules_security_test.go
	redisKeeps, // rules_redis_test.go
}

func findings(all objects) (wrong []string) {
	for _, rule := range rules {
		wrong = append(wrong, rule(all)...)
	}
	return wrong
}

// platformDir turns the example's third-party platform on.
const platformDir = "testdata/third-party-platform"

func TestManifests(t *testing.T) {
	for _, dir := range []string{"../base", "../example", platformDir} {
		t.Run(dir, func(t *testing.T) {
			for _, wrong := range findings(mustRender(t, dir)) {
				t.Error(wrong)
			}
		})
	}
}

// Every rule is shown what it is there to find.
func TestRulesFindMistakes(t *testing.T) {
	example := mustRender(t, "../example")

	setEnv := func(c *corev1.Container, name, value string) {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
	}
	config := func(all objects, name string) map[string]string {
		m, _ := get[corev1.ConfigMap](all, name)
		return m.Data
	}
	replace := func(all objects, name, key, old, new string) {
		config(all, name)[key] = strings.Replace(config(all, name)[key], old, new, 1)
	}
	service := func(all objects) *corev1.ServiceSpec {
		s, _ := get[corev1.Service](all, "claw-machine")
		return &s.Spec
	}
	policy := func(all objects) *networkingv1.NetworkPolicySpec {
		p, _ := get[networkingv1.NetworkPolicy](all, "claw-machine")
		return &p.Spec
	}
	way := func(all objects) *networkingv1.IngressSpec {
		in, _ := get[networkingv1.Ingress](all, "claw-machine")
		return &in.Spec
	}
	redis := func(all objects) *appsv1.StatefulSetSpec {
		s, _ := get[appsv1.StatefulSet](all, "redis")
		return &s.Spec
	}
	someone := corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(3000)}

	tests := []struct {
		name  string
		spoil func(objects)
		want  string
	}{
		{"an ordinary init container", func(all objects) { clawMachine(all).wxgate.RestartPolicy = nil }, "no native sidecar"},
		{"wxgate under another name", func(all objects) { clawMachine(all).wxgate.Name = "gate" }, "lacks an init container wxgate"},
		{"service links", func(all objects) { clawMachine(all).spec.EnableServiceLinks = nil }, "enableServiceLinks"},

		{"admin listener on loopback", func(all objects) { config(all, "wxgate")["WXGATE_ADMIN_LISTEN"] = "127.0.0.1:9090" }, "the kubelet cannot reach it"},
		{"admin listener moved", func(all objects) { config(all, "wxgate")["WXGATE_ADMIN_LISTEN"] = ":9091" }, "asks port 9090, the admin listener has 9091"},
		{"readiness asks for life", func(all objects) { clawMachine(all).wxgate.ReadinessProbe.HTTPGet.Path = "/healthz" }, "readinessProbe asks /healthz"},
		{"life asks for readiness", func(all objects) { clawMachine(all).wxgate.LivenessProbe.HTTPGet.Path = "/readyz" }, "livenessProbe asks /readyz"},
		{"probes on the public port", func(all objects) { clawMachine(all).wxgate.StartupProbe.HTTPGet.Port = intstr.FromString("http") }, "startupProbe asks port 8080"},
		{"no startup probe", func(all objects) { clawMachine(all).wxgate.StartupProbe = nil }, "no startupProbe"},

		{"upstream elsewhere", func(all objects) { config(all, "wxgate")["WXGATE_UPSTREAM"] = "http://app:3000" }, "WXGATE_UPSTREAM is not on loopback"},
		{"app on all interfaces", func(all objects) { setEnv(clawMachine(all).app, "HOST", "0.0.0.0") }, "not told to listen on 127.0.0.1:3000"},
		{"app on another port", func(all objects) { setEnv(clawMachine(all).app, "PORT", "3001") }, "not told to listen on 127.0.0.1:3000"},
		{"app with a port", func(all objects) { clawMachine(all).app.Ports = []corev1.ContainerPort{{ContainerPort: 3000}} }, "declares a port"},
		{"app asked over the network", func(all objects) {
			clawMachine(all).app.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &someone}}
		}, "is no command"},
		{"the node's network", func(all objects) { clawMachine(all).spec.HostNetwork = true }, "hostNetwork"},
		{"nginx on all interfaces", func(all objects) { replace(all, "app", "app.conf", "listen 127.0.0.1:3000", "listen 3000") }, "example's app listens on 3000"},

		{"app listener for other pods", func(all objects) { config(all, "wxgate")["WXGATE_APP_LISTEN"] = "force:0.0.0.0:9091" }, "WXGATE_APP_LISTEN is not on loopback"},
		{"events to another pod", func(all objects) { config(all, "wxgate")["WXGATE_HOOK_URL"] = "https://app/events" }, "WXGATE_HOOK_URL is not on loopback"},
		{"messages to another pod", func(all objects) { config(all, "wxgate")["WXGATE_MESSAGE_FORWARD"] = "http://app/messages" }, "WXGATE_MESSAGE_FORWARD is not on loopback"},

		{"no pause before the end", func(all objects) { clawMachine(all).app.Lifecycle = nil }, "no preStop sleep"},
		{"too little time to end", func(all objects) { *clawMachine(all).spec.TerminationGracePeriodSeconds = 40 }, "take 40s"},
		{"longer grace", func(all objects) { config(all, "wxgate")["WXGATE_SHUTDOWN_GRACE"] = "2m" }, "take 2m20s"},
		{"unspoken delay", func(all objects) { delete(config(all, "wxgate"), "WXGATE_SHUTDOWN_DELAY") }, "WXGATE_SHUTDOWN_DELAY is not said"},

		{"service to the app", func(all objects) { service(all).Ports[0].TargetPort = intstr.FromInt32(3000) }, "leads to port 3000"},
		{"service to the admin listener", func(all objects) { service(all).Ports[0].TargetPort = intstr.FromString("admin") }, "leads to port admin"},
		{"service for nobody", func(all objects) { service(all).Selector["app.kubernetes.io/name"] = "claw" }, "selector of *v1.Service claw-machine meets no pod"},
		{"policy for egress only", func(all objects) {
			for _, p := range list[*networkingv1.NetworkPolicy](all) {
				p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			}
		}, "no NetworkPolicy closes the pods"},
		{"admin listener for all", func(all objects) { policy(all).Ingress[0].From = nil }, "opens the admin listener to everybody"},
		{"admin listener for every namespace", func(all objects) { policy(all).Ingress[0].From[0].NamespaceSelector.MatchLabels = nil }, "opens the admin listener to everybody"},
		{"policy for all ports", func(all objects) { policy(all).Ingress[0].Ports = nil }, "opens every port"},
		{"policy for the app", func(all objects) { *policy(all).Ingress[0].Ports[0].Port = intstr.FromInt32(3000) }, "not wxgate's"},
		{"another public host", func(all objects) { config(all, "wxgate")["WXGATE_PUBLIC_URL"] = "https://www.example.com" }, "serves play.example.com"},
		{"public plain http", func(all objects) { config(all, "wxgate")["WXGATE_PUBLIC_URL"] = "http://play.example.com" }, "not https"},
		{"no certificate", func(all objects) { way(all).TLS = nil }, "no certificate"},
		{"way to nowhere", func(all objects) { way(all).Rules[0].HTTP.Paths[0].Backend.Service.Name = "claw" }, "leads to port http of Service claw"},
		{"no way to an account's host", func(all objects) {
			setEnv(clawMachine(all).wxgate, "WXGATE_COMPONENT_ACCOUNTS", "play.example.com=wx1,shop.example.com=wx2")
		}, "does not serve shop.example.com of WXGATE_COMPONENT_ACCOUNTS"},
		{"budget for nobody", func(all objects) {
			p, _ := get[policyv1.PodDisruptionBudget](all, "claw-machine")
			p.Spec.Selector.MatchLabels["app.kubernetes.io/name"] = "claw"
		}, "PodDisruptionBudget claw-machine meets no pod"},
		{"missing ConfigMap", func(all objects) { redis(all).Template.Spec.Volumes[0].ConfigMap.Name = "conf" }, "mounts ConfigMap conf"},
		{"missing Secret", func(all objects) { redis(all).Template.Spec.Volumes[1].Secret.SecretName = "word" }, "mounts Secret word"},

		{"secret variable", func(all objects) {
			clawMachine(all).wxgate.Env[0].ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "WXGATE_SECRETS"}}
		}, "wxgate has a secret in its environment"},
		{"secret environment", func(all objects) {
			redis(all).Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{}}}
		}, "redis has all of Secret"},
		{"secret ConfigMap", func(all objects) {
			s, _ := get[corev1.Secret](all, "wxgate")
			config(all, "wxgate")["WXGATE_MP_APP_SECRET"] = string(s.Data["WXGATE_MP_APP_SECRET"])
		}, "WXGATE_MP_APP_SECRET is in the environment and in a file"},
		{"secret argument", func(all objects) {
			s, _ := get[corev1.Secret](all, "redis")
			redis(all).Template.Spec.Containers[0].Args = []string{string(s.Data["REDIS_PASSWORD"])}
		}, "REDIS_PASSWORD of Secret redis-"},
		{"secrets for everybody", func(all objects) {
			for _, v := range clawMachine(all).spec.Volumes {
				if v.Secret != nil {
					*v.Secret.DefaultMode = 0o444
				}
			}
		}, "readable for everybody"},
		{"secrets for the app", func(all objects) {
			c := clawMachine(all)
			c.app.VolumeMounts = append(c.app.VolumeMounts, c.wxgate.VolumeMounts...)
		}, "mounted into [wxgate app]"},
		{"secrets from nowhere", func(all objects) { setEnv(clawMachine(all).wxgate, "WXGATE_JWT_KEY_FILE", "/tmp/key") }, "WXGATE_JWT_KEY_FILE is not in a mounted Secret"},
		{"missing secret", func(all objects) {
			setEnv(clawMachine(all).wxgate, "WXGATE_JWT_KEY_FILE", "/run/secrets/wxgate/WXGATE_JWT_KEY")
		}, "has no WXGATE_JWT_KEY"},

		{"root", func(all objects) { *clawMachine(all).spec.SecurityContext.RunAsNonRoot = false }, "claw-machine would be refused"},
		{"capabilities", func(all objects) { clawMachine(all).wxgate.SecurityContext.Capabilities = nil }, "claw-machine would be refused"},
		{"no seccomp", func(all objects) { redis(all).Template.Spec.SecurityContext.SeccompProfile = nil }, "redis would be refused"},
		{"writable root", func(all objects) { clawMachine(all).app.SecurityContext.ReadOnlyRootFilesystem = nil }, "app can write"},
		{"token for the API", func(all objects) { clawMachine(all).spec.AutomountServiceAccountToken = nil }, "token for the Kubernetes API"},
		{"boundless memory", func(all objects) { clawMachine(all).wxgate.Resources.Limits = nil }, "wxgate has no memory limit"},

		{"no log", func(all objects) { replace(all, "redis", "redis.conf", "appendonly yes", "appendonly no") }, `appendonly "no"`},
		{"late log", func(all objects) { replace(all, "redis", "redis.conf", "appendfsync always", "") }, `appendfsync ""`},
		{"eviction", func(all objects) { replace(all, "redis", "redis.conf", "noeviction", "allkeys-lru") }, `maxmemory-policy "allkeys-lru"`},
		{"no volume", func(all objects) { redis(all).VolumeClaimTemplates = nil }, `dir "/data" of redis.conf is on no claimed volume`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spoilt := example.clone()
			test.spoil(spoilt)
			found := strings.Join(findings(spoilt), "\n")
			if !strings.Contains(found, test.want) {
				t.Errorf("got %q, want a finding with %q", found, test.want)
			}
		})
	}
}
