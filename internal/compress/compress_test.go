package compress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// codings are all codings that can be made.
var codings = []proto.Coding{proto.Brotli, proto.Zstd, proto.Gzip}

// text returns text that compresses well and varies.
func text(size int) []byte {
	words := strings.Fields("phalanx serves static files from a directory with many workers and no request is lost")
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < size {
		b.WriteString(words[random.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.Bytes()[:size]
}

func scratch(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A compressed copy decodes to its file, at each level, and compression is deterministic.
func TestFile(t *testing.T) {
	samples := map[string][]byte{"small": text(site.MinCopied), "zeros": make([]byte, 300_000), "text": text(200_000)}
	for name, plain := range samples {
		for _, coding := range codings {
			for _, level := range []Level{Best, Fast} {
				var made [2][]byte
				for i := range made {
					f := scratch(t)
					n, err := compress(context.Background(), f, bytes.NewReader(plain), int64(len(plain)), coding, level)
					if err != nil || n > Most(int64(len(plain))) {
						t.Fatalf("%s in %s at level %d: %d bytes, %v", name, coding.Token(), level, n, err)
					}
					made[i] = make([]byte, n)
					if _, err := f.ReadAt(made[i], 0); err != nil {
						t.Fatal(err)
					}
				}
				d, err := decoder(bytes.NewReader(made[0]), coding)
				if err != nil {
					t.Fatal(err)
				}
				decoded, err := io.ReadAll(d)
				d.Close()
				if err != nil || !bytes.Equal(decoded, plain) || !bytes.Equal(made[0], made[1]) {
					t.Errorf("%s in %s at level %d: %v, equal %v, the same again %v", name, coding.Token(), level, err, bytes.Equal(decoded, plain), bytes.Equal(made[0], made[1]))
				}
			}
		}
	}
}

// Browsers refuse a window of more than 8 MB, whatever the size of the file: RFC 9659.
func TestWindow(t *testing.T) {
	plain := text(9 << 20)
	f := scratch(t)
	if _, err := compress(context.Background(), f, bytes.NewReader(plain), int64(len(plain)), proto.Zstd, Fast); err != nil {
		t.Fatal(err) // the decoder allows no larger one
	}
}

func TestFileErrors(t *testing.T) {
	noise := make([]byte, 100_000)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise)
	ended, end := context.WithCancel(context.Background())
	end()
	for _, coding := range codings {
		for _, tt := range []struct {
			name  string
			ctx   context.Context
			plain []byte
			size  int64
			want  error
		}{
			{"noise", context.Background(), noise, int64(len(noise)), ErrNotWorth},
			{"a file that has become shorter", context.Background(), text(5000), 9000, ErrChanged},
			{"an end", ended, text(5000), 5000, context.Canceled},
		} {
			if _, err := compress(tt.ctx, scratch(t), bytes.NewReader(tt.plain), tt.size, coding, Best); !errors.Is(err, tt.want) {
				t.Errorf("%s in %s: %v, want %v", tt.name, coding.Token(), err, tt.want)
			}
		}
	}
}

// A copy is compared with its file up to the last byte.
func TestVerify(t *testing.T) {
	plain := text(100_000)
	for _, coding := range codings {
		var coded bytes.Buffer
		if err := encode(&coded, bytes.NewReader(plain), int64(len(plain)), coding, Fast); err != nil {
			t.Fatal(err)
		}
		other := bytes.Clone(plain)
		other[len(other)-1] ^= 1
		for name, wrong := range map[string][]byte{"changed": other, "shorter": plain[:len(plain)-1], "longer": append(bytes.Clone(plain), 'x')} {
			if err := verify(bytes.NewReader(coded.Bytes()), bytes.NewReader(wrong), coding); err != ErrDamaged {
				t.Errorf("%s, %s: %v, want %v", coding.Token(), name, err, ErrDamaged)
			}
		}
		if err := verify(bytes.NewReader(coded.Bytes()[:coded.Len()/2]), bytes.NewReader(plain), coding); err != ErrDamaged {
			t.Errorf("%s, truncated: %v, want %v", coding.Token(), err, ErrDamaged)
		}
	}
}
