// Package serve tests the server of an executable: its answers, its limits, and how it begins and ends.
package serve
