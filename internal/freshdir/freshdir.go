// Package freshdir makes folders for benchmarks that make many files.
package freshdir
