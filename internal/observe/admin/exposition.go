package admin

import (
	"fmt"
	"strconv"
	"strings"

	"phalanx/internal/observe/status"
)

// expositionType is the media type of an exposition.
const expositionType = "text/plain; version=0.0.4; charset=utf-8"

// exposition is the response to a scrape, in the text format of
// https://prometheus.io/docs/instrumenting/exposition_formats/.
type exposition struct {
	text   []byte
	metric metric // being written
	begun  bool   // HELP and TYPE of metric have been written
	series map[string]bool
	err    error
}

// expose writes all metrics that have samples. If one fails it returns an error, and no
// part of the text may be sent: missing samples would look like a drop.
func expose(metrics []metric, pool *status.Pool) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	x := &exposition{series: map[string]bool{}}
	for _, m := range metrics {
		x.metric, x.begun = m, false
		m.samples(x, pool)
	}
	return x.text, x.err
}

// add appends a sample; labels are names and values in turn.
func (x *exposition) add(value float64, labels ...string) { x.addTo("", value, labels...) }

// addTo appends a sample to a part of a histogram, such as "_sum".
func (x *exposition) addTo(part string, value float64, labels ...string) {
	name := "phalanx_" + x.metric.name
	if !x.begun {
		x.begun = true
		x.text = fmt.Appendf(x.text, "# HELP %s %s\n# TYPE %s %s\n", name, x.metric.help, name, x.metric.kind)
	}
	series := name + part
	for i := 0; i < len(labels); i += 2 {
		series += fmt.Sprintf(`%c%s="%s"`, "{,"[min(i, 1)], labels[i], escapeLabel(labels[i+1]))
	}
	if len(labels) > 0 {
		series += "}"
	}
	if x.series[series] && x.err == nil {
		x.err = fmt.Errorf("%s has two values", series)
	}
	x.series[series] = true
	x.text = append(append(x.text, series...), ' ')
	x.text = append(strconv.AppendFloat(x.text, value, 'g', -1, 64), '\n')
}

func escapeLabel(value string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(strings.ToValidUTF8(value, "\uFFFD"))
}
