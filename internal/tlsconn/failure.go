package tlsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"phalanx/internal/certificate"
)

// Reason is why a connection failed, for counters.
type Reason uint8

const (
	ReasonNone         Reason = iota
	ReasonPlainHTTP           // plain HTTP; a plain HTTP response can say so
	ReasonNotTLS              // neither TLS nor HTTP
	ReasonTooLarge            // more than 64 KiB before the handshake was done
	ReasonTimeout             // HandshakeTimeout
	ReasonTruncated           // the client disconnected during the handshake
	ReasonVersion             // no common version
	ReasonCipher              // no common cipher suite, group or signature algorithm
	ReasonProtocol            // no common protocol (ALPN)
	ReasonCertificate         // the server has no certificate for the client
	ReasonUnauthorized        // the client certificate is missing or not trusted
	ReasonUntrusted           // the client does not trust the server's certificate
	ReasonAlert               // the client sent another alert
	ReasonMalformed           // the client violated the protocol
	ReasonBadRecord           // a record does not decrypt: it was changed on its way, or forged
	ReasonRenegotiation
	ReasonUnclosed // not a failure: the client disconnected without close_notify
	ReasonInternal
	NumReasons
)

var reasonNames = [NumReasons]string{
	"none", "plain_http", "not_tls", "too_large", "timeout", "truncated", "version", "cipher", "protocol",
	"no_certificate", "unauthorized", "untrusted", "alert", "malformed", "bad_record", "renegotiation",
	"unclosed", "internal",
}

// String returns the reason as a metric's label.
func (r Reason) String() string { return reasonNames[r] }

var reasonTexts = [NumReasons]string{
	"none", "plain HTTP on a TLS port", "neither TLS nor HTTP", "more than 64 KiB in the handshake",
	"the handshake timed out", "the client disconnected during the handshake", "no common version of TLS",
	"no common cipher suite or key exchange", "no common protocol", "no certificate",
	"client certificate missing or not trusted", "the client does not trust the certificate",
	"the client sent an alert", "the client violated the protocol", "a record was damaged",
	"renegotiation refused", "the client disconnected without close_notify", "internal error",
}

// Alert is a code of RFC 8446 §6.
type Alert uint8

const (
	alertCloseNotify           Alert = 0
	alertUnexpectedMessage     Alert = 10
	alertBadRecordMAC          Alert = 20
	alertRecordOverflow        Alert = 22
	alertHandshakeFailure      Alert = 40
	alertBadCertificate        Alert = 42
	alertCertificateUnknown    Alert = 46
	alertUnknownCA             Alert = 48
	alertDecodeError           Alert = 50
	alertDecryptError          Alert = 51
	alertProtocolVersion       Alert = 70
	alertInternalError         Alert = 80
	alertInappropriateFallback Alert = 86
	alertUserCanceled          Alert = 90
	alertUnrecognizedName      Alert = 112
	alertCertificateRequired   Alert = 116
	alertNoProtocol            Alert = 120
)

// The levels of alerts.
const (
	alertWarning = 1
	alertFatal   = 2
)

// String returns the text of crypto/tls for the alert.
func (a Alert) String() string { return strings.TrimPrefix(tls.AlertError(a).Error(), "tls: ") }

// Error is why a connection failed.
type Error struct {
	Reason Reason
	Alert  Alert // that was sent or received, if any
	Local  bool  // it was sent
	Err    error // the error of crypto/tls, if any
}

func (e *Error) Error() string {
	text := "TLS: " + reasonTexts[e.Reason]
	switch {
	case e.Err != nil:
		return text + ": " + strings.TrimPrefix(e.Err.Error(), "tls: ")
	case e.Alert != 0:
		return fmt.Sprintf("%s (%s)", text, e.Alert)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// remoteReason returns the reason for an alert from the client.
func remoteReason(a Alert) Reason {
	if a >= alertBadCertificate && a <= alertCertificateUnknown || a == alertUnknownCA {
		return ReasonUntrusted
	}
	return ReasonAlert
}

// localReason returns the reason for an alert that the server sent.
func localReason(a Alert) Reason {
	switch a {
	case alertHandshakeFailure:
		return ReasonCipher
	case alertProtocolVersion, alertInappropriateFallback:
		return ReasonVersion
	case alertNoProtocol:
		return ReasonProtocol
	case alertBadRecordMAC:
		return ReasonBadRecord
	case alertCertificateRequired, alertBadCertificate, alertUnknownCA:
		return ReasonUnauthorized
	case alertInternalError:
		return ReasonInternal
	}
	return ReasonMalformed
}

// handshakeError classifies an error of crypto/tls. sent is the last alert sent unencrypted;
// an encrypted alert is known only from the error.
func handshakeError(err error, sent Alert) *Error {
	e := &Error{Reason: localReason(sent), Alert: sent, Local: sent != 0, Err: err}
	var op *net.OpError
	var unverified *tls.CertificateVerificationError
	switch {
	case errors.Is(err, certificate.ErrNone):
		e.Reason = ReasonCertificate
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason = ReasonTruncated
	case errors.As(err, &unverified), strings.Contains(err.Error(), "client didn't provide a certificate"):
		e.Reason = ReasonUnauthorized
	case errors.As(err, &op):
		e.Alert, e.Local, e.Err = alertOf(op.Err), op.Op == "local error", nil
		if e.Reason = remoteReason(e.Alert); e.Local {
			e.Reason = localReason(e.Alert)
		}
	}
	return e
}

// alertOf returns the code of an alert error of crypto/tls. Its type is not exported, so texts
// are compared.
func alertOf(err error) Alert {
	for code := range 256 {
		if tls.AlertError(code).Error() == err.Error() {
			return Alert(code)
		}
	}
	return alertInternalError
}
