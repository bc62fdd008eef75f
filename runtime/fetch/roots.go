package fetch

import (
	"crypto/x509"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// roots are the certificates that vouch for servers: nil for the system's, or,
// where the system has none, as in an empty container, those embedded here, the
// list of Mozilla. They are parsed when asked for, not at start.
func roots() *x509.CertPool {
	system, err := x509.SystemCertPool()
	if err != nil || !system.Equal(x509.NewCertPool()) {
		return nil
	}
	pool, _ := embeddedRoots()
	return pool
}

// embeddedRoots returns the embedded certificates and their number.
func embeddedRoots() (*x509.CertPool, int) {
	pool, count := x509.NewCertPool(), 0
	for r := range bundle.Roots() {
		c, err := x509.ParseCertificate(r.Certificate)
		switch {
		case err != nil:
			continue
		case r.Constraint != nil:
			pool.AddCertWithConstraint(c, r.Constraint)
		default:
			pool.AddCert(c)
		}
		count++
	}
	return pool, count
}
