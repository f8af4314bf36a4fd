package queue

// killedWord is how os/exec words the end by TerminateProcess, which Go calls
// with exit status 1. The victim's own failures say what they are on stderr.
const killedWord = "exit status 1"
