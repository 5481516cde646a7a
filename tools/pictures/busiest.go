package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"phalanx/internal/observe/status"
)

// busiest returns the index, in the table of workers, of the worker that is
// sending the most responses now.
func busiest() (place int, err error) {
	var pool status.Pool
	if err := ask("/status.json", &pool); err != nil {
		return 0, err
	}
	most := -1
	for i, w := range pool.Workers {
		var list status.Connections
		if err := ask(fmt.Sprintf("/connections?slot=%d&pid=%d", w.Slot, w.PID), &list); err != nil {
			return 0, err
		}
		sending := 0
		for _, c := range list.Connections {
			if c.State == status.ConnSending {
				sending++
			}
		}
		if sending > most {
			most, place = sending, i
		}
	}
	return place, nil
}

// ask reads JSON from the admin endpoint.
func ask(target string, into any) error {
	reply, err := http.Get("http://" + admin + target)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", target, reply.Status)
	}
	if err := json.NewDecoder(reply.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	return nil
}
