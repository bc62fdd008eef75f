// Package parts says which runtime a program is: the full one, or the least, which is built with the tag `least` and
// leaves out what reads the network, draws letters, serves, looks into the model, and decodes other pictures than PNG and
// JPEG. Files with that tag stand beside those that they replace: full.go and least.go.
package parts

import "fmt"

// Missing is the error about something that the least runtime lacks.
func Missing(what string) error {
	return fmt.Errorf("%s not part of this executable, which has the least runtime: pgc compile --runtime full makes one that has it", what)
}
