//go:build !windows

package queue

// killedWord is how os/exec words the end of a process by SIGKILL.
const killedWord = "signal: killed"
