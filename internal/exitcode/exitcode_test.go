package exitcode

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestCode(t *testing.T) {
	usage := New(Usage, "--port x: must be a number", nil)
	for _, tt := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{usage, 64},
		{fmt.Errorf("serve: %w", usage), 64},
		{New(Config, "no root", usage), 78},
	} {
		if got := Code(tt.err); got != tt.code {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.code)
		}
	}
}

func TestError(t *testing.T) {
	err := New(Config, "open root: no such directory", fs.ErrNotExist)
	if err.Error() != "open root: no such directory" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, which wraps %v", err, errors.Unwrap(err))
	}
}
