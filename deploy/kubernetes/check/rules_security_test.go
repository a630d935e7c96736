package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// secretsAsFiles: no variable holds a secret, every _FILE variable names a file of a mounted Secret, and such files are
// for one container alone.
func secretsAsFiles(all objects) (wrong []string) {
	for _, w := range workloads(all) {
		for _, c := range w.containers() {
			for _, from := range c.EnvFrom {
				if from.SecretRef != nil {
					wrong = append(wrong, c.Name+" has all of Secret "+from.SecretRef.Name+" in its environment")
				}
			}
			for _, v := range c.Env {
				if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
					wrong = append(wrong, c.Name+" has a secret in its environment: "+v.Name)
				}
			}
		}
		for _, v := range w.PodTemplateSpec.Spec.Volumes {
			if v.Secret == nil {
				continue
			}
			if mode := v.Secret.DefaultMode; mode == nil || *mode&0o007 != 0 {
				wrong = append(wrong, "the files of volume "+v.Name+" are readable for everybody")
			}
			var readers []string
			for _, c := range w.containers() {
				if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name }) {
					readers = append(readers, c.Name)
				}
			}
			if len(readers) != 1 {
				wrong = append(wrong, fmt.Sprintf("the secrets of volume %s are mounted into %v", v.Name, readers))
			}
		}
	}
	return append(wrong, fileVariables(all)...)
}

func fileVariables(all objects) (wrong []string) {
	c := clawMachine(all)
	env := environment(all, c.wxgate)
	for name, file := range env {
		plain, isFile := strings.CutSuffix(name, "_FILE")
		if !isFile {
			continue
		}
		if _, both := env[plain]; both {
			wrong = append(wrong, plain+" is in the environment and in a file")
		}
		volume := ""
		for _, m := range c.wxgate.VolumeMounts {
			if m.MountPath == path.Dir(file) {
				volume = m.Name
			}
		}
		i := slices.IndexFunc(c.spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume && v.Secret != nil })
		if i < 0 {
			wrong = append(wrong, name+" is not in a mounted Secret: "+file)
			continue
		}
		if s, ok := get[corev1.Secret](all, c.spec.Volumes[i].Secret.SecretName); ok && s.Data[path.Base(file)] == nil {
			wrong = append(wrong, fmt.Sprintf("%s: Secret %s has no %s", name, s.Name, path.Base(file)))
		}
	}
	return wrong
}

// secretsNowhereElse: what a Secret holds appears in no other object.
func secretsNowhereElse(all objects) (wrong []string) {
	for _, s := range list[*corev1.Secret](all) {
		for key, value := range s.Data {
			for _, o := range all {
				text, err := json.Marshal(o)
				if _, isSecret := o.(*corev1.Secret); err == nil && !isSecret && bytes.Contains(text, value) {
					wrong = append(wrong, fmt.Sprintf("%s of Secret %s also stands in %T %s", key, s.Name, o, o.GetName()))
				}
			}
		}
	}
	return wrong
}

// restricted asks Kubernetes' own admission whether it would let the pods into a namespace of its strictest level, and
// looks at what that level leaves open.
func restricted(all objects) (wrong []string) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for _, w := range workloads(all) {
		spec := &w.PodTemplateSpec.Spec
		if verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &w.PodTemplateSpec.ObjectMeta, spec)); !verdict.Allowed {
			wrong = append(wrong, w.GetName()+" would be refused: "+verdict.ForbiddenDetail())
		}
		if on := spec.AutomountServiceAccountToken; on == nil || *on {
			wrong = append(wrong, w.GetName()+" carries a token for the Kubernetes API")
		}
		for _, c := range w.containers() {
			if sc := c.SecurityContext; sc == nil || sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem {
				wrong = append(wrong, c.Name+" can write to its root file system")
			}
			if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
				wrong = append(wrong, c.Name+" has no memory limit or no CPU request")
			}
		}
	}
	return wrong
}
