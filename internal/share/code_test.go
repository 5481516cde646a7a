package share

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestCodeIsRead renders the code as a terminal shows it, and reads it with an independent
// decoder.
func TestCodeIsRead(t *testing.T) {
	for _, url := range []string{"http://192.0.2.5:8080/", "https://[2001:db8:1234:5678:9abc:def0:1234:5678]:65535/abcdefghjkmnpqrstuvwxyz2/a%20long%20name.iso"} {
		for _, coloured := range []bool{false, true} {
			lines, width, err := code(url, coloured)
			if err != nil {
				t.Fatal(err)
			}
			zbar := exec.Command("zbarimg", "--quiet", "--raw", "--nodbus", "-")
			zbar.Stdin = bytes.NewReader(picture(lines, width, coloured))
			out, err := zbar.Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != url {
				t.Errorf("coloured %v: read %q, %v (apt-get install zbar-tools)\n%s", coloured, got, err, strings.Join(lines, "\n"))
			}
		}
	}
}

// picture returns what a terminal shows as a portable graymap: black on white with colours,
// otherwise light on dark.
func picture(lines []string, width int, coloured bool) []byte {
	const scale = 4 // pixels of a module
	ink, paper := byte(255), byte(0)
	if coloured {
		ink, paper = 0, 255
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "P5 %d %d 255\n", width*scale, len(lines)*2*scale)
	for _, line := range lines {
		for _, drawn := range []string{"█▀", "█▄"} {
			var row []byte
			for _, c := range ansi.Strip(line) {
				pixel := paper
				if strings.ContainsRune(drawn, c) {
					pixel = ink
				}
				row = append(row, bytes.Repeat([]byte{pixel}, scale)...)
			}
			b.Write(bytes.Repeat(row, scale))
		}
	}
	return b.Bytes()
}
