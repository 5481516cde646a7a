package main

import "encoding/binary"

const (
	sampleRate = 22050
	lyreLength = sampleRate * 15 / 4 // samples
	lyrePeak   = 9000                // of 32767: a quiet sound
)

// A note is one plucked string: its period in samples, and when it is
// plucked, in samples. Periods are in whole-number ratios, so the strings
// are in just intonation: 150 : 120 : 100 is a major triad.
type note struct{ period, at int }

func lyreNotes() []note {
	const beat = sampleRate / 5
	return []note{
		{150, 0}, {100, beat}, {75, 2 * beat}, {60, 3 * beat},
		{90, 5 * beat}, {60, 6 * beat}, {50, 7 * beat},
		{150, 9 * beat}, {100, 9*beat + 500}, {75, 9*beat + 1000}, {60, 9*beat + 1500},
	}
}

// lyre renders a few plucked strings as a WAV file, 16 bits, one channel.
func lyre() ([]byte, error) {
	mix := make([]int, lyreLength)
	for i, n := range lyreNotes() {
		pluck(mix[n.at:], n.period, uint32(i+1))
	}
	peak := 1
	for _, v := range mix {
		peak = max(peak, v, -v)
	}
	const fade = sampleRate / 2
	samples := make([]byte, 0, 2*len(mix))
	for i, v := range mix {
		left := min(len(mix)-i, fade)
		samples = binary.LittleEndian.AppendUint16(samples, uint16(int16(v*lyrePeak/peak*left/fade)))
	}
	return wav(samples), nil
}

// pluck adds a string to out by Karplus and Strong's method: a burst of noise
// runs round a loop as long as the period and is smoothed at each turn. The
// smoothing is symmetric, so it does not change the pitch.
func pluck(out []int, period int, seed uint32) {
	ring := make([]int, len(out)+2)
	last := 0
	for i := range min(period, len(out)) {
		seed = seed*1664525 + 1013904223
		burst := int(seed>>16) - 1<<15
		last = (burst + 3*last) / 4 // a fingertip, not a plectrum
		ring[i] = last << 8
	}
	for i := period; i < len(out); i++ {
		before := 0
		if i > period {
			before = ring[i-period-1]
		}
		ring[i] = (before + 2*ring[i-period] + ring[i-period+1]) / 4 * 1021 / 1024
	}
	for i := range out {
		attack := min(i, 64)
		out[i] += ring[i] * attack / 64
	}
}

// wav puts the 44 bytes of a RIFF header before the samples.
func wav(samples []byte) []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, uint32(36+len(samples)))...)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	b = le.AppendUint16(b, 1) // one channel
	b = le.AppendUint32(b, sampleRate)
	b = le.AppendUint32(b, sampleRate*2) // bytes a second
	b = le.AppendUint16(b, 2)            // bytes a frame
	b = le.AppendUint16(b, 16)           // bits a sample
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(len(samples)))
	return append(b, samples...)
}
