//go:build !windows

package spool

import (
	"errors"
	"math"
	"syscall"

	"golang.org/x/sys/unix"
)

// free gives what an unprivileged process may use: blocks kept back for root
// don't count.
func free(dir string) (bytes, inodes int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	inodes = math.MaxInt64
	if st.Files > 0 { // 0: made as needed, as on btrfs
		inodes = clamp(uint64(st.Ffree), 1) //nolint:unconvert // signed on FreeBSD
	}
	return clamp(uint64(st.Bavail), uint64(st.Bsize)), inodes, nil //nolint:gosec,unconvert // never negative; signed on FreeBSD
}

// diskFull tells a full disk and an exhausted quota from other errors.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
