// Package plural counts things in sentences.
package plural

import "fmt"

// Of says how many there are of what a noun names, such as "1 prompt" and "2 prompts". The noun's plural ends in s.
func Of(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
