package check

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// redisKeeps: what was acknowledged is on a claimed volume, and nothing is ever evicted.
func redisKeeps(all objects) []string {
	conf, _ := get[corev1.ConfigMap](all, "redis")
	s, _ := get[appsv1.StatefulSet](all, "redis")
	wrong := redisForgets(conf.Data["redis.conf"])
	if dir := redisDirectives(conf.Data["redis.conf"])["dir"]; !slices.ContainsFunc(s.Spec.Template.Spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.MountPath == dir && slices.ContainsFunc(s.Spec.VolumeClaimTemplates, func(v corev1.PersistentVolumeClaim) bool { return v.Name == m.Name })
		})
	}) {
		wrong = append(wrong, fmt.Sprintf("dir %q of redis.conf is on no claimed volume", dir))
	}
	return wrong
}

func redisForgets(conf string) (wrong []string) {
	said := redisDirectives(conf)
	for _, want := range [][2]string{{"appendonly", "yes"}, {"appendfsync", "always"}, {"maxmemory-policy", "noeviction"}} {
		if got := said[want[0]]; got != want[1] {
			wrong = append(wrong, fmt.Sprintf("redis.conf says %s %q instead of %s", want[0], got, want[1]))
		}
	}
	return wrong
}

// redisDirectives reads a redis.conf: a word and its value a line.
func redisDirectives(conf string) map[string]string {
	said := map[string]string{}
	for line := range strings.Lines(conf) {
		directive, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[directive] = strings.TrimSpace(value)
	}
	return said
}
