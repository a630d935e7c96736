package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// object is what every Kubernetes type is: something with a kind and a name.
type object interface {
	runtime.Object
	metav1.Object
}

// objects are all documents that one kustomization renders to.
type objects []object

// render is `kubectl kustomize DIR` and a strict decoding of each document.
func render(dir string) (objects, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var all objects
	for _, resource := range resources.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		o, err := decode(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resource.CurId(), err)
		}
		all = append(all, o)
	}
	return all, nil
}

func mustRender(t *testing.T, dir string) objects {
	t.Helper()
	all, err := render(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// decode refuses unknown kinds, unknown and doubled fields, and values of the wrong type, like
// `kubectl apply --validate=strict`.
func decode(document []byte) (object, error) {
	decoded, _, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		return nil, err
	}
	return decoded.(object), nil
}

var codecs = func() serializer.CodecFactory {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict)
}()

// list gives all objects of one type.
func list[T object](all objects) []T {
	var found []T
	for _, o := range all {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// get gives the object of one type with this name. Generated ones are also known by the name without their hash. If
// there is none, it gives an empty one, in which the rules find enough that is wrong.
func get[T any, P interface {
	*T
	object
}](all objects, name string) (P, bool) {
	for _, o := range list[P](all) {
		if o.GetName() == name || withoutHash(o.GetName()) == name {
			return o, true
		}
	}
	return P(new(T)), false
}

// withoutHash cuts off the ten characters and the dash that kustomize adds to the names of generated objects.
func withoutHash(name string) string {
	if i := strings.LastIndexByte(name, '-'); i >= 0 && len(name)-i == 11 {
		return name[:i]
	}
	return name
}

// clone lets a test break a copy.
func (all objects) clone() objects {
	var copied objects
	for _, o := range all {
		copied = append(copied, o.DeepCopyObject().(object))
	}
	return copied
}

// workload is a Deployment or StatefulSet.
type workload struct {
	object
	*corev1.PodTemplateSpec
}

func workloads(all objects) (found []workload) {
	for _, d := range list[*appsv1.Deployment](all) {
		found = append(found, workload{d, &d.Spec.Template})
	}
	for _, s := range list[*appsv1.StatefulSet](all) {
		found = append(found, workload{s, &s.Spec.Template})
	}
	return found
}

func (w workload) containers() []corev1.Container {
	return slices.Concat(w.PodTemplateSpec.Spec.InitContainers, w.PodTemplateSpec.Spec.Containers)
}

// claw is the pod that all is about: wxgate and the app.
type claw struct {
	spec        *corev1.PodSpec
	labels      map[string]string
	wxgate, app *corev1.Container
}

func clawMachine(all objects) claw {
	d, _ := get[appsv1.Deployment](all, "claw-machine")
	c := claw{spec: &d.Spec.Template.Spec, labels: d.Spec.Template.Labels, wxgate: new(corev1.Container), app: new(corev1.Container)}
	for i := range c.spec.InitContainers {
		if c.spec.InitContainers[i].Name == "wxgate" {
			c.wxgate = &c.spec.InitContainers[i]
		}
	}
	for i := range c.spec.Containers {
		if c.spec.Containers[i].Name == "app" {
			c.app = &c.spec.Containers[i]
		}
	}
	return c
}

// environment is what a container finds there: its own variables win over those of whole ConfigMaps.
func environment(all objects, c *corev1.Container) map[string]string {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			continue
		}
		m, _ := get[corev1.ConfigMap](all, from.ConfigMapRef.Name)
		for name, value := range m.Data {
			env[from.Prefix+name] = value
		}
	}
	for _, v := range c.Env {
		env[v.Name] = v.Value
	}
	return env
}
