// Package locate tests detect and segment, masks, and tasks that are built in.
package locate
