package harness

// Asker sends requests to one server over a persistent connection, which it
// opens again when the server has closed it.
type Asker struct {
	Port int
	Conn *Client
}

// Close ends the connection, if there is one.
func (a *Asker) Close() {
	if a.Conn != nil {
		a.Conn.Close()
		a.Conn = nil
	}
}

// Fetch sends the text of a request and reads the response. It opens a
// connection if there is none, and closes it after an error or if the response
// says so.
func (a *Asker) Fetch(text string) (*Reply, error) {
	if a.Conn == nil {
		conn, err := Connect(a.Port)
		if err != nil {
			return nil, err
		}
		a.Conn = conn
	}
	a.Conn.Renew()
	r, err := a.Conn.Ask(text)
	if err != nil || r.Closes() {
		a.Close()
	}
	return r, err
}
