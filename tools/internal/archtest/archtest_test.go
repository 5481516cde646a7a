// Package archtest checks the imports between the packages of the tools.
package archtest

import (
	"testing"

	"phalanx/internal/archtest"
)

// allowed lists the packages of this module and the libraries that each package may
// import. None imports the product, whose programs are measured from outside.
var allowed = map[string][]string{
	"internal/archtest": {},
	"internal/stats":    {},
	"internal/record":   {},
	"internal/plan":     {"internal/record"},
	"internal/tool":     {"internal/record"},
	"internal/proctree": {},
	"internal/machine":  {"internal/record", "golang.org/x/sys/unix"},
	"internal/target":   {"internal/proctree", "internal/record"},
	"internal/load":     {"golang.org/x/sys/unix"},
	"internal/measure": {
		"internal/load", "internal/plan", "internal/proctree", "internal/record",
		"internal/stats", "internal/target", "internal/tool", "golang.org/x/sys/unix",
	},
	"internal/campaign": {"internal/plan", "internal/record", "github.com/schollz/progressbar/v3"},
	"internal/chart": {
		"gonum.org/v1/plot", "gonum.org/v1/plot/font", "gonum.org/v1/plot/font/liberation", "gonum.org/v1/plot/plotter",
		"gonum.org/v1/plot/text", "gonum.org/v1/plot/vg", "gonum.org/v1/plot/vg/draw", "gonum.org/v1/plot/vg/vgimg",
		"gonum.org/v1/plot/vg/vgsvg",
	},
	"internal/document": {"internal/chart"},
	"internal/markdown": {"internal/document"},
	"internal/pdf": {
		"internal/document", "codeberg.org/go-pdf/fpdf", "gonum.org/v1/plot/font", "gonum.org/v1/plot/vg",
		"codeberg.org/go-fonts/liberation/liberationsansbold", "codeberg.org/go-fonts/liberation/liberationsansregular",
	},
	"internal/report": {
		"internal/chart", "internal/document", "internal/plan", "internal/record",
		"internal/stats", "internal/target",
	},
}

func TestImportsPointDown(t *testing.T) { archtest.PointDown(t, "phalanx/tools/", allowed) }
