package deploy

import (
	"cmp"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// kubernetes is the release of the API that the manifests are written for.
const kubernetes = "v1.36.2"

// schema is a JSON schema, or a part of one.
type schema = map[string]any

// schemas writes a JSON schema for each kind of object of the Kubernetes API, from the OpenAPI
// description in the Kubernetes module, and returns the location pattern for kubeconform. Unknown
// fields are errors.
func schemas(t *testing.T) (location string) {
	t.Helper()
	text := harness.Read(t, filepath.Join(moduleDir(t), "api", "openapi-spec", "swagger.json"))
	var api struct{ Definitions map[string]schema }
	if err := json.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	for name, d := range api.Definitions {
		tighten(name, d)
	}
	dir := harness.OpenDir(t)
	for name, d := range api.Definitions {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 || !strings.HasPrefix(name, "io.k8s.api.") {
			continue
		}
		kind := kinds[0].(schema)
		used := map[string]schema{}
		collect(api.Definitions, d, used)
		file, err := json.Marshal(schema{"allOf": []any{d}, "definitions": used})
		if err != nil {
			t.Fatal(err)
		}
		version := kind["version"].(string)
		group := cmp.Or(kind["group"].(string), version) // kubeconform's name for the core group
		harness.Write(t, filepath.Join(dir, group+"_"+version+"_"+strings.ToLower(kind["kind"].(string))+".json"), file)
	}
	return dir + "/{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"
}

// moduleDir returns the directory of the Kubernetes module.
func moduleDir(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+kubernetes)
	cmd.Dir = harness.OpenDir(t) // outside of any module
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if json.Unmarshal(out, &module) != nil || err != nil || module.Dir == "" {
		t.Fatalf("go mod download k8s.io/kubernetes: %v %s", err, module.Error)
	}
	return module.Dir
}

// tighten forbids fields that a definition does not name. It widens two definitions that are
// stricter than the API: a port may be a number or a name, and a quantity may be a number.
func tighten(name string, d schema) {
	switch {
	case strings.HasSuffix(name, ".IntOrString"), strings.HasSuffix(name, ".Quantity"):
		d["type"] = []string{"string", "integer", "number"}
		delete(d, "format")
	case d["properties"] != nil && d["additionalProperties"] == nil:
		d["additionalProperties"] = false
	}
}

// collect adds to used every definition that a part of a schema refers to.
func collect(all map[string]schema, part any, used map[string]schema) {
	switch part := part.(type) {
	case []any:
		for _, p := range part {
			collect(all, p, used)
		}
	case schema:
		if ref, ok := part["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/definitions/")
			if used[name] == nil {
				used[name] = all[name]
				collect(all, all[name], used)
			}
		}
		for _, p := range part {
			collect(all, p, used)
		}
	}
}
