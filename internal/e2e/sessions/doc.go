// Package sessions tests sessions of executables on an executor that is watched: which functions run, under a grammar and without.
package sessions
