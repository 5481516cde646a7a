package deploy

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestKubernetes builds each kustomization and validates it against the schemas of the Kubernetes
// API. The server has to accept the arguments of its container.
func TestKubernetes(t *testing.T) {
	dir := harness.OpenDir(t)
	build := exec.Command("go", "-C", harness.Repository(t, "tools", "kubernetes"), "build", "-o", dir+"/",
		"sigs.k8s.io/kustomize/kustomize/v5", "github.com/yannh/kubeconform/cmd/kubeconform")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build kustomize and kubeconform: %v\n%s", err, out)
	}
	location := schemas(t)
	conform := func(t *testing.T, manifests string) (invalid, valid int, report string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(dir, "kubeconform"), "-summary", "-output", "json", "-schema-location", location)
		cmd.Stdin = strings.NewReader(manifests)
		out, _ := cmd.Output() // a failure shows in the summary
		var r struct {
			Summary struct{ Valid, Invalid, Errors, Skipped int }
		}
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("kubeconform: %v\n%s", err, out)
		}
		return r.Summary.Invalid + r.Summary.Errors + r.Summary.Skipped, r.Summary.Valid, string(out)
	}
	for _, content := range []string{"image-volume", "persistent-volume", "git-sync"} {
		t.Run(content, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(dir, "kustomize"), "build", harness.Repository(t, "deploy", "kubernetes", "content", content))
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("kustomize build: %v\n%s", err, out)
			}
			manifests := string(out)
			if invalid, valid, report := conform(t, manifests); invalid > 0 || valid < 6 {
				t.Errorf("%d objects are valid, %d are not; want at least 6 valid ones only:\n%s", valid, invalid, report)
			}
			for _, wrong := range [][2]string{{"readOnlyRootFilesystem:", "readOnlyRootFileSystem:"}, {"minReplicas: 2", "minReplicas: two"}, {"kind: Deployment\nmetadata", "kind: Deploymemt\nmetadata"}} {
				broken := strings.Replace(manifests, wrong[0], wrong[1], 1)
				if broken == manifests {
					t.Errorf("the manifests have no %q", wrong[0])
				} else if invalid, _, _ := conform(t, broken); invalid != 1 {
					t.Errorf("%d objects are invalid with %q, want 1", invalid, wrong[1])
				}
			}
			for flag, without := range map[string]string{"stale-worktree-timeout=10m": "removes a release before every worker has the next", "max-failures=-1": "ends when the repository cannot be reached, and with it the pod's readiness"} {
				if content == "git-sync" && !strings.Contains(manifests, "- --"+flag+"\n") {
					t.Errorf("without --%s git-sync %s", flag, without)
				}
			}
			understood(t, manifests)
		})
	}
}

// understood checks the arguments of the server's container with master --check.
func understood(t *testing.T, manifests string) {
	t.Helper()
	_, container, found := strings.Cut(manifests, "- --admin=0.0.0.0:9090\n")
	if !found {
		t.Fatal("the container has no argument --admin")
	}
	args := []string{"--check", harness.Tree(t, map[string]string{"index.html": "x"}), "--admin=127.0.0.1:9090"}
	for _, line := range strings.SplitAfter(container, "\n") {
		flag := regexp.MustCompile(`^ +- (--\S+)\n$`).FindStringSubmatch(line)
		if flag == nil {
			break
		}
		args = append(args, flag[1])
	}
	if len(args) < 5 {
		t.Fatalf("the container has too few arguments: %q", args)
	}
	if out, err := exec.Command(harness.Binary("master"), args...).CombinedOutput(); err != nil {
		t.Errorf("master %q: %v\n%s", args, err, out)
	}
}
