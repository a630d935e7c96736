// Package check holds the tests of everything that deploys wxgate: the Kubernetes manifests beside it, the compose file
// and the Dockerfile. It has no code but tests.
//
// The manifests are rendered by kustomize's own library and decoded strictly into the API's own types, as an API server
// does it that refuses unknown fields. Then the rules in rules_test.go look at what a server would accept but an
// operator would regret: an app that others can reach past its gateway, a secret in an environment, a Redis that
// forgets. Each rule is shown a manifest that breaks it. At last the real program is built and asked, with
// `wxgate config`, whether it would start in the environment that the files describe.
//
// It is a module of its own, because these libraries bring dozens of others along, which must not become dependencies
// of wxgate. That is why `go test ./...` at the top does not come by here, and why results must not be cached: Go notices
// no changes in files outside a module.
//
//	cd deploy/kubernetes/check && go test -count=1 ./...
package check
