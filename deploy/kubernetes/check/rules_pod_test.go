package check

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// nativeSidecar: as an ordinary container wxgate would start after the app and end before it; as an ordinary init
// container it would keep the app from ever starting.
func nativeSidecar(all objects) (wrong []string) {
	c := clawMachine(all)
	if c.wxgate.Name == "" || c.app.Name == "" {
		return []string{"the Deployment claw-machine lacks an init container wxgate or a container app"}
	}
	if p := c.wxgate.RestartPolicy; p == nil || *p != corev1.ContainerRestartPolicyAlways {
		wrong = append(wrong, "wxgate is no native sidecar: its restartPolicy is not Always")
	}
	if on := c.spec.EnableServiceLinks; on == nil || *on {
		wrong = append(wrong, "enableServiceLinks: the Services of the namespace become variables of wxgate and the app")
	}
	return wrong
}

// probes ask the admin listener, each the question that it is meant for, where the kubelet can reach it.
func probes(all objects) (wrong []string) {
	c := clawMachine(all)
	host, admin, err := net.SplitHostPort(environment(all, c.wxgate)["WXGATE_ADMIN_LISTEN"])
	if err != nil || host != "" {
		wrong = append(wrong, "WXGATE_ADMIN_LISTEN is not on all interfaces: the kubelet cannot reach it")
	}
	for _, p := range []struct {
		name, path string
		probe      *corev1.Probe
	}{
		{"startupProbe", "/healthz", c.wxgate.StartupProbe},
		{"readinessProbe", "/readyz", c.wxgate.ReadinessProbe},
		{"livenessProbe", "/healthz", c.wxgate.LivenessProbe},
	} {
		if p.probe == nil || p.probe.HTTPGet == nil {
			wrong = append(wrong, "wxgate has no "+p.name+" over HTTP")
			continue
		}
		if got := p.probe.HTTPGet.Path; got != p.path {
			wrong = append(wrong, fmt.Sprintf("the %s asks %s instead of %s", p.name, got, p.path))
		}
		if got := portNumber(c.wxgate, p.probe.HTTPGet.Port); got != admin {
			wrong = append(wrong, fmt.Sprintf("the %s asks port %s, the admin listener has %s", p.name, got, admin))
		}
	}
	return wrong
}

// portNumber resolves a container's port that may be given by name.
func portNumber(c *corev1.Container, port intstr.IntOrString) string {
	for _, p := range c.Ports {
		if p.Name == port.String() {
			return fmt.Sprint(p.ContainerPort)
		}
	}
	return port.String()
}

// appOnLoopback: nothing lets the app listen, or expects it to listen, where others than wxgate can reach it.
func appOnLoopback(all objects) (wrong []string) {
	c := clawMachine(all)
	upstream, err := url.Parse(environment(all, c.wxgate)["WXGATE_UPSTREAM"])
	if err != nil || !loopback(upstream.Hostname()) {
		return []string{"WXGATE_UPSTREAM is not on loopback"}
	}
	if env := environment(all, c.app); net.JoinHostPort(env["HOST"], env["PORT"]) != upstream.Host {
		wrong = append(wrong, "the app is not told to listen on "+upstream.Host)
	}
	if len(c.app.Ports) > 0 {
		wrong = append(wrong, "the app declares a port")
	}
	for _, probe := range []*corev1.Probe{c.app.StartupProbe, c.app.ReadinessProbe, c.app.LivenessProbe} {
		if probe != nil && probe.Exec == nil {
			wrong = append(wrong, "a probe of the app is no command: the kubelet cannot reach loopback")
		}
	}
	if c.spec.HostNetwork {
		wrong = append(wrong, "hostNetwork: every process of the node reaches the app")
	}
	// The example's app is an nginx, whose configuration says where it listens.
	conf, _ := get[corev1.ConfigMap](all, "app")
	for _, at := range nginxListens(conf.Data["app.conf"]) {
		if at != upstream.Host {
			wrong = append(wrong, "the example's app listens on "+at)
		}
	}
	return wrong
}

// appListener: whoever reaches the app's listener acts as the app, and events say who a person is.
func appListener(all objects) (wrong []string) {
	env := environment(all, clawMachine(all).wxgate)
	if at := env["WXGATE_APP_LISTEN"]; at != "" {
		if host, _, err := net.SplitHostPort(at); err != nil || !loopback(host) {
			wrong = append(wrong, "WXGATE_APP_LISTEN is not on loopback")
		}
	}
	for _, name := range []string{"WXGATE_HOOK_URL", "WXGATE_MESSAGE_FORWARD"} {
		if at, err := url.Parse(env[name]); err != nil || env[name] != "" && !loopback(at.Hostname()) {
			wrong = append(wrong, name+" is not on loopback")
		}
	}
	return wrong
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func nginxListens(conf string) (addresses []string) {
	for line := range strings.Lines(conf) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "listen "); ok {
			addresses = append(addresses, strings.TrimSuffix(address, ";"))
		}
	}
	return addresses
}

// termination: the kubelet waits for all that is promised to end by itself, one after the other.
func termination(all objects) (wrong []string) {
	c := clawMachine(all)
	if c.app.Lifecycle == nil || c.app.Lifecycle.PreStop == nil || c.app.Lifecycle.PreStop.Sleep == nil {
		return []string{"the app has no preStop sleep: it is gone before the load balancers know"}
	}
	needed := time.Duration(c.app.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	env := environment(all, c.wxgate)
	for _, name := range []string{"WXGATE_SHUTDOWN_DELAY", "WXGATE_SHUTDOWN_GRACE"} {
		part, err := time.ParseDuration(env[name])
		if err != nil {
			return []string{name + " is not said, though terminationGracePeriodSeconds depends on it"}
		}
		needed += part
	}
	if grace := c.spec.TerminationGracePeriodSeconds; grace == nil || time.Duration(*grace)*time.Second <= needed {
		wrong = append(wrong, fmt.Sprintf("terminationGracePeriodSeconds: preStop, delay and grace take %s, and the app needs time too", needed))
	}
	return wrong
}
