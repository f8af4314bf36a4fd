package spool

import (
	"errors"
	"math"

	"golang.org/x/sys/windows"
)

// free gives what this user may use, quota included. NTFS makes file records as
// needed, so inodes are not counted.
func free(dir string) (bytes, inodes int64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var avail uint64
	if err := windows.GetDiskFreeSpaceEx(path, &avail, nil, nil); err != nil {
		return 0, 0, err
	}
	return clamp(avail, 1), math.MaxInt64, nil
}

// diskFull tells a full disk and an exhausted quota from other errors.
func diskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) ||
		errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
