package patience

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Refused says whether err, with which a client's TLS handshake failed, is for good: the certificate doesn't fit, or the server speaks no
// TLS there. The hint is what a person can do about it and may be empty. ports are the protocol's own, with the modes they are for, such
// as "993 implicit, 143 starttls". Anything else, an alert by the server among it, is a connection that was lost.
func Refused(err error, ports string) (hint string, refused bool) {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		verify  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &host):
		return "the certificate is for another name: use the server name that the provider gives", true
	case errors.As(err, &unknown):
		return "the certificate's issuer is unknown here: update the system's root certificates, or name the provider's own", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate is out of date, or this computer's clock is wrong: check the clock first", true
	case errors.As(err, &record):
		return "the server doesn't speak TLS on this port: check port and TLS mode (" + ports + ")", true
	case errors.As(err, &verify):
		return "", true
	}
	return "", false
}
