// Package commands tests what the commands of executables do with arguments, files, pictures, terminals and signals.
package commands
