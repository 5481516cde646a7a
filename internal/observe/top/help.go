package top

import "strings"

// helpText is the help screen, at most eighty cells wide.
const helpText = `Keys
  ↑ ↓ j k       select            pgup pgdn home end   scroll
  enter c       list the connections of the selected worker; esc to go back
  s < >         sort by the next column, or the previous one; marked ▼
  r             reverse the order
  p space       pause and resume refreshing
  q ctrl-c      quit

Workers
  CONN/IDLE     open connections, and those without a request under way
  P50 P99       median and 99th percentile of the latency
  QUEUE         connections waiting in the fullest accept queue
  CPU%          share of one CPU
  GEN/D         processes started in the slot, and unexpected exits (deaths)
  starting      not ready yet
  draining      finishing requests under way
  killed        sent SIGKILL, and has not exited yet
  backoff       no process; a respawn is due
  quarantined   no process and no respawn until a reload
  truncated     responses that did not reach their end
  timed out     connections closed because the client timed out
  dropped       connections closed for lack of descriptors or memory
  limited       connections closed at a limit; metrics have the reasons

Connections
  send recv     sending a response, receiving a request
  idle end      no request under way, last response sent
  B/S ETA       rate over the last ten refreshes, and time left at that rate
  AGE           time since the request began, or else in this state

Rates and latencies cover the last seconds; k, M and G are powers of 1000.`

// helpView draws the part of the help that fits.
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
