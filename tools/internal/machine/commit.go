package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Commit returns the commit that is checked out in the working directory, and
// whether nothing outside results/ differs from it. Without git it is "unknown".
func Commit() (commit string, clean bool) {
	head, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown", false
	}
	changes, err := exec.Command("git", "status", "--porcelain", "--", ".", ":(exclude)results").Output()
	return strings.TrimSpace(string(head)), err == nil && len(changes) == 0
}

// Hash returns the first 16 hexadecimal digits of the SHA-256 of the files'
// contents, in their order.
func Hash(paths ...string) (string, error) {
	sum := sha256.New()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("%w; run make build", err)
		}
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}
