/*
 * A preloaded ptrace() for linux.uml on processors whose extended state is larger
 * than it knows of: with AMX, some 11 kB. Linux takes PTRACE_SETREGSET of
 * NT_X86_XSTATE with a whole buffer of the machine's own size only (xstateregs_set in
 * arch/x86/kernel/fpu/regset.c), and user-mode Linux 6.1 has the size of AVX-512
 * compiled in. So what it sets is put into the buffer that the kernel gives.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE_BV 512 /* offset of the components' bits in the buffer (Intel SDM vol. 1, 13.4.2) */
#define KNOWN 0xff    /* components that lie inside UML's buffer: x87 to AVX-512 */

static long trace(long request, long pid, void *addr, void *data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* set_xstate gives the kernel a whole buffer; false: UML's own is as long as it wants. */
static int set_xstate(long pid, const struct iovec *known, long *result)
{
	static __thread unsigned char whole[65536] __attribute__((aligned(64)));
	struct iovec io = {whole, sizeof whole};
	uint64_t components;

	if (trace(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &io) != 0 || io.iov_len <= known->iov_len)
		return 0;
	memcpy(whole, known->iov_base, known->iov_len);
	memcpy(&components, whole + XSTATE_BV, sizeof components);
	components &= KNOWN;
	memcpy(whole + XSTATE_BV, &components, sizeof components);
	*result = trace(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &io);
	return 1;
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list args;
	va_start(args, request);
	long pid = va_arg(args, pid_t);
	void *addr = va_arg(args, void *);
	void *data = va_arg(args, void *);
	va_end(args);

	long result;
	if (request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE && set_xstate(pid, data, &result))
		return result;
	/* The system call stores what is peeked, the library's function returns it (ptrace(2)). */
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		long word = 0;
		result = trace(request, pid, addr, &word);
		if (result < 0)
			return result;
		errno = 0;
		return word;
	}
	return trace(request, pid, addr, data);
}
