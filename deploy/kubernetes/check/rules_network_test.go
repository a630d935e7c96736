package check

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The port for browsers, which is WXGATE_LISTEN's default, and the admin listener's.
const publicPort, adminPort = "8080", "9090"

// services lead to wxgate's public port, never past it.
func services(all objects) (wrong []string) {
	pod := labels.Set(clawMachine(all).labels)
	for _, s := range list[*corev1.Service](all) {
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(pod) {
			continue
		}
		for _, port := range s.Spec.Ports {
			if got := port.TargetPort.String(); got != publicPort {
				wrong = append(wrong, fmt.Sprintf("Service %s leads to port %s instead of %s", s.Name, got, publicPort))
			}
		}
	}
	return wrong
}

// networkPolicies close the pods but for the public port, and the admin listener for chosen namespaces.
func networkPolicies(all objects) (wrong []string) {
	pod, closed := labels.Set(clawMachine(all).labels), false
	for _, p := range list[*networkingv1.NetworkPolicy](all) {
		if selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector); err != nil || !selector.Matches(pod) {
			continue
		}
		closed = closed || slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		for _, in := range p.Spec.Ingress {
			if len(in.Ports) == 0 {
				wrong = append(wrong, "NetworkPolicy "+p.Name+" opens every port")
			}
			for _, port := range in.Ports {
				switch {
				case port.Port != nil && port.Port.String() == publicPort:
				case port.Port != nil && port.Port.String() == adminPort:
					if len(in.From) == 0 || slices.ContainsFunc(in.From, admitsEverybody) {
						wrong = append(wrong, "NetworkPolicy "+p.Name+" opens the admin listener to everybody")
					}
				default:
					wrong = append(wrong, "NetworkPolicy "+p.Name+" opens a port that is not wxgate's")
				}
			}
		}
	}
	if !closed {
		wrong = append(wrong, "no NetworkPolicy closes the pods: the admin listener answers the whole cluster")
	}
	return wrong
}

func admitsEverybody(from networkingv1.NetworkPolicyPeer) bool {
	return from.PodSelector == nil && (from.NamespaceSelector == nil || len(from.NamespaceSelector.MatchLabels) == 0)
}

// ingress: the host is that of the public URL, has a certificate, and leads to a Service.
func ingress(all objects) (wrong []string) {
	env := environment(all, clawMachine(all).wxgate)
	public, err := url.Parse(env["WXGATE_PUBLIC_URL"])
	var mapped []string
	for pair := range strings.SplitSeq(env["WXGATE_COMPONENT_ACCOUNTS"], ",") {
		if host, _, _ := strings.Cut(pair, "="); host != "" {
			mapped = append(mapped, host)
		}
	}
	for _, in := range list[*networkingv1.Ingress](all) {
		if err != nil || public.Scheme != "https" {
			wrong = append(wrong, "WXGATE_PUBLIC_URL is not https")
		}
		for _, host := range mapped {
			if !slices.ContainsFunc(in.Spec.Rules, func(r networkingv1.IngressRule) bool { return r.Host == host }) {
				wrong = append(wrong, fmt.Sprintf("Ingress %s does not serve %s of WXGATE_COMPONENT_ACCOUNTS", in.Name, host))
			}
		}
		for _, r := range in.Spec.Rules {
			if r.Host != public.Host && !slices.Contains(mapped, r.Host) {
				wrong = append(wrong, fmt.Sprintf("Ingress %s serves %s, WXGATE_PUBLIC_URL says %s", in.Name, r.Host, public.Host))
			}
			if !slices.ContainsFunc(in.Spec.TLS, func(tls networkingv1.IngressTLS) bool { return slices.Contains(tls.Hosts, r.Host) }) {
				wrong = append(wrong, fmt.Sprintf("Ingress %s has no certificate for %s", in.Name, r.Host))
			}
			for _, path := range r.HTTP.Paths {
				to := path.Backend.Service
				s, _ := get[corev1.Service](all, to.Name)
				if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == to.Port.Name }) {
					wrong = append(wrong, fmt.Sprintf("Ingress %s leads to port %s of Service %s, which is not there", in.Name, to.Port.Name, to.Name))
				}
			}
		}
	}
	return wrong
}

// references: selectors meet pods, mounted ConfigMaps and Secrets exist. The base has no Secrets, its overlays do.
func references(all objects) (wrong []string) {
	pods := workloads(all)
	for _, o := range all {
		var selector *metav1.LabelSelector
		switch o := o.(type) {
		case *appsv1.Deployment:
			selector = o.Spec.Selector
		case *appsv1.StatefulSet:
			selector = o.Spec.Selector
		case *corev1.Service:
			selector = &metav1.LabelSelector{MatchLabels: o.Spec.Selector}
		case *networkingv1.NetworkPolicy:
			selector = &o.Spec.PodSelector
		case *policyv1.PodDisruptionBudget:
			selector = o.Spec.Selector
		default:
			continue
		}
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || !slices.ContainsFunc(pods, func(w workload) bool { return s.Matches(labels.Set(w.PodTemplateSpec.Labels)) }) {
			wrong = append(wrong, fmt.Sprintf("the selector of %T %s meets no pod", o, o.GetName()))
		}
	}
	for _, w := range pods {
		for _, v := range w.PodTemplateSpec.Spec.Volumes {
			if v.ConfigMap != nil {
				if _, ok := get[corev1.ConfigMap](all, v.ConfigMap.Name); !ok {
					wrong = append(wrong, fmt.Sprintf("%s mounts ConfigMap %s, which is not there", w.GetName(), v.ConfigMap.Name))
				}
			}
			if v.Secret != nil && len(list[*corev1.Secret](all)) > 0 {
				if _, ok := get[corev1.Secret](all, v.Secret.SecretName); !ok {
					wrong = append(wrong, fmt.Sprintf("%s mounts Secret %s, which is not there", w.GetName(), v.Secret.SecretName))
				}
			}
		}
	}
	return wrong
}
