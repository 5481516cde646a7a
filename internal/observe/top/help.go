package top

import "strings"

// helpText is all that ? shows, for eighty cells.
const helpText = `Keys
  ↑ ↓ j k       select            pgup pgdn home end   further
  enter c       the connections of the selected worker; esc goes back
  s < >         sort by the next column, or the one before; ▼ marks it
  r             reverse the order
  p space       pause: look no more until it is pressed again
  q ctrl-c      quit

Workers
  CONN/IDLE     connections, and how many of them wait for a request
  P50 P99       half of the replies, and 99 of 100, took no longer
  QUEUE         connections that wait to be accepted
  CPU%          of one CPU
  GEN/D         processes that the slot has had, and how many died unwanted
  starting      not ready yet          backoff  no process; one is started soon
  draining      finishes what it has   empty    its slot was given up
  cut timeouts  replies that ended early, clients that were too slow
  drops         connections that were ended for want of something here

Connections
  send recv     a reply goes out, a request comes in
  idle end      it waits for a request, its last reply has been sent
  B/S ETA       speed over the last five looks, and the time to the end with it
  AGE           how long the request, or else the state, has lasted

Rates and times are of the last seconds; k, M and G are powers of 1000.`

// helpView is the part of the help that fits.
func (m *model) helpView(height int) []string {
	t := newTheme(m.dark, false)
	all := strings.Split(helpText, "\n")
	m.helpTop = max(0, min(m.helpTop, len(all)-height))
	var out []string
	for _, s := range all[m.helpTop:min(len(all), m.helpTop+height)] {
		style := pick(strings.HasPrefix(s, " "), t.plain, t.bold)
		out = append(out, style.Render(clean(s, m.width)))
	}
	return out
}
