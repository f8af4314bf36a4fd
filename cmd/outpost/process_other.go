//go:build !unix || aix || solaris || illumos

package main

import (
	"errors"
	"os"
)

// Here a lock cannot be asked after, so no process is ever taken for the daemon.
func lockFile(*os.File) error { return nil }
func isLocked(*os.File) bool  { return false }

var errByHand = errors.New("end it by hand: this system has no way that is known here")

func keepRunning() {} // there is nothing to keep it from

func stopProcess(int) error { return errByHand }
func killProcess(int) error { return errByHand }
